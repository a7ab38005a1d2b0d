// The proof that an index is uniform + lane * stride.
#include "leat/emit/llvm_affine.h"

#include <gtest/gtest.h>

#include "leat/ir/builder.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

struct AffineTest : testing::Test {
  AffineTest() : b("affine", 8, 1) {
    x = b.parameter("x", DType::i32, false, 1024);
    lane = b.lane_id();
    group = b.group_id(0);
    data = b.load(x, group);
    lane_data = b.load(x, lane);
    keeper = b.parameter("keeper", DType::i32, true, 1024);
  }

  std::optional<AffineIndex> split(ValueId value) {
    return AffineIndices(b.program()).split(value);
  }

  Builder b;
  uint32_t x = 0, keeper = 0;
  ValueId lane, group, data, lane_data;
};

TEST_F(AffineTest, SumsAndProducts) {
  const ValueId index = b.add(b.mul(b.add(group, b.i32(3)), b.i32(16)), b.mul(lane, b.i32(2)));
  const std::optional<AffineIndex> affine = split(index);
  ASSERT_TRUE(affine);
  EXPECT_EQ(affine->constant, 48);
  EXPECT_EQ(affine->lane_stride, 2);
  ASSERT_EQ(affine->terms.size(), 1u);
  EXPECT_EQ(affine->terms[0], (AffineTerm{group, 16}));
}

TEST_F(AffineTest, LikeTermsCancel) {
  const ValueId index = b.sub(b.add(b.mul(data, b.i32(5)), lane), b.mul(data, b.i32(5)));
  EXPECT_EQ(split(index), (AffineIndex{{}, 0, 1}));
}

TEST_F(AffineTest, UniformValuesAlwaysSplit) {
  const ValueId product = b.mul(data, group);
  EXPECT_EQ(split(product), (AffineIndex{{{product, 1}}, 0, 0}));
  EXPECT_EQ(split(b.add(product, lane)), (AffineIndex{{{product, 1}}, 0, 1}));
}

TEST_F(AffineTest, WhatDiffersByLaneOtherwiseDoesNotSplit) {
  EXPECT_FALSE(split(lane_data));
  EXPECT_FALSE(split(b.add(lane_data, lane)));
  EXPECT_FALSE(split(b.binary(Opcode::xor_i, lane, b.i32(1))));
  EXPECT_FALSE(split(b.mul(lane, data)));
  EXPECT_FALSE(split(b.binary(Opcode::rem_i, lane, b.i32(4))));
}

// Lanes 0 to 7 with groups of 8: (8 group + lane) / 8 is the group, the remainder the lane.
TEST_F(AffineTest, DivisionOfWholeRows) {
  const ValueId flat = b.add(b.mul(group, b.i32(16)), lane);
  EXPECT_EQ(split(b.binary(Opcode::div_i, flat, b.i32(8))), (AffineIndex{{{group, 2}}, 0, 0}));
  EXPECT_EQ(split(b.binary(Opcode::rem_i, flat, b.i32(8))), (AffineIndex{{}, 0, 1}));
  EXPECT_EQ(split(b.binary(Opcode::shr_u, flat, b.i32(3))), (AffineIndex{{{group, 2}}, 0, 0}));
  EXPECT_EQ(split(b.binary(Opcode::and_i, flat, b.i32(7))), (AffineIndex{{}, 0, 1}));
  const ValueId shifted = b.add(flat, b.i32(1));
  EXPECT_FALSE(split(b.binary(Opcode::div_i, shifted, b.i32(8))));
  // The data may be negative, where a division rounds the other way.
  const ValueId signed_row = b.add(b.mul(data, b.i32(8)), lane);
  EXPECT_FALSE(split(b.binary(Opcode::div_i, signed_row, b.i32(8))));
}

TEST_F(AffineTest, OuterTermsComeFirst) {
  ValueId index = 0, inner = 0, outer = 0;
  b.loop(b.i32(0), b.i32(9), 2, {}, false, [&](ValueId i, std::span<const ValueId>) {
    b.loop(b.i32(1), b.i32(4), 1, {}, false, [&](ValueId j, std::span<const ValueId>) {
      outer = i;
      inner = j;
      index = b.add(b.add(b.mul(j, b.i32(2)), i), b.add(group, lane));
      b.store(keeper, b.i32(0), j);
      return std::vector<ValueId>{};
    });
    return std::vector<ValueId>{};
  });
  AffineIndices affine(b.program());
  const std::optional<AffineIndex> split_index = affine.split(index);
  ASSERT_TRUE(split_index);
  const std::vector<AffineTerm> wanted = {{group, 1}, {outer, 1}, {inner, 2}};
  EXPECT_EQ(split_index->terms, wanted);
  EXPECT_EQ(affine.depth_of(group), 0u);
  EXPECT_EQ(affine.depth_of(outer), 1u);
  EXPECT_EQ(affine.depth_of(index), 2u);
  ASSERT_TRUE(affine.counter_range_of(outer));
  EXPECT_EQ(affine.counter_range_of(outer)->last, 8);
  EXPECT_EQ(affine.counter_range_of(inner)->first, 1);
  EXPECT_FALSE(affine.counter_range_of(group));
}

}  // namespace
}  // namespace leat
