// The interpreter against plain loops, and what it must notice. Where both sides do the same
// additions in the same order the results are the same bits, so no tolerance is needed.
#include "leat/ir/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>

#include "leat/base/half.h"
#include "leat/ir/builder.h"
#include "leat/ir/parse.h"
#include "leat/ir/program_samples_test.h"

namespace leat::ir {
namespace {

using Buffers = std::vector<std::span<std::byte>>;

template <typename T>
std::span<std::byte> bytes(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> distribution(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

std::vector<float> reference_matmul(const MatmulShape& shape, const std::vector<float>& a,
                                    const std::vector<float>& b) {
  std::vector<float> c(static_cast<size_t>(shape.m * shape.n), 0);
  for (int64_t m = 0; m < shape.m; ++m) {
    for (int64_t n = 0; n < shape.n; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < shape.k; ++k) {
        sum = std::fma(a[static_cast<size_t>(m * shape.k + k)],
                       b[static_cast<size_t>(k * shape.n + n)], sum);
      }
      c[static_cast<size_t>(m * shape.n + n)] = sum;
    }
  }
  return c;
}

TEST(Interpret, StepsHaveALimit) {
  const MatmulShape shape;
  std::vector<float> a(static_cast<size_t>(shape.m * shape.k), 1);
  std::vector<float> b(static_cast<size_t>(shape.k * shape.n), 1);
  std::vector<float> c(static_cast<size_t>(shape.m * shape.n), 0);
  const Program program = tiled_matmul(shape);
  const Buffers buffers = {bytes(a), bytes(b), bytes(c)};
  const Result<void> stopped = interpret(program, buffers, 100);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::unsupported);
  EXPECT_TRUE(interpret(program, buffers, 1'000'000));
}

TEST(Interpret, MultipliesTilesThroughLocalMemory) {
  for (const MatmulShape& shape : {MatmulShape{16, 10, 7}, MatmulShape{8, 4, 4},
                                   MatmulShape{24, 1, 1}, MatmulShape{32, 33, 29}}) {
    std::vector<float> a = random_floats(static_cast<size_t>(shape.m * shape.k), 1);
    std::vector<float> b = random_floats(static_cast<size_t>(shape.k * shape.n), 2);
    std::vector<float> c(static_cast<size_t>(shape.m * shape.n), -1);
    const Result<void> result =
        interpret(tiled_matmul(shape), Buffers{bytes(a), bytes(b), bytes(c)});
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(c, reference_matmul(shape, a, b));
  }
}

TEST(Interpret, StoresHalves) {
  const MatmulShape shape = {.m = 16, .n = 10, .k = 7, .storage = DType::f16};
  const auto halves = [](const std::vector<float>& values) {
    std::vector<uint16_t> result;
    for (float value : values) result.push_back(half_from_float(value));
    return result;
  };
  const auto floats = [](const std::vector<uint16_t>& values) {
    std::vector<float> result;
    for (uint16_t value : values) result.push_back(float_from_half(value));
    return result;
  };
  std::vector<uint16_t> a = halves(random_floats(112, 1));
  std::vector<uint16_t> b = halves(random_floats(70, 2));
  std::vector<uint16_t> c(160);
  const Result<void> result = interpret(tiled_matmul(shape), Buffers{bytes(a), bytes(b), bytes(c)});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(c, halves(reference_matmul(shape, floats(a), floats(b))));
}

/// x: 64 floats i/2, y: 64 floats -1, h: 64 halves 0, n: 64 ints i.
struct Samples {
  std::vector<float> x;
  std::vector<float> y;
  std::vector<uint16_t> h;
  std::vector<int32_t> n;

