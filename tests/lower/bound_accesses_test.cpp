// What bound_accesses makes of programs that leave their memory: they touch none outside, and where
// they stayed inside they compute the same.
#include "leat/lower/bound_accesses.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "leat/ir/verify.h"

namespace leat {
namespace {

constexpr const char* kWild = R"(leat-kernel 2
kernel "wild" lanes 4 waves 1 grid 4 1 1
parameter x : f32[10] read
parameter at : i32[16] read
parameter y : f32[10] write
parameter counts : i32[3] write
local t : f32[4]
{
  %lane : v.i32 = lane_id
  %g : u.i32 = group_id 0
  %four : u.i32 = constant 4
  %one : u.i32 = constant 1
  %g4 : u.i32 = mul_i %g, %four
  %k : v.i32 = load at[%g4 + lane * 1]
  %v : v.f32 = load x[%k]
  %near : v.i32 = add_i %k, %lane
  store_local t[%lane], %v
  barrier
  %t : v.f32 = load_local t[%near]
  %before : v.i32 = atomic_add counts[%k], %one
  %odd : v.i32 = and_i %lane, %one
  %is_odd : v.b1 = eq_i %odd, %one
  store y[%g4 + lane * 1], %v if %is_odd
}
)";

ir::Program wild() {
  Result<ir::Program> program = ir::parse_program(kWild, "wild.ir");
  EXPECT_TRUE(program) << program.error().message();
  EXPECT_TRUE(ir::verify(*program));
  return *program;
}

TEST(BoundAccesses, NothingOutsideIsTouched) {
  const ir::Program program = wild();
  const ir::LaunchRanges ranges = ir::find_ranges(program, {});
  EXPECT_EQ(ranges.open.size(), 4u);  // x, t, counts, y
  const Result<ir::Program> bound = bound_accesses(program, ranges.open);
  ASSERT_TRUE(bound) << bound.error().message();
  ASSERT_TRUE(ir::verify(*bound));
  EXPECT_TRUE(ir::find_ranges(*bound, {}).open.empty());

  std::vector<float> x(10), y(10, -1);
  std::iota(x.begin(), x.end(), 1.0f);
  std::vector<int32_t> at = {0, 9, 10, -1, INT32_MAX, INT32_MIN, 2, 3, 4, 5, 6, 7, 8, 9, 1, 100};
  std::vector<int32_t> counts(3, 0);
  const std::span<std::byte> buffers[] = {
      std::as_writable_bytes(std::span(x)), std::as_writable_bytes(std::span(at)),
      std::as_writable_bytes(std::span(y)), std::as_writable_bytes(std::span(counts))};
  EXPECT_FALSE(ir::interpret(program, buffers));
  std::fill(y.begin(), y.end(), -1.0f);
  std::fill(counts.begin(), counts.end(), 0);
  const Result<void> run = ir::interpret(*bound, buffers);
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(y, (std::vector<float>{-1, 10, -1, 0, -1, 0, -1, 4, -1, 6}));
  EXPECT_EQ(counts, (std::vector<int32_t>{1, 1, 1}));
}

TEST(BoundAccesses, WhatCannotBeMaskedIsRefused) {
  const Result<ir::Program> program = ir::parse_program(R"(leat-kernel 2
kernel "fetch" lanes 4 waves 1 grid 1 1 1
parameter x : f32[16] read
parameter n : i32[1] read
{
  %zero : u.i32 = constant 0
  %n : u.i32 = load n[%zero]
  prefetch x[%n] of 4
}
)",
                                                        "fetch.ir");
  ASSERT_TRUE(program) << program.error().message();
  const ir::LaunchRanges ranges = ir::find_ranges(*program, {});
  ASSERT_EQ(ranges.open.size(), 1u);
  const Result<ir::Program> bound = bound_accesses(*program, ranges.open);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(bound.error().message().find("prefetch"), std::string::npos);
}

}  // namespace
}  // namespace leat
