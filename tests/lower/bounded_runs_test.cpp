// Kernels of one's own whose indices or counters wrap, on the CPU itself: the interpreter, which
// wraps elsewhere, cannot tell. Before and behind each argument lies memory that stays as it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "leat/emit/emit.h"
#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "leat/ir/verify.h"
#include "leat/lower/bound_accesses.h"
#include "leat/lower/passes.h"
#include "leat/run/compiling_cpu_test.h"
#include "leat/run/user_kernel.h"

namespace leat {
namespace {

using Words = std::vector<int32_t>;

constexpr size_t kGuardBytes = 4096;
constexpr int32_t kTwo = 0x40000000;   // the bits of 2.0f
constexpr int32_t kFive = 0x40a00000;  // and of 5.0f
constexpr uint64_t kTimeoutNs = 20'000'000'000;

struct BoundedRun {
  const char* name;
  std::string text;
  std::vector<Words> arguments;
  size_t open;
};

std::string kernel_text(int groups, const std::string& rest) {
  return "leat-kernel 2\nkernel \"wraps\" lanes 4 waves 1 grid " + std::to_string(groups) +
         " 1 1\n" + rest;
}

std::string loop_to_end(const std::string& step) {
  return kernel_text(1, R"(parameter n : i32[1] read
parameter x : f32[1000] read
parameter y : f32[4] write
{
  %zero : u.i32 = constant 0
  %size : u.i32 = constant 1000
  %none : u.f32 = constant 0
  %n : u.i32 = load n[%zero]
  %end : u.i32 = max_i %n, %zero
  %step : u.i32 = constant )" +
                            step.substr(0, step.find(' ')) +
                            R"(
  %sum : u.f32 = loop %i : u.i32 = %zero to %end step %step)" +
                            (step.find(' ') == step.npos ? "" : step.substr(step.find(' '))) +
                            R"( carry %a : u.f32 = %none {
    %in : u.b1 = lt_i %i, %size
    %x : u.f32 = load x[%i] if %in
    %next : u.f32 = add_f %a, %x
    yield %next
  }
  store y[%zero + lane * 1], %sum
}
)");
}

const std::string kZeroOfAnOpenLoad = kernel_text(1, R"(parameter at : i32[1] read
parameter n : i32[1] read
parameter y : f32[4] write
{
  %zero : u.i32 = constant 0
  %million : u.i32 = constant 1000000
  %two : u.f32 = constant 2
  %bad : u.i32 = load at[%zero]
  %k : u.i32 = load n[%bad]
  %i : u.i32 = sub_i %k, %million
  store y[%i + lane * 1], %two
}
)");

std::vector<BoundedRun> runs_of_indices() {
  return {
      {"a product of what is loaded",
       kernel_text(1, R"(parameter n : i32[1] read
parameter y : f32[8] write
{
  %zero : u.i32 = constant 0
  %large : u.i32 = constant 65536
  %two : u.f32 = constant 2
  %k : u.i32 = load n[%zero]
  %i : u.i32 = mul_i %k, %large
  store y[%i], %two
}
)"),
       {{65536}, Words(8)},
       1},
      {"a product that is shifted back",
       kernel_text(24, R"(parameter y : f32[64] write
{
  %g : u.i32 = group_id 0
  %first : u.i32 = constant 15
  %large : u.i32 = constant 268435456
  %bits : u.i32 = constant 26
  %two : u.f32 = constant 2
  %a : u.i32 = mul_i %g, %large
  %i : u.i32 = shr_u %a, %bits
  %late : u.b1 = lt_i %first, %g
  store y[%i], %two if %late
}
)"),
       {Words(64)},
       1},
      {"a stride of lanes",
       kernel_text(1, R"(parameter y : f32[8] write
{
  %lane : v.i32 = lane_id
  %zero : u.i32 = constant 0
  %three : u.i32 = constant 3
  %two : u.f32 = constant 2
  %is_last : v.b1 = eq_i %lane, %three
  store y[%zero + lane * 1431655766], %two if %is_last
}
)"),
       {Words(8)},
       1},
      {"a constant that would wrap if it moved",
       kernel_text(1, R"(parameter n : i32[1] read
parameter y : f32[4] write
{
  %zero : u.i32 = constant 0
  %million : u.i32 = constant 1000000
  %page : u.i32 = constant 4096
  %two : u.f32 = constant 2
  %k : u.i32 = load n[%zero]
  %a : u.i32 = sub_i %k, %million
  %i : u.i32 = mul_i %a, %page
  store y[%i + lane * 1], %two
}
)"),
       {{1000000}, Words(4)},
       0},
  };
}

