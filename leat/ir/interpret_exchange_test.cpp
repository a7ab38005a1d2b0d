// The interpreter on what lanes exchange, fragments, asynchronous copies and numbers of 64 bits:
// results against plain loops, and what it must notice.
#include <gtest/gtest.h>

#include <bit>

#include "leat/ir/builder.h"
#include "leat/ir/interpret.h"

namespace leat::ir {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

template <typename... Values>
Result<void> run(const Program& program, std::vector<Values>&... values) {
  const std::vector<std::span<std::byte>> buffers = {std::as_writable_bytes(std::span(values))...};
  return interpret(program, buffers);
}

std::string message_of(const Result<void>& result) {
  return result ? "no error" : result.error().message();
}

TEST(InterpretExchange, Shuffles) {
  Builder b("shuffle", 8, 1);
  const uint32_t x = b.parameter("x", DType::i32, false, 8);
  const uint32_t y = b.parameter("y", DType::i32, true, 40);
  const ValueId value = b.load(x, b.lane_id());
  const ValueId results[] = {b.shuffle(value, b.mul(b.lane_id(), b.i32(3))),
                             b.shuffle(value, b.i32(10)), b.shuffle(Opcode::shuffle_xor, value, 5),
                             b.shuffle(Opcode::shuffle_up, value, 3),
                             b.shuffle(Opcode::shuffle_down, value, 2)};
  for (int64_t i = 0; i < 5; ++i) b.store(y, b.add(b.lane_id(), b.i32(8 * i)), results[i]);
  Ints in = {0, 10, 20, 30, 40, 50, 60, 70};
  Ints out(40);
  const Result<void> done = run(b.finish(), in, out);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(out,
            (Ints{0,  30, 60, 10, 40, 70, 20, 50, 20, 20, 20, 20, 20, 20, 20, 20, 50, 40, 70, 60,
                  10, 0,  30, 20, 0,  10, 20, 0,  10, 20, 30, 40, 20, 30, 40, 50, 60, 70, 60, 70}));
}

TEST(InterpretExchange, DotProductsOfBytes) {
  Builder b("dot", 1, 1);
  const uint32_t x = b.parameter("x", DType::i32, false, 2);
  const uint32_t y = b.parameter("y", DType::i32, true, 3);
  const ValueId p = b.load(x, b.i32(0)), q = b.load(x, b.i32(1));
  b.store(y, b.i32(0), b.dot(Opcode::dot_ss, p, q, b.i32(1000)));
  b.store(y, b.i32(1), b.dot(Opcode::dot_us, p, q, b.i32(1000)));
  b.store(y, b.i32(2), b.dot(Opcode::dot_uu, p, q, b.i32(1000)));
  Ints in = {static_cast<int32_t>(0x80ff0203), static_cast<int32_t>(0x8001fe05)};
  Ints out(3);
  ASSERT_TRUE(run(b.finish(), in, out));
  EXPECT_EQ(out[0], 1000 + (-128 * -128) + (-1 * 1) + (2 * -2) + (3 * 5));
  EXPECT_EQ(out[1], 1000 + (128 * -128) + (255 * 1) + (2 * -2) + (3 * 5));
  EXPECT_EQ(out[2], 1000 + (128 * 128) + (255 * 1) + (2 * 254) + (3 * 5));
}

// 1 and 2^-7 in one word, 3 and -0.5 in the other; the sum has more bits than a product.
TEST(InterpretExchange, DotProductsOfPairs) {
  Builder b("dot", 1, 1);
  const uint32_t x = b.parameter("x", DType::i32, false, 2);
  const uint32_t y = b.parameter("y", DType::f32, true, 1);
  const ValueId p = b.load(x, b.i32(0)), q = b.load(x, b.i32(1));
  b.store(y, b.i32(0), b.dot(Opcode::dot_bf16, p, q, b.f32(1000)));
  Ints in = {0x3c003f80, static_cast<int32_t>(0xbf004040)};
  Floats out(1);
  ASSERT_TRUE(run(b.finish(), in, out));
  EXPECT_EQ(out[0], 1003.0f - 0x1p-8f);
}

// Rows 2 r and 2 r + 1 of b lie side by side.
TEST(InterpretExchange, FragmentsInWords) {
  Builder b("words", 4, 1);
  const Fragment shape = {.m = 1, .n = 2, .k = 4};
  const auto fragment_of = [&](Role role, DType element) {
    return Fragment{.role = role, .element = element, .m = shape.m, .n = shape.n, .k = shape.k};
  };
  const uint32_t x = b.parameter("x", DType::bf16, false, 4);
  const uint32_t w = b.parameter("w", DType::bf16, false, 8);
  const uint32_t y = b.parameter("y", DType::f32, true, 2);
  const ValueId zero = b.i32(0);
  const ValueId left = b.fragment_load(fragment_of(Role::a, DType::bf16),
                                       {.slot = x, .index = zero, .stride = b.i32(4)});
  const ValueId right =
      b.fragment_load(fragment_of(Role::b, DType::bf16),
                      {.slot = w, .index = zero, .stride = b.i32(4), .in_words = true});
  const ValueId start = b.fragment_fill(fragment_of(Role::sum, DType::f32), b.f32(0));
  b.fragment_store({.slot = y, .index = zero, .stride = b.i32(2)}, b.mma(left, right, start));
  const auto brain = [](float value) {
    return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  };
  std::vector<uint16_t> a, in_words;
  for (const float value : {1.0f, 10.0f, 100.0f, 1000.0f}) a.push_back(brain(value));
  for (const float value : {1.0f, 2.0f, 5.0f, 6.0f, 3.0f, 4.0f, 7.0f, 8.0f}) {
    in_words.push_back(brain(value));
  }
  Floats out(2);
  ASSERT_TRUE(run(b.finish(), a, in_words, out));
  EXPECT_EQ(out, (Floats{4321, 8765}));
}

Fragment fragment(Role role, DType element) {
  return {.role = role, .element = element, .m = 4, .n = 2, .k = 8};
}

TEST(InterpretExchange, MultipliesFragments) {
  Builder b("mma", 4, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 32);
  const uint32_t w = b.parameter("w", DType::f32, false, 16);
  const uint32_t y = b.parameter("y", DType::f32, true, 8);
  const ValueId zero = b.i32(0);
  const ValueId left = b.fragment_load(fragment(Role::a, DType::f32),
                                       {.slot = x, .index = zero, .stride = b.i32(8)});
  const ValueId right =
      b.fragment_load(fragment(Role::b, DType::f32),
                      {.slot = w, .index = zero, .stride = b.i32(8), .by_columns = true});
  const ValueId start = b.fragment_fill(fragment(Role::sum, DType::f32), b.f32(0.5f));
  b.fragment_store({.slot = y, .index = zero, .stride = b.i32(2)}, b.mma(left, right, start));
  Floats a(32), c(16), out(8), wanted(8, 0.5f);
  for (size_t i = 0; i < 32; ++i) a[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < 16; ++i) c[i] = static_cast<float>(i % 5) - 2;
  for (size_t m = 0; m < 4; ++m) {
    for (size_t n = 0; n < 2; ++n) {
      for (size_t k = 0; k < 8; ++k) wanted[m * 2 + n] += a[m * 8 + k] * c[n * 8 + k];
    }
  }
  const Result<void> done = run(b.finish(), a, c, out);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(out, wanted);
}

TEST(InterpretExchange, ChecksWhereAFragmentLies) {
  for (const auto& [index, stride, part] : {std::tuple(4, 8, "no error"),
                                            {2, 8, "is no multiple of (4)"},
                                            {4, 6, "no multiple"},
                                            {8, 8, "reaches element (36) outside of 0 to 35"}}) {
    Builder b("place", 4, 1);
    const uint32_t x = b.parameter("x", DType::f32, false, 36);
    const uint32_t y = b.parameter("y", DType::f32, true, 8);
    const ValueId sum = b.fragment_fill(fragment(Role::sum, DType::f32), b.f32(0));
    const ValueId left = b.fragment_load(
        fragment(Role::a, DType::f32), {.slot = x, .index = b.i32(index), .stride = b.i32(stride)});
    const ValueId right = b.fragment_load(fragment(Role::b, DType::f32),
                                          {.slot = x, .index = b.i32(0), .stride = b.i32(2)});
    b.fragment_store({.slot = y, .index = b.i32(0), .stride = b.i32(2)}, b.mma(left, right, sum));
    Floats in(36), out(8);
    const std::string message = message_of(run(b.finish(), in, out));
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

enum class Mistake { none, reads_early, writes_early, no_barrier, never_waits, unaligned };

Program copy_program(Mistake mistake) {
  Builder b("copy", 4, 2);
  const uint32_t x = b.parameter("x", DType::f32, false, 64);
  const uint32_t y = b.parameter("y", DType::f32, true, 32);
  const uint32_t tile = b.local("tile", DType::f32, 1, 64);
  const ValueId place = b.add(b.mul(b.wave_id(), b.i32(4)), b.lane_id());
  const ValueId first = b.mul(place, b.i32(4));
  const ValueId source = mistake == Mistake::unaligned ? b.add(first, b.i32(2)) : first;
  b.copy_async(tile, first, x, source, 4, b.binary(Opcode::lt_i, b.lane_id(), b.i32(3)));
  b.copy_commit();
  if (mistake == Mistake::reads_early) b.store(y, place, b.load_local(tile, first));
  if (mistake == Mistake::writes_early) b.store_local(tile, first, b.f32(1));
  if (mistake != Mistake::never_waits) b.copy_wait(0);
  if (mistake != Mistake::no_barrier) b.barrier();
  if (mistake == Mistake::never_waits) return b.finish();
  b.store(y, place, b.load_local(tile, b.sub(b.i32(31), first)));
  return b.finish();
}

TEST(InterpretExchange, CopiesArriveWhenTheyAreWaitedFor) {
  Floats x(64), y(32);
  for (size_t i = 0; i < 64; ++i) x[i] = static_cast<float>(i);
  const Result<void> done = run(copy_program(Mistake::none), x, y);
  ASSERT_TRUE(done) << done.error().message();
  // Element 31 - 4 i; lanes 3 of both waves were masked off and copied zeros.
  EXPECT_EQ(Floats(y.begin(), y.begin() + 8), (Floats{0, 27, 23, 19, 0, 11, 7, 3}));
}

TEST(InterpretExchange, NoticesMistakesWithCopies) {
  for (const auto& [mistake, part] :
       {std::pair(Mistake::reads_early, "before an asynchronous copy to it has arrived"),
        {Mistake::writes_early, "before an asynchronous copy to it has arrived"},
        {Mistake::no_barrier, "another lane"},
        {Mistake::never_waits, "does not wait for"},
        {Mistake::unaligned, "no multiples of (4)"}}) {
    Floats x(64), y(32);
    const std::string message = message_of(run(copy_program(mistake), x, y));
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(InterpretExchange, WhatIsFetchedAheadIsThereInWholePieces) {
  for (const auto& [first, part] : {std::pair(32, ""),
                                    {36, "fetches elements (36) to (68) of (64)"},
                                    {-4, "(-4) to (28)"},
                                    {2, "in pieces of (16) bytes"}}) {
    Builder b("prefetch", 4, 1);
    const uint32_t x = b.parameter("x", DType::f32, false, 64);
    const uint32_t y = b.parameter("y", DType::f32, true, 4);
    b.prefetch(x, b.i32(first), 32);
    b.store(y, b.lane_id(), b.load(x, b.lane_id()));
    Floats in(64, 3), out(4);
    const Result<void> done = run(b.finish(), in, out);
    if (*part == 0) {
      ASSERT_TRUE(done) << done.error().message();
      EXPECT_EQ(out, Floats(4, 3));
    } else {
      EXPECT_NE(message_of(done).find(part), std::string::npos) << message_of(done);
    }
  }
}

TEST(InterpretExchange, NumbersOf64Bits) {
  Builder b("wide", 1, 1);
  const uint32_t n = b.parameter("n", DType::i64, false, 2);
  const uint32_t m = b.parameter("m", DType::i64, true, 4);
  const uint32_t d = b.parameter("d", DType::f64, true, 1);
  const ValueId p = b.load(n, b.i32(0)), q = b.load(n, b.i32(1));
  b.store(m, b.i32(0), b.mul(p, q));
  b.store(m, b.i32(1), b.binary(Opcode::div_i, p, q));
  b.store(m, b.i32(2), b.convert(Opcode::widen_u, b.convert(Opcode::narrow_i, p)));
  b.store(m, b.i32(3), b.convert(Opcode::int_from_float, b.f64(-1e18), Scalar::i64));
  b.store(d, b.i32(0), b.convert(Opcode::float_from_int, p, Scalar::f64));
  std::vector<int64_t> in = {-(int64_t{1} << 53) - 1, -3};
  std::vector<int64_t> out(4);
  std::vector<double> real(1);
  const Result<void> done = run(b.finish(), in, out, real);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(out, (std::vector<int64_t>{3 * ((int64_t{1} << 53) + 1), ((int64_t{1} << 53) + 1) / 3,
                                       0xffffffff, -1000000000000000000}));
  EXPECT_EQ(real[0], -0x1p53);  // to nearest even
}

}  // namespace
}  // namespace leat::ir
