// The builder's folding, value numbering and placement. What it folds is compared with what the
// interpreter computes for the same formula on values that the builder cannot see.
#include "leat/ir/builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "leat/ir/interpret.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"

namespace leat::ir {
namespace {

Builder make_builder(uint32_t lanes = 8, uint32_t waves = 4) {
  Builder builder("test", lanes, waves);
  builder.program().grid = {16, 4, 1};
  return builder;
}

int count_of(const Program& program, Opcode op) {
  int count = 0;
  for (const Block& block : program.blocks) {
    for (InstructionId id : block.instructions) count += program.instructions[id].op == op ? 1 : 0;
  }
  return count;
}

TEST(Builder, FoldsIdentities) {
  Builder b = make_builder();
  const ValueId x = b.group_id(0);
  EXPECT_EQ(b.add(x, b.i32(0)), x);
  EXPECT_EQ(b.add(b.i32(0), x), x);
  EXPECT_EQ(b.mul(x, b.i32(1)), x);
  EXPECT_EQ(b.mul(b.i32(0), x), b.i32(0));
  EXPECT_EQ(b.div(x, 1), x);
  EXPECT_EQ(b.rem(x, 1), b.i32(0));
  EXPECT_EQ(b.sub(x, x), b.i32(0));
  EXPECT_EQ(b.add(b.add(x, b.i32(3)), b.i32(4)), b.add(x, b.i32(7)));
  EXPECT_EQ(b.mul(b.mul(x, b.i32(3)), b.i32(4)), b.mul(x, b.i32(12)));
  EXPECT_EQ(b.add(b.mul(x, b.i32(3)), b.i32(6)), b.mul(b.add(x, b.i32(2)), b.i32(3)));
  EXPECT_EQ(b.binary(Opcode::min_i, x, b.i32(100)), x);
  EXPECT_EQ(b.binary(Opcode::min_i, b.i32(2), b.i32(3)), b.i32(2));
  EXPECT_EQ(b.binary(Opcode::xor_i, x, x), b.i32(0));
  EXPECT_EQ(b.binary(Opcode::shl_i, x, b.i32(4)), b.mul(x, b.i32(16)));
  EXPECT_EQ(b.constant(b.add(b.i32(INT32_MAX), b.i32(1))), INT32_MIN);
}

TEST(Builder, FoldsFloatsOnlyToTheSameBits) {
  Builder b = make_builder();
  const uint32_t p = b.parameter("p", DType::f32, false, 8);
  const ValueId x = b.load(p, b.i32(0));
  EXPECT_EQ(b.mul(x, b.f32(1)), x);
  EXPECT_EQ(b.sub(x, b.f32(0)), x);
  EXPECT_NE(b.add(x, b.f32(0)), x) << "-0 + 0 is +0";
  EXPECT_EQ(b.add(x, b.f32(-0.0f)), x);
  EXPECT_EQ(b.add(b.f32(0.5f), b.f32(0.25f)), b.f32(0.75f));
  EXPECT_EQ(b.fma(x, b.f32(1), x), b.add(x, x));
  EXPECT_EQ(b.unary(Opcode::sqrt, b.f32(9)), b.f32(3));
  EXPECT_EQ(b.unary(Opcode::neg, b.unary(Opcode::neg, x)), x);
  EXPECT_FALSE(b.constant(b.unary(Opcode::exp, b.f32(1)))) << "functions differ by device";
  EXPECT_NE(b.f32(0.0f), b.f32(-0.0f));
  EXPECT_NE(b.f32(0.0f), b.i32(0)) << "equal bits, other types";
}

TEST(Builder, KnowsRanges) {
  Builder b = make_builder();
  const ValueId lane = b.lane_id();
  const ValueId wave = b.wave_id();
  const ValueId tile = b.add(b.mul(wave, b.i32(8)), lane);
  EXPECT_EQ(b.range(tile), (Range{0, 31}));
  EXPECT_EQ(b.div(tile, 8), wave);
  EXPECT_EQ(b.rem(tile, 8), lane);
  EXPECT_EQ(b.div(tile, 32), b.i32(0));
  EXPECT_EQ(b.rem(tile, 32), tile);
  const ValueId position = b.add(b.mul(b.group_id(0), b.i32(32)), tile);
  EXPECT_EQ(b.div(position, 32), b.group_id(0));
  EXPECT_EQ(b.range(position), (Range{0, 511}));
  EXPECT_EQ(b.binary(Opcode::lt_i, position, b.i32(512)), b.b1(true));
  EXPECT_EQ(b.binary(Opcode::lt_i, position, b.i32(0)), b.b1(false));
  EXPECT_FALSE(b.constant(b.binary(Opcode::lt_i, position, b.i32(511))));
}

TEST(Builder, TakesMultiplesOutOfQuotients) {
  Builder b("test", 8, 1);  // no grid: group_id is any natural number
  const ValueId group = b.group_id(0);
  const ValueId sum = b.add(b.mul(group, b.i32(56)), b.mul(b.lane_id(), b.i32(7)));
  EXPECT_EQ(b.div(sum, 7), b.add(b.mul(group, b.i32(8)), b.lane_id()));
  EXPECT_EQ(b.rem(sum, 7), b.i32(0));
  EXPECT_EQ(b.div(b.add(b.mul(group, b.i32(7)), b.i32(9)), 7), b.add(group, b.i32(1)));
  EXPECT_EQ(b.rem(b.add(b.mul(group, b.i32(7)), b.i32(9)), 7), b.i32(2));
}

TEST(Builder, JoinsQuotientAndRemainder) {
  Builder b("test", 8, 1);
  const ValueId i = b.add(b.mul(b.group_id(0), b.i32(8)), b.lane_id());
  const int64_t height = 12;
  const int64_t width = 30;
  const ValueId w = b.rem(i, width);
  const ValueId rows = b.div(i, width);
  const ValueId h = b.rem(rows, height);
  const ValueId n = b.div(rows, height);
  ValueId address = b.add(b.mul(n, b.i32(height * width)), b.mul(h, b.i32(width)));
  EXPECT_EQ(b.add(address, w), i);
}

TEST(Builder, DividesByShiftAndMask) {
  Builder b("test", 8, 1);
  const ValueId x = b.group_id(1);
  b.div(x, 16);
  b.rem(x, 16);
  EXPECT_EQ(count_of(b.program(), Opcode::shr_u), 1);
  EXPECT_EQ(count_of(b.program(), Opcode::and_i), 1);
  EXPECT_EQ(count_of(b.program(), Opcode::div_i), 0);
  EXPECT_EQ(b.range(b.rem(x, 10)), (Range{0, 9}));
}

TEST(Builder, SingleLaneAndWaveAreConstants) {
  Builder b("test", 1, 1);
  EXPECT_EQ(b.lane_id(), b.i32(0));
  EXPECT_EQ(b.wave_id(), b.i32(0));
}

TEST(Builder, NumbersValuesWithinScopes) {
  Builder b = make_builder();
  const uint32_t in = b.parameter("in", DType::i32, false, 8);
  const ValueId loaded = b.load(in, b.i32(0));
  const ValueId condition = b.binary(Opcode::lt_i, loaded, b.i32(5));
  ValueId inner = kNone;
  b.branch(condition, [&] {
    inner = b.mul(loaded, loaded);
    EXPECT_EQ(b.mul(loaded, loaded), inner);
  });
  EXPECT_NE(b.mul(loaded, loaded), inner) << "it is defined in a closed block";
  EXPECT_NE(b.load(in, b.i32(0)), loaded) << "loads are not values";
}

TEST(Builder, MovesInvariantsOutOfLoopsButNotOutOfBranches) {
  Builder b = make_builder();
  const uint32_t in = b.parameter("in", DType::i32, false, 64);
  const uint32_t out = b.parameter("out", DType::i32, true, 64);
  const ValueId x = b.load(in, b.i32(0));
  const ValueId condition = b.binary(Opcode::lt_i, x, b.i32(5));
  b.loop(b.i32(0), b.i32(9), 1, {}, false, [&](ValueId i, std::span<const ValueId>) {
    b.store(out, i, b.mul(x, x));
    b.branch(condition, [&] { b.store(out, i, b.add(x, x)); });
    return std::vector<ValueId>{};
  });
  const Program program = b.finish();
  ASSERT_TRUE(verify(program)) << verify(program).error().message();
  const auto has = [&](BlockId block, Opcode op) {
    return std::ranges::any_of(program.blocks[block].instructions,
                               [&](InstructionId id) { return program.instructions[id].op == op; });
  };
  EXPECT_TRUE(has(0, Opcode::mul_i));
  EXPECT_FALSE(has(0, Opcode::add_i));
}

TEST(Builder, WritesOutShortLoops) {
  Builder b = make_builder();
  const std::vector<ValueId> init = {b.f32(1)};
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    EXPECT_EQ(b.constant(i), 3);
    return std::vector<ValueId>{b.add(carried[0], b.f32(1))};
  };
  EXPECT_EQ(b.loop(b.i32(3), b.i32(5), 2, init, true, body)[0], b.f32(2));
  EXPECT_EQ(b.loop(b.i32(3), b.i32(3), 1, init, true, body)[0], b.f32(1));
  EXPECT_EQ(count_of(b.program(), Opcode::loop), 0);
}

TEST(Builder, CountersHaveRanges) {
  Builder b = make_builder();
  const uint32_t out = b.parameter("out", DType::i32, true, 64);
  b.loop(b.i32(0), b.i32(10), 4, {}, false, [&](ValueId i, std::span<const ValueId>) {
    EXPECT_EQ(b.range(i), (Range{0, 8}));
    b.store(out, i, i);
    return std::vector<ValueId>{};
  });
}

TEST(Builder, FindsLaneStrides) {
  Builder b = make_builder();
  const uint32_t in = b.parameter("in", DType::f32, false, 1 << 20);
  const uint32_t out = b.parameter("out", DType::f32, true, 1 << 20);
  const ValueId lane = b.lane_id();
  const ValueId base = b.mul(b.group_id(0), b.i32(100));
  const auto stride_of_last = [&] { return b.program().instructions.back().lane_stride; };
  const ValueId index = b.add(base, b.mul(b.add(lane, b.i32(5)), b.i32(3)));
  const ValueId loaded = b.load(in, index);
  EXPECT_EQ(stride_of_last(), 3);
  const Instruction load = b.program().instructions.back();
  EXPECT_EQ(b.program().operands_of(load)[0], b.add(base, b.i32(15)));
  EXPECT_TRUE(b.type(loaded).varying);
  EXPECT_FALSE(b.type(b.load(in, base)).varying);
  EXPECT_EQ(stride_of_last(), kIndexed);
  b.load(in, b.mul(lane, lane));
  EXPECT_EQ(stride_of_last(), kIndexed);
  const ValueId mask = b.binary(Opcode::lt_i, lane, b.i32(3));
  EXPECT_TRUE(b.type(b.load(in, base, 1, mask)).varying);
  EXPECT_EQ(stride_of_last(), 0);
  b.store(out, base, b.f32(1), b.binary(Opcode::eq_i, lane, b.i32(0)));
  EXPECT_EQ(stride_of_last(), 0);
  b.store(out, base, b.f32(1), b.b1(true));
  EXPECT_EQ(stride_of_last(), kIndexed);
  EXPECT_FALSE(b.program().instructions.back().masked);
  const ValueId never = b.b1(false);
  const size_t count = b.program().instructions.size();
  b.store(out, base, b.f32(1), never);
  EXPECT_EQ(b.program().instructions.size(), count);
  EXPECT_EQ(b.load(in, base, 1, b.b1(false)), b.f32(0));
}

TEST(Builder, TakesLongChains) {
  Builder b("test", 8, 1);
  const uint32_t in = b.parameter("in", DType::i32, false, 8);
  ValueId sum = b.lane_id();
  for (int i = 0; i < 100000; ++i) sum = b.add(sum, b.load(in, b.i32(0)));
  b.load(in, sum);
  EXPECT_EQ(b.program().instructions.back().lane_stride, kIndexed);
  b.div(sum, 3);
}

TEST(Builder, DropsWhatNothingUses) {
  Builder b = make_builder();
  const uint32_t in = b.parameter("in", DType::f32, false, 64);
  const uint32_t out = b.parameter("out", DType::f32, true, 64);
  b.load(in, b.mul(b.lane_id(), b.i32(5)));
  b.store(out, b.i32(0), b.f32(1));
  const Program program = b.finish();
  EXPECT_EQ(program.blocks[0].instructions.size(), 3u) << print_program(program);
}

TEST(Builder, MakesNamesUnique) {
  Builder b = make_builder();
  b.parameter("conv1/weights:0", DType::f32, false, 1);
  b.parameter("conv1/weights:0", DType::f32, false, 1);
  b.local("7", DType::f32, 1, 1);
  EXPECT_EQ(b.program().parameters[0].name, "conv1_weights_0");
  EXPECT_EQ(b.program().parameters[1].name, "conv1_weights_0_2");
  EXPECT_EQ(b.program().locals[0].name, "_7");
}

TEST(BuilderDeath, MisuseIsABug) {
  Builder b = make_builder();
  EXPECT_DEATH(b.binary(Opcode::add_i, b.i32(1), b.f32(1)), "type");
  ValueId inner = kNone;
  const uint32_t in = b.parameter("in", DType::i32, false, 8);
  const ValueId loaded = b.load(in, b.i32(0));
  const ValueId condition = b.binary(Opcode::lt_i, loaded, b.i32(5));
  b.branch(condition, [&] { inner = b.load(in, b.i32(1)); });
  EXPECT_DEATH(b.add(inner, inner), "open_blocks_");
}

// --- Random formulas ---

/// One way through random formulas: `Leaf` values are either visible to the builder (ids, counters,
/// constants) or loaded, so that nothing folds. Both must give the same numbers.
class RandomFormula {
 public:
  RandomFormula(uint32_t seed, Builder& builder, std::vector<ValueId> leaves)
      : random_(seed), builder_(builder), leaves_(std::move(leaves)) {}