std::vector<BoundedRun> runs_of_loads_and_loops() {
  return {
      {"what an open load gives", kZeroOfAnOpenLoad, {{7}, {1000000}, Words(4)}, 2},
      {"a counter", loop_to_end("1073741824"), {{INT32_MAX}, Words(1000, kFive), Words(4)}, 1},
      {"copies of a loop",
       loop_to_end("1000000 unroll 4"),
       {{INT32_MAX}, Words(1000, kFive), Words(4)},
       1},
      {"copies of a loop that ends early",
       loop_to_end("100 unroll 4"),
       {{905}, Words(1000, kFive), Words(4)},
       0},
  };
}

std::vector<BoundedRun> bounded_runs() {
  std::vector<BoundedRun> all = runs_of_indices();
  std::ranges::move(runs_of_loads_and_loops(), std::back_inserter(all));
  return all;
}

std::vector<std::span<std::byte>> bytes_of(std::vector<Words>& arguments) {
  std::vector<std::span<std::byte>> spans;
  for (Words& words : arguments) spans.push_back(std::as_writable_bytes(std::span(words)));
  return spans;
}

/// The arguments in one piece of memory, with guards around each.
struct Image {
  std::vector<std::byte> bytes;
  std::vector<size_t> offsets;
};

Image image_of(std::vector<Words> arguments) {
  Image image;
  for (const std::span<std::byte> argument : bytes_of(arguments)) {
    image.offsets.push_back(image.bytes.size() + kGuardBytes);
    const size_t whole = (argument.size() + kBufferAlignment - 1) / kBufferAlignment;
    image.bytes.resize(image.offsets.back() + whole * kBufferAlignment, std::byte{0xa5});
    std::ranges::copy(argument, image.bytes.begin() + static_cast<ptrdiff_t>(image.offsets.back()));
  }
  image.bytes.resize(image.bytes.size() + kGuardBytes, std::byte{0xa5});
  return image;
}

ir::Program bounded(const BoundedRun& run) {
  Result<ir::Program> program = ir::parse_program(run.text, "wraps.ir");
  EXPECT_TRUE(program) << program.error().message();
  const Result<void> verified = ir::verify(*program);
  EXPECT_TRUE(verified) << verified.error().message();
  std::vector<std::optional<ir::Range>> contents(run.arguments.size());
  for (size_t i = 0; i < contents.size(); ++i) {
    const ir::Parameter& parameter = program->parameters[i];
    if (parameter.written || parameter.storage != DType::i32) continue;
    const auto [lo, hi] = std::ranges::minmax(run.arguments[i]);
    contents[i] = ir::Range{lo, hi};
  }
  const ir::LaunchRanges ranges = ir::find_ranges(*program, contents);
  EXPECT_EQ(ranges.open.size(), run.open);
  Result<ir::Program> bound = bound_accesses(*program, ranges.open);
  EXPECT_TRUE(bound) << bound.error().message();
  return *bound;
}

