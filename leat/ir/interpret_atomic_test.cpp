// The interpreter on what workgroups do together: atomic additions, the counter that tells the last
// of them, and the order between workgroups that the counter gives and nothing else does.
#include <gtest/gtest.h>

#include "leat/ir/builder.h"
#include "leat/ir/interpret.h"

namespace leat::ir {
namespace {

using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

template <typename... Values>
Result<void> run(const Program& program, std::vector<Values>&... values) {
  const std::vector<std::span<std::byte>> buffers = {std::as_writable_bytes(std::span(values))...};
  return interpret(program, buffers);
}

std::string message_of(const Result<void>& result) {
  return result ? "no error" : result.error().message();
}

TEST(InterpretAtomic, LanesAddAndGetWhatWasThere) {
  Builder b("add", 4, 2);
  b.program().grid = {3, 1, 1};
  const uint32_t counts = b.parameter("counts", DType::i32, true, 2);
  const uint32_t sums = b.parameter("sums", DType::f32, true, 1);
  const uint32_t old = b.parameter("old", DType::i32, true, 24);
  const ValueId mask = b.binary(Opcode::lt_i, b.lane_id(), b.i32(3));
  const ValueId before = b.atomic_add(counts, b.i32(1), b.i32(5), mask);
  b.atomic_add(sums, b.i32(0), b.f32(0.5f));
  const ValueId wave = b.add(b.mul(b.group_id(0), b.i32(2)), b.wave_id());
  b.store(old, b.add(b.mul(wave, b.i32(4)), b.lane_id()), before);
  Ints count = {7, 1};
  Floats sum = {1};
  Ints olds(24, -1);
  const Result<void> done = run(b.finish(), count, sum, olds);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(count, (Ints{7, 1 + 5 * 18}));
  EXPECT_EQ(sum, (Floats{13}));
  EXPECT_EQ(olds[2], 11);
  EXPECT_EQ(olds[3], 0);  // masked off
  EXPECT_EQ(olds[22], 1 + 5 * 17);
}

/// Each of `groups` workgroups stores its number; the last adds all of them up. With `waits` false
/// every workgroup does, whether it is the last or not.
Program split_sum(uint32_t groups, int32_t count, bool waits) {
  Builder b("split_sum", 4, 2);
  b.program().grid = {groups, 1, 1};
  const uint32_t parts = b.parameter("parts", DType::i32, true, groups * 8);
  const uint32_t counter = b.parameter("counter", DType::i32, true, 1);
  const uint32_t y = b.parameter("y", DType::i32, true, 8);
  const ValueId place = b.add(b.mul(b.wave_id(), b.i32(4)), b.lane_id());
  b.store(parts, b.add(b.mul(b.group_id(0), b.i32(8)), place), b.add(b.group_id(0), place));
  const auto add_all = [&] {
    const std::vector<ValueId> zero = {b.i32(0)};
    const auto body = [&](ValueId i, std::span<const ValueId> carried) {
      const ValueId part = b.load(parts, b.add(b.mul(i, b.i32(8)), place));
      return std::vector<ValueId>{b.add(carried[0], part)};
    };
    const ValueId sum = b.loop(b.i32(0), b.i32(groups), 1, zero, true, body)[0];
    b.store(y, place, sum);
  };
  const ValueId is_last = b.last_group(counter, b.i32(0), b.i32(count));
  if (waits) {
    b.branch(is_last, add_all);
  } else {
    add_all();
  }
  return b.finish();
}

TEST(InterpretAtomic, TheLastGroupSeesTheOthersWork) {
  Ints parts(40);
  Ints counter = {0};
  Ints y(8);
  const Program program = split_sum(5, 5, true);
  for (int launch = 0; launch < 2; ++launch) {  // the counter is ready for the next launch
    const Result<void> done = run(program, parts, counter, y);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(y, (Ints{10, 15, 20, 25, 30, 35, 40, 45}));
    EXPECT_EQ(counter, (Ints{0}));
  }
}

TEST(InterpretAtomic, NoticesWhoReadsWithoutBeingTheLast) {
  Ints parts(40);
  Ints counter = {0};
  Ints y(8);
  const Result<void> early = run(split_sum(5, 5, false), parts, counter, y);
  EXPECT_NE(message_of(early).find("writes element (8), which another lane touches"),
            std::string::npos)
      << message_of(early);
  // Of six groups the counter lets every third be the last: the first of them reads too early.
  parts.resize(48);
  counter = {0};
  const Result<void> some = run(split_sum(6, 3, true), parts, counter, y);
  EXPECT_NE(message_of(some).find("writes element (24), which another lane touches"),
            std::string::npos)
      << message_of(some);
}

TEST(InterpretAtomic, NoticesPlainAccessBesideAtomicOne) {
  for (const bool reads : {true, false}) {
    Builder b("mixed", 4, 1);
    const uint32_t counts = b.parameter("counts", DType::i32, true, 1);
    b.atomic_add(counts, b.i32(0), b.i32(1));
    const ValueId mask = b.binary(Opcode::lt_i, b.lane_id(), b.i32(1));
    if (reads) {
      const uint32_t y = b.parameter("y", DType::i32, true, 1);
      b.store(y, b.lane_id(), b.load(counts, b.i32(0)), mask);
    } else {
      b.store(counts, b.lane_id(), b.i32(9), mask);
    }
    Ints count = {0};
    Ints y = {0};
    const Program program = b.finish();
    const Result<void> done = reads ? run(program, count, y) : run(program, count);
    EXPECT_NE(message_of(done).find("another lane"), std::string::npos) << message_of(done);
  }
}

TEST(InterpretAtomic, ChecksBounds) {
  Builder b("outside", 4, 1);
  const uint32_t counts = b.parameter("counts", DType::i32, true, 3);
  b.atomic_add(counts, b.lane_id(), b.i32(1));
  Ints count(3);
  EXPECT_NE(message_of(run(b.finish(), count)).find("element (3) outside of 0 to 2"),
            std::string::npos);
  Builder c("counter", 4, 1);
  c.last_group(c.parameter("counter", DType::i32, true, 3), c.i32(-1), c.i32(1));
  EXPECT_NE(message_of(run(c.finish(), count)).find("element (-1) outside of 0 to 2"),
            std::string::npos);
}

}  // namespace
}  // namespace leat::ir