  Samples() : x(64), y(64, -1.0f), h(64), n(64) {
    for (int i = 0; i < 64; ++i) {
      x[static_cast<size_t>(i)] = static_cast<float>(i) / 2;
      n[static_cast<size_t>(i)] = i;
    }
  }
  Result<void> run(const std::string& body) {
    TRY_ASSIGN(const Program program, parse_program(kernel_around(body), "test"));
    return interpret(program, Buffers{bytes(x), bytes(y), bytes(h), bytes(n)});
  }
};

constexpr const char* kPlace = R"(
  %lane : v.i32 = lane_id %wave : u.i32 = wave_id %group : u.i32 = group_id 0
  %0 : u.i32 = constant 0 %1 : u.i32 = constant 1 %3 : u.i32 = constant 3
  %4 : u.i32 = constant 4 %8 : u.i32 = constant 8
  %g8 : u.i32 = mul_i %group, %8 %w4 : u.i32 = mul_i %wave, %4
  %base : u.i32 = add_i %g8, %w4
  %at : v.i32 = add_i %base, %lane
)";

TEST(Interpret, MasksAndStrides) {
  Samples samples;
  const Result<void> result = samples.run(std::string(kPlace) + R"(
    %mask : v.b1 = lt_i %lane, %3
    %a : v.f32 = load x[%base + lane * 2] if %mask
    store y[%base + lane * 1], %a
    %far : u.i32 = constant 1000000
    %none : v.b1 = lt_i %lane, %0
    %b : v.f32x4 = load x[%far + lane * 1] if %none
    %b0 : v.f32 = extract %b, 3
    store h[%base + lane * 1], %b0 if %mask
    store y[%far + lane * 9], %a if %none)");
  ASSERT_TRUE(result) << result.error().message();
  for (size_t base = 0; base < 16; base += 4) {
    for (size_t lane = 0; lane < 4; ++lane) {
      const float expected = lane < 3 ? static_cast<float>(base + 2 * lane) / 2 : 0.0f;
      EXPECT_EQ(samples.y[base + lane], expected);
    }
  }
  EXPECT_EQ(samples.y[16], -1.0f);
}

TEST(Interpret, ReducesAsAHalvingTree) {
  Samples samples;
  samples.x = {1e8f, 1.0f, -1e8f, 3.0f};
  samples.x.resize(64, 0.25f);
  const Result<void> result = samples.run(std::string(kPlace) + R"(
    %v : v.f32 = load x[%lane]
    %sum : u.f32 = reduce_add %v
    %max : u.f32 = reduce_max %v
    %iv : v.i32 = load n[%at]
    %imin : u.i32 = reduce_min %iv
    %fmin : u.f32 = float_from_int %imin
    %three : u.i32 = add_i %base, %3
    %next : u.i32 = add_i %base, %1
    store y[%base], %sum
    store y[%next], %max
    store y[%three], %fmin)");
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(samples.y[0], (1e8f + -1e8f) + (1.0f + 3.0f));
  EXPECT_EQ(samples.y[1], 1e8f);
  EXPECT_EQ(samples.y[7], 4.0f);
  EXPECT_EQ(samples.y[15], 12.0f);
}

TEST(Interpret, LoopsSwapWhatTheyCarry) {
  Samples samples;
  const Result<void> result = samples.run(std::string(kPlace) + R"(
    %a0 : u.f32 = constant 1  %b0 : v.f32 = load x[%at]
    %limit : u.i32 = add_i %wave, %3
    %a : v.f32, %b : v.f32 = loop %i : u.i32 = %0 to %limit step %1
        carry %p : v.f32 = %a0, %q : v.f32 = %b0 { yield %q, %p }
    %never : v.f32 = loop %j : u.i32 = %3 to %3 step %1 carry %s : v.f32 = %a { yield %q0 }
    store y[%at], %never)");
  ASSERT_FALSE(result) << "%q0 is not defined";
  const Result<void> again = samples.run(std::string(kPlace) + R"(
    %a0 : u.f32 = constant 1  %b0 : v.f32 = load x[%at]
    %limit : u.i32 = add_i %wave, %3
    %a : v.f32, %b : v.f32 = loop %i : u.i32 = %0 to %limit step %1
        carry %p : v.f32 = %a0, %q : v.f32 = %b0 { yield %q, %p }
    %never : v.f32 = loop %j : u.i32 = %3 to %3 step %1 carry %s : v.f32 = %a { yield %b0 }
    store y[%at], %never)");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(samples.y[2], 1.0f);  // wave 0: three swaps give x, and %a is the old q
  EXPECT_EQ(samples.y[5], 1.0f);
}

TEST(Interpret, BranchesAndConverts) {
  Samples samples;
  const Result<void> result = samples.run(std::string(kPlace) + R"(
    %c : u.b1 = eq_i %wave, %1
    branch %c {
      %big : u.f32 = constant 1e20
      %i : u.i32 = int_from_float %big
      %f : u.f32 = float_from_int %i
      store y[%base], %f
    } else {
      %nan : u.f32 = constant bits 0x7fc00000
      %i : u.i32 = int_from_float %nan
      %f : u.f32 = float_from_int %i
      store y[%base], %f
    })");
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(samples.y[0], 0.0f);
  EXPECT_EQ(samples.y[4], 2147483648.0f);
}

void expect_fault(const std::string& body, const std::string& message) {
  Samples samples;
  const Result<void> result = samples.run(kPlace + body);
  ASSERT_FALSE(result) << body;
  EXPECT_EQ(result.error().kind(), ErrorKind::internal);
  EXPECT_NE(result.error().message().find(message), std::string::npos) << result.error().message();
}

TEST(Interpret, ChecksBounds) {
  expect_fault("%v : v.f32 = load x[%0 + lane * 32]",
               "in wave (0), lane (2) reaches element (64) outside of 0 to 63");
  expect_fault("%m : u.i32 = constant -1 %v : u.f32 = load x[%m]",
               "in wave (0) reaches element (-1) outside of 0 to 63");
  expect_fault("%m : u.i32 = constant 16 %v : u.f32x4 = load x[%m]", "reaches element (64)");
  expect_fault("%m : u.i32 = constant 16 %v : u.f32 = load_local s[%m]", "reaches element (16)");
}

TEST(Interpret, LocalMemoryStartsAsNaN) {
  Samples samples;
  const Result<void> result =
      samples.run(std::string(kPlace) + "%v : u.f32 = load_local s[%0] store y[%base], %v");
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(std::isnan(samples.y[0]));
}

TEST(Interpret, FindsRacesInLocalMemory) {
  const std::string write =
      "%v : v.f32 = load x[%at] %s : v.i32 = add_i %w4, %lane "
      "store_local s[%s], %v ";
  const std::string other = "%7 : u.i32 = constant 7 %r : v.i32 = sub_i %7, %s ";
  expect_fault(write + other + "%o : v.f32 = load_local s[%r]",
               "writes element (4), which another lane touches with no barrier between");
  expect_fault(write + "barrier " + other + "%o : v.f32 = load_local s[%r] store_local s[%s], %o",
               "reads element (3), which another lane writes with no barrier between");
  expect_fault("%v : v.f32 = load x[%at] store_local s[%lane], %v",
               "in wave (1), lane (0) writes element (0)");
  Samples samples;
  const Result<void> result = samples.run(kPlace + write + other +
                                          "barrier %o : v.f32 = load_local s[%r] barrier "
                                          "store_local s[%s], %o %again : v.f32 = load_local s[%s] "
                                          "store y[%at], %again");
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(samples.y[0], 3.5f);
  EXPECT_EQ(samples.y[15], 4.0f);
}

TEST(Interpret, FindsRacesInBuffers) {
  expect_fault("%v : v.f32 = load x[%at] store y[%lane], %v",
               "in wave (1), lane (0) writes element (0)");
  expect_fault("%v : v.f32 = load x[%at] store y[%at], %v %b : v.f32 = load y[%lane]",
               "in wave (1), lane (0) reads element (0)");
  Samples samples;  // the same bits by several lanes are no race
  const Result<void> result =
      samples.run(std::string(kPlace) + "%f : u.f32 = constant 3 store y[%0 + lane * 0], %f");
  EXPECT_TRUE(result) << result.error().message();
}

TEST(Interpret, ChecksItsBuffers) {
  std::vector<float> few(3);
  Samples samples;
  const Program program = *parse_program(kernel_around(""), "test");
  const Result<void> count = interpret(program, Buffers{bytes(few)});
  ASSERT_FALSE(count);
  EXPECT_EQ(count.error().kind(), ErrorKind::invalid_argument);
  const Result<void> size =
      interpret(program, Buffers{bytes(few), bytes(samples.y), bytes(samples.h), bytes(samples.n)});
  ASSERT_FALSE(size);
  EXPECT_NE(size.error().message().find("fewer bytes (12) than it needs (256)"), std::string::npos);
}

// The example of docs/kernel-format.md is taken from there, so that the page stays true.
TEST(Interpret, RunsTheDocumentedKernel) {
  std::ifstream file(LEAT_SOURCE_DIR "/docs/kernel-format.md");
  std::stringstream page;
  page << file.rdbuf();
  std::string text = page.str();
  text.erase(0, text.find("```\nleat-kernel 1") + 4);
  text.resize(text.find("```"));
  const Result<Program> program = parse_program(text, "kernel-format.md");
  ASSERT_TRUE(program) << program.error().message();
  std::vector<uint16_t> x;
  for (int i = 0; i < 40; ++i) x.push_back(half_from_float(static_cast<float>(i - 20)));
  std::vector<float> bias = {1, 2, 3, 4};
  std::vector<float> y(40, -1);
  const Result<void> result = interpret(*program, Buffers{bytes(x), bytes(bias), bytes(y)});
  ASSERT_TRUE(result) << result.error().message();
  for (size_t i = 0; i < 40; ++i) {
    const float sum = static_cast<float>(i) * 2 - 40 + bias[i / 10];
    EXPECT_EQ(y[i], std::max(sum, 0.0f)) << i;
  }
}

TEST(Interpret, RunsTheSampler) {
  std::vector<uint16_t> x(256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = half_from_float(static_cast<float>(i % 29));
  std::vector<int32_t> n = {4, 5, 6};
  n.resize(256);
  std::vector<float> y(256);
  const Result<void> result = interpret(sampler(), Buffers{bytes(x), bytes(n), bytes(y)});
  ASSERT_TRUE(result) << result.error().message();
}

}  // namespace
}  // namespace leat::ir