  ValueId make(int depth) {
    if (depth == 0) return leaf();
    const ValueId a = make(depth - 1);
    const ValueId b = make(pick(depth));
    switch (pick(13)) {
      case 0:
      case 1:
      case 2: return builder_.add(a, b);
      case 3: return builder_.sub(a, b);
      case 4:
      case 5: return builder_.mul(a, constant());
      case 6: return natural_quotient(a, true);
      case 7: return natural_quotient(a, false);
      case 8: return builder_.binary(Opcode::min_i, a, b);
      case 9: return builder_.binary(Opcode::max_i, a, constant());
      case 10: return builder_.binary(bit_operation(), a, constant());
      case 11: return builder_.unary(Opcode::popcount, a);
      default: return builder_.select(builder_.binary(Opcode::lt_i, a, b), a, constant());
    }
  }

 private:
  int pick(int count) { return static_cast<int>(random_() % static_cast<uint32_t>(count)); }
  ValueId leaf() { return leaves_[static_cast<size_t>(pick(static_cast<int>(leaves_.size())))]; }
  ValueId constant() { return builder_.i32(pick(40) - 4); }
  Opcode bit_operation() {
    constexpr Opcode kOperations[] = {Opcode::and_i, Opcode::or_i,  Opcode::xor_i, Opcode::shl_i,
                                      Opcode::shr_s, Opcode::shr_u, Opcode::div_i, Opcode::rem_i};
    return kOperations[pick(8)];
  }
  // What div and rem ask for: no negative dividend, nothing that wraps.
  ValueId natural_quotient(ValueId a, bool is_quotient) {
    const ValueId limited = builder_.binary(Opcode::and_i, a, builder_.i32(1023));
    const ValueId index =
        builder_.add(builder_.mul(leaf(), builder_.i32(6 + 6 * pick(3))), limited);
    const int64_t divisor = 1 + pick(24);
    return is_quotient ? builder_.div(index, divisor) : builder_.rem(index, divisor);
  }