void launch(Device& device, const ir::Program& program, std::vector<Words> arguments, Image& got) {
  ir::Program legal = program;
  ASSERT_TRUE(run_passes(legal, device.target()));
  const Result<KernelBinary> binary = emit(legal, device.target());
  ASSERT_TRUE(binary) << binary.error().message();
  const Result<std::unique_ptr<Kernel>> loaded = device.load(*binary);
  ASSERT_TRUE(loaded) << loaded.error().message();
  const Result<Buffer> memory = device.allocate(got.bytes.size(), MemoryKind::shared);
  ASSERT_TRUE(memory) << memory.error().message();
  ASSERT_TRUE(write_buffer(device, {&*memory, 0, got.bytes.size()}, got.bytes));
  std::vector<BufferRange> ranges;
  for (size_t i = 0; i < arguments.size(); ++i) {
    ranges.push_back({&*memory, got.offsets[i], arguments[i].size() * sizeof(int32_t)});
  }
  ASSERT_TRUE(device.queue().launch(**loaded, ranges));
  const Result<uint64_t> value = device.queue().submit();
  ASSERT_TRUE(value) << value.error().message();
  const Result<bool> is_done = device.queue().fence().wait(*value, kTimeoutNs);
  ASSERT_TRUE(is_done && *is_done);
  ASSERT_TRUE(read_buffer(device, {&*memory, 0, got.bytes.size()}, got.bytes));
}

TEST(BoundedRuns, TouchNothingOutsideOnTheCpuAndComputeTheSame) {
  const auto device = open_compiling_cpu(1);
  if (!device) GTEST_SKIP() << "This build has no cpu device: " << device.error().message();
  for (const BoundedRun& run : bounded_runs()) {
    SCOPED_TRACE(run.name);
    const ir::Program program = bounded(run);
    std::vector<Words> wanted = run.arguments;
    const std::vector<std::span<std::byte>> spans = bytes_of(wanted);
    const Result<void> interpreted = ir::interpret(program, spans);
    ASSERT_TRUE(interpreted) << interpreted.error().message();
    Image got = image_of(run.arguments);
    launch(**device, program, run.arguments, got);
    EXPECT_TRUE(got.bytes == image_of(wanted).bytes);
  }
}

Result<void> run_loaded(LoadedKernel& loaded, std::vector<Words>& arguments) {
  const std::vector<std::span<std::byte>> spans = bytes_of(arguments);
  return loaded.run(spans);
}

TEST(BoundedRuns, ALaterRunIsProvenForItsOwnNumbers) {
  const auto device = open_compiling_cpu(1);
  if (!device) GTEST_SKIP() << "This build has no cpu device: " << device.error().message();
  Result<UserKernel> kernel = UserKernel::parse(kZeroOfAnOpenLoad, "zero.ir");
  ASSERT_TRUE(kernel) << kernel.error().message();
  const auto loaded = LoadedKernel::load(**device, *kernel, {});
  ASSERT_TRUE(loaded) << loaded.error().message();
  for (const int32_t at : {0, 7, 0, -1}) {
    std::vector<Words> arguments = {{at}, {1000000}, Words(4)};
    ASSERT_TRUE(run_loaded(**loaded, arguments)) << at;
    EXPECT_EQ(arguments[2], Words(4, at == 0 ? kTwo : 0)) << at;
    EXPECT_EQ((*loaded)->masked_count(), at == 0 ? 0u : 2u) << at;
  }
}

// Nobody's trust lets an access pass that is neither proven nor can be masked.
TEST(BoundedRuns, WhatCannotBeMaskedIsNotRun) {
  const auto device = open_compiling_cpu(1);
  if (!device) GTEST_SKIP() << "This build has no cpu device: " << device.error().message();
  Result<UserKernel> kernel = UserKernel::parse(kernel_text(1, R"(parameter n : i32[1] read
parameter counter : i32[4] write
{
  %zero : u.i32 = constant 0
  %two : u.i32 = constant 2
  %n : u.i32 = load n[%zero]
  %is_last : u.b1 = last_group counter[%n], %two
}
)"),
                                                "last.ir");
  ASSERT_TRUE(kernel) << kernel.error().message();
  const auto loaded = LoadedKernel::load(**device, *kernel, {});
  ASSERT_TRUE(loaded) << loaded.error().message();
  std::vector<Words> inside = {{3}, Words(4)}, outside = {{4}, Words(4)};
  const Result<void> run = run_loaded(**loaded, inside);
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(inside[1], (Words{0, 0, 0, 1}));
  const Result<void> refused = run_loaded(**loaded, outside);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().message().find("cannot be masked"), std::string::npos);
}

}  // namespace
}  // namespace leat