  std::mt19937 random_;
  Builder& builder_;
  std::vector<ValueId> leaves_;
};

// out[(group * 8 + lane) * 3 + round] = formula(lane, wave, group, round, 5)
Program formula_program(uint32_t seed, bool hidden) {
  Builder b("formula", 8, 1);
  b.program().grid = {3, 1, 1};
  const uint32_t out = b.parameter("out", DType::i32, true, 72);
  const uint32_t naturals = b.parameter("naturals", DType::i32, false, 64);
  b.loop(b.i32(0), b.i32(3), 1, {}, false, [&](ValueId round, std::span<const ValueId>) {
    std::vector<ValueId> leaves = {b.lane_id(), b.group_id(0), round, b.i32(5), b.i32(0)};
    if (hidden) {
      for (ValueId& leaf : leaves) leaf = b.load(naturals, leaf);
    }
    const ValueId value = RandomFormula(seed, b, leaves).make(5);
    const ValueId place = b.add(b.mul(b.group_id(0), b.i32(8)), b.lane_id());
    b.store(out, b.add(b.mul(place, b.i32(3)), round), value);
    return std::vector<ValueId>{};
  });
  return b.finish();
}

std::vector<int32_t> run_formula(const Program& program) {
  std::vector<int32_t> out(72, -1);
  std::vector<int32_t> naturals(64);
  for (int i = 0; i < 64; ++i) naturals[static_cast<size_t>(i)] = i;
  const std::vector<std::span<std::byte>> buffers = {std::as_writable_bytes(std::span(out)),
                                                     std::as_writable_bytes(std::span(naturals))};
  const Result<void> result = interpret(program, buffers);
  EXPECT_TRUE(result) << result.error().message();
  return out;
}

TEST(Builder, FoldingKeepsTheValue) {
  size_t folded_size = 0;
  size_t hidden_size = 0;
  for (uint32_t seed = 1; seed <= 400; ++seed) {
    const Program folded = formula_program(seed, false);
    const Program hidden = formula_program(seed, true);
    ASSERT_EQ(run_formula(folded), run_formula(hidden))
        << "seed " << seed << "\n"
        << print_program(folded) << print_program(hidden);
    for (const Block& block : folded.blocks) folded_size += block.instructions.size();
    for (const Block& block : hidden.blocks) hidden_size += block.instructions.size();
  }
  EXPECT_LT(folded_size, hidden_size);
}

}  // namespace
}  // namespace leat::ir
