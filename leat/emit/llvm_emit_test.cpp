// Every instruction but memory's, on every target that runs here, against the interpreter.
#include <gtest/gtest.h>
#include <cmath>

#include "leat/base/amd_target.h"
#include "leat/emit/emit.h"
#include "leat/emit/llvm_machine_test.h"
#include "leat/emit/llvm_versions.h"

namespace leat::llvm_test {
namespace {

using ir::Builder;
using ir::kNone;
using ir::Opcode;
using ir::Program;
using ir::ValueId;
using Values = std::vector<ValueId>;

constexpr uint8_t kWidths[] = {1, 2, 4};

/// A program that loads operands at the lane's place and stores results one behind the other.
struct Bench {
  Bench(const std::string& name, uint32_t lanes)
      : b(name, lanes, 1), lane(b.lane_id()), place(lane) {
    floats = b.parameter("floats", DType::f32, false, kElements);
    ints = b.parameter("ints", DType::i32, false, kElements);
    float_results = b.parameter("float_results", DType::f32, true, kResults);
    int_results = b.parameter("int_results", DType::i32, true, kResults);
  }

  int64_t lanes() { return b.program().wave_lanes; }
  ValueId real(int64_t row, uint8_t width = 1) {
    return b.load(floats, b.add(lane, b.i32(row * lanes())), width);
  }
  ValueId whole(int64_t row, uint8_t width = 1) {
    return b.load(ints, b.add(lane, b.i32(row * lanes())), width);
  }
  void keep(ValueId value) {
    const ir::Type type = b.type(value);
    if (type.scalar == ir::Scalar::b1) value = b.convert(Opcode::int_from_bool, value);
    const bool is_float = type.scalar == ir::Scalar::f32;
    int64_t& row = is_float ? float_rows : int_rows;
    // Rows are counted in accesses of this width, so the last row of another width is rounded up.
    const int64_t first = (row + type.width - 1) / type.width;
    b.store(is_float ? float_results : int_results, b.add(place, b.i32(first * lanes())), value);
    row = (first + 1) * type.width;
  }

  static constexpr int64_t kElements = 2048;
  static constexpr int64_t kResults = 16384;
  Builder b;
  ValueId lane;
  ValueId place;  // of row 0 of the results
  uint32_t floats, ints, float_results, int_results;
  int64_t float_rows = 0, int_rows = 0;
};

Program float_program(uint32_t lanes, uint8_t width) {
  Bench t("floats", lanes);
  const ValueId a = t.real(0, width), c = t.real(1, width), d = t.real(2, width);
  const ValueId uniform = t.b.load(t.floats, t.b.i32(5));
  for (const Opcode op :
       {Opcode::neg, Opcode::abs, Opcode::sqrt, Opcode::floor, Opcode::ceil, Opcode::round_even}) {
    t.keep(t.b.unary(op, a));
    t.keep(t.b.unary(op, uniform));
  }
  for (const Opcode op : {Opcode::add_f, Opcode::sub_f, Opcode::mul_f, Opcode::div_f, Opcode::lt_f,
                          Opcode::le_f, Opcode::eq_f}) {
    t.keep(t.b.binary(op, a, c));
    t.keep(t.b.binary(op, uniform, c));
    t.keep(t.b.binary(op, c, uniform));
  }
  // Of one NaN min and max may give either operand: there is none among whole numbers.
  const ValueId p = t.b.convert(Opcode::float_from_int, t.whole(0, width));
  const ValueId q = t.b.convert(Opcode::float_from_int, t.whole(1, width));
  t.keep(t.b.binary(Opcode::min_f, p, q));
  t.keep(t.b.binary(Opcode::max_f, p, q));
  t.keep(t.b.select(t.b.binary(Opcode::lt_f, a, c), c, d));
  t.keep(t.b.select(t.b.binary(Opcode::lt_f, uniform, t.b.f32(1.0f)), c, d));
  return t.b.finish();
}

Program fma_program(uint32_t lanes, uint8_t width) {
  Bench t("fma", lanes);
  t.keep(t.b.fma(t.real(0, width), t.real(1, width), t.real(2, width)));
  t.keep(t.b.fma(t.b.load(t.floats, t.b.i32(5)), t.real(1, width), t.real(3, width)));
  return t.b.finish();
}

Program int_program(uint32_t lanes, uint8_t width) {
  Bench t("ints", lanes);
  const ValueId a = t.whole(0, width), c = t.whole(1, width);
  const ValueId uniform = t.b.load(t.ints, t.b.i32(7)), other = t.b.load(t.ints, t.b.i32(8));
  for (const Opcode op :
       {Opcode::add_i, Opcode::sub_i, Opcode::mul_i, Opcode::div_i, Opcode::rem_i, Opcode::min_i,
        Opcode::max_i, Opcode::and_i, Opcode::or_i, Opcode::xor_i, Opcode::shl_i, Opcode::shr_s,
        Opcode::shr_u, Opcode::lt_i, Opcode::le_i, Opcode::lt_u, Opcode::eq_i}) {
    t.keep(t.b.binary(op, a, c));
    t.keep(t.b.binary(op, uniform, c));
    t.keep(t.b.binary(op, uniform, other));
  }
  const ValueId p = t.b.binary(Opcode::lt_i, a, c), q = t.b.binary(Opcode::lt_u, a, c);
  for (const Opcode op : {Opcode::and_b, Opcode::or_b, Opcode::xor_b}) t.keep(t.b.binary(op, p, q));
  t.keep(t.b.not_b(p));
  for (const ValueId each : {a, uniform}) t.keep(t.b.unary(Opcode::popcount, each));
  t.keep(t.b.binary(Opcode::div_i, a, t.b.i32(7)));
  t.keep(t.b.binary(Opcode::rem_i, a, t.b.i32(-3)));
  return t.b.finish();
}

Program conversion_program(uint32_t lanes, uint8_t width) {
  Bench t("conversions", lanes);
  for (int64_t row = 0; row < 4; ++row) {
    t.keep(t.b.convert(Opcode::int_from_float, t.real(row, width)));
    t.keep(t.b.convert(Opcode::float_from_int, t.whole(row, width)));
    t.keep(t.b.convert(Opcode::bits_from_float, t.b.unary(Opcode::abs, t.real(row, width))));
    t.keep(t.b.convert(Opcode::float_from_bits, t.whole(row, width)));
  }
  t.keep(t.b.convert(Opcode::int_from_float, t.b.load(t.floats, t.b.i32(3))));
  for (const float end : {0x1p31f, -0x1p31f, 0x1.fffffep30f, 3e38f, std::nanf("")}) {
    const ValueId below = t.b.binary(Opcode::lt_i, t.lane, t.b.i32(2));
    t.keep(t.b.convert(Opcode::int_from_float, t.b.select(below, t.b.f32(end), t.real(0))));
  }
  const ValueId four = t.real(1, 4);
  const Values parts = {t.b.extract(four, 3), t.b.load(t.floats, t.b.i32(0))};
  t.keep(t.b.vector(parts));
  t.keep(t.b.extract(four, 1));
  return t.b.finish();
}

Program reduce_program(uint32_t lanes) {
  Bench t("reduce", lanes);
  const ValueId real =
      t.b.convert(Opcode::float_from_int, t.b.binary(Opcode::rem_i, t.whole(0), t.b.i32(1000)));
  for (const Opcode op : {Opcode::reduce_add, Opcode::reduce_min, Opcode::reduce_max}) {
    t.keep(t.b.reduce(op, t.b.mul(real, t.b.f32(0.37f))));
    t.keep(t.b.reduce(op, t.whole(1)));
  }
  return t.b.finish();
}

// Sums rows of x from `lo` to `hi`, which may be known or read from a buffer.
ValueId row_sum(Bench& t, ValueId lo, ValueId hi, int64_t step, int unroll) {
  const Values init = {t.b.f32(0.0f)};
  return t.b.loop(
      lo, hi, step, init, true,
      [&](ValueId i, std::span<const ValueId> sum) {
        const ValueId index = t.b.add(t.b.mul(i, t.b.i32(t.lanes())), t.lane);
        const ValueId scale = t.b.convert(Opcode::float_from_int, i);
        return Values{t.b.fma(t.b.load(t.floats, index), scale, sum[0])};
      },
      unroll)[0];
}

// As many rounds as each lane wants, of which others may take more.
Program rounds_program(uint32_t lanes) {
  Bench t("rounds", lanes);
  const ValueId own = t.b.binary(Opcode::and_i, t.whole(0), t.b.i32(7));
  const Values init = {t.whole(1)};
  t.keep(t.b.loop(t.b.i32(0), t.b.rounds(own), 1, init, true,
                  [&](ValueId i, std::span<const ValueId> sum) {
                    const ValueId next = t.b.add(t.b.mul(sum[0], t.b.i32(3)), i);
                    return Values{t.b.select(t.b.binary(Opcode::lt_i, i, own), next, sum[0])};
                  })[0]);
  return t.b.finish();
}

Program loop_program(uint32_t lanes) {
  Bench t("loops", lanes);
  const ValueId limit = t.b.group_id(0);
  constexpr int64_t kRows = 7 * 6 + 3 * 3;  // below, of each workgroup
  t.place = t.b.add(t.lane, t.b.mul(limit, t.b.i32(kRows * t.lanes())));
  for (const int64_t trips : {0, 1, 2, 3, 7, 8, 16}) {
    for (const int unroll : {0, 1, 2, 4, 8, 20}) {
      t.keep(row_sum(t, t.b.i32(2), t.b.i32(2 + trips * 3), 3, unroll));
    }
  }
  // Bounds that are only known at run time: the ten workgroups have 0 to 9 rounds.
  for (const int unroll : {1, 2, 4}) {
    t.keep(row_sum(t, t.b.i32(0), limit, 1, unroll));
    t.keep(row_sum(t, t.b.i32(1), limit, 2, unroll));
    t.keep(row_sum(t, limit, t.b.add(limit, limit), 3, unroll));
  }
  Program program = t.b.finish();
  program.grid = {10, 1, 1};
  return program;
}

// Uniform, varying and wide values carried through two loops, one in the other; branches in them.
Program nest_program(uint32_t lanes) {
  Bench t("nest", lanes);
  const Values init = {t.b.f32(1.0f), t.whole(0), t.real(0, 2)};
  const Values result = t.b.loop(
      t.b.i32(0), t.b.i32(5), 1, init, true, [&](ValueId i, std::span<const ValueId> outer) {
        const Values inner_init = {outer[0], t.b.i32(0)};
        const Values inner = t.b.loop(
            i, t.b.i32(7), 2, inner_init, false,
            [&](ValueId j, std::span<const ValueId> sum) {
              const ValueId read = t.b.load(t.floats, t.b.add(t.b.mul(i, t.b.i32(8)), j));
              return Values{t.b.add(t.b.mul(sum[0], t.b.f32(0.5f)), read), t.b.add(sum[1], j)};
            },
            3);
        t.b.branch(
            t.b.binary(Opcode::lt_i, i, t.b.i32(3)),
            [&] { t.b.store(t.int_results, t.b.add(t.b.i32(4000), i), inner[1]); },
            [&] {
              t.b.branch(t.b.binary(Opcode::eq_i, i, t.b.i32(4)),
                         [&] { t.b.store(t.float_results, t.b.add(t.b.i32(4000), i), inner[0]); });
            });
        return Values{inner[0], t.b.add(outer[1], inner[1]), t.b.mul(outer[2], inner[0])};
      });
  for (const ValueId value : result) t.keep(value);
  return t.b.finish();
}

Program grid_program(uint32_t lanes) {
  Builder b("grid", lanes, 1);
  const uint32_t out = b.parameter("out", DType::i32, true, 3 * 5 * 7);
  const ValueId x = b.group_id(0), y = b.group_id(1), z = b.group_id(2);
  const ValueId place = b.add(x, b.mul(b.add(y, b.mul(z, b.i32(5))), b.i32(3)));
  const ValueId value = b.add(x, b.add(b.mul(y, b.i32(100)), b.mul(z, b.i32(10000))));
  b.store(out, place, b.add(value, b.wave_id()));
  Program program = b.finish();
  program.grid = {3, 5, 7};
  return program;
}

class LlvmRun : public testing::TestWithParam<Target> {
 protected:
  uint32_t lanes() const { return GetParam().wave_lanes; }
  void expect(const Program& program, uint32_t ulps = 0) {
    expect_as_interpreted(program, GetParam(), ulps);
  }
};

TEST_P(LlvmRun, Floats) {
  for (const uint8_t width : {uint8_t{1}, uint8_t{2}}) expect(float_program(lanes(), width));
}

// One unit where the target has no instruction: the f64 sum and then the f32 result are rounded.
TEST_P(LlvmRun, FusedMultiplyAdd) {
  const uint32_t ulps = GetParam().llvm_cpu == "x86-64" ? 1 : 0;
  for (const uint8_t width : kWidths) expect(fma_program(lanes(), width), ulps);
}

TEST_P(LlvmRun, Ints) {
  for (const uint8_t width : {uint8_t{1}, uint8_t{2}}) expect(int_program(lanes(), width));
}

TEST_P(LlvmRun, Conversions) {
  for (const uint8_t width : kWidths) expect(conversion_program(lanes(), width));
}

TEST_P(LlvmRun, Reductions) { expect(reduce_program(lanes())); }
TEST_P(LlvmRun, RoundsOfLanes) { expect(rounds_program(lanes())); }

// As for FusedMultiplyAdd, added up over 16 rounds; the scale of a sum may be below its terms'.
TEST_P(LlvmRun, Loops) {
  const uint32_t ulps = GetParam().llvm_cpu == "x86-64" ? 64 : 0;
  expect(loop_program(lanes()), ulps);
}

TEST_P(LlvmRun, NestsAndBranches) { expect(nest_program(lanes())); }
TEST_P(LlvmRun, Grid) { expect(grid_program(lanes())); }

INSTANTIATE_TEST_SUITE_P(Targets, LlvmRun, testing::ValuesIn(runnable_targets()),
                         [](const auto& test) { return test.param.name; });

void expect_refusal(const Program& program, const Target& target, const std::string& reason) {
  const Result<KernelBinary> binary = emit_llvm(program, target);
  ASSERT_FALSE(binary);
  EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(binary.error().message().find(reason), std::string::npos) << binary.error().message();
}

TEST(LlvmEmit, RefusesWhatItCannotEmit) {
  expect_refusal(Builder("waves", 8, 2).finish(), avx2_target(), "(2) waves");
  Program lanes = Builder("lanes", 8, 1).finish();
  lanes.wave_lanes = 128;
  expect_refusal(lanes, avx2_target(), "(128) lanes");
  Builder b("exp", 8, 1);
  const uint32_t y = b.parameter("y", DType::f32, true, 8);
  b.store(y, b.lane_id(), b.unary(Opcode::exp, b.load(y, b.lane_id())));
  expect_refusal(b.finish(), avx2_target(), "(exp)");
  Builder big("big", 8, 1);
  big.local("tile", DType::f32, 1, 1u << 20);
  expect_refusal(big.finish(), avx2_target(), "local memory");
  Target unknown = avx2_target();
  unknown.llvm_triple = "pdp11-dec-unix";
  expect_refusal(grid_program(8), unknown, "pdp11");
  Target chip = avx2_target();
  chip.llvm_cpu = "k9000";
  expect_refusal(grid_program(8), chip, "no code generator for chip (k9000)");
  if (!kLlvmServesAmd) {
    expect_refusal(grid_program(32), *amd_target("gfx1100"), "\"gfx1100\" needs LLVM 19");
  }
  Target spirv;
  spirv.format = CodeFormat::spirv_pointers;
  expect_refusal(grid_program(8), spirv, "LLVM does not make");
}

TEST(LlvmEmit, DescribesTheKernel) {
  Program program = grid_program(8);
  program.name = "conv 3/a";
  const Result<KernelBinary> binary = emit_llvm(program, avx2_target());
  ASSERT_TRUE(binary);
  EXPECT_EQ(binary->name, "conv 3/a");
  EXPECT_EQ(binary->entry, "leat_conv_3_a");
  EXPECT_EQ(binary->format, CodeFormat::native_object);
  EXPECT_EQ(binary->wave_lanes, 8u);
  EXPECT_EQ(binary->grid[2], 7u);
  ASSERT_EQ(binary->arguments.size(), 1u);
  EXPECT_TRUE(binary->arguments[0].written);
  EXPECT_EQ(binary->arguments[0].storage, DType::i32);
}

TEST(LlvmEmit, GivesTheSameBytesEveryTime) {
  const Result<KernelBinary> first = emit_llvm(nest_program(8), avx2_target());
  const Result<KernelBinary> second = emit_llvm(nest_program(8), avx2_target());
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->code == second->code);
}

TEST(LlvmEmit, EmitsForEveryTarget) {
  for (const Target& target : {sse2_target(), avx2_target(), avx512_target(), neon_target()}) {
    EXPECT_TRUE(emit_llvm(float_program(target.wave_lanes, 1), target)) << target.name;
    EXPECT_TRUE(emit_llvm(int_program(target.wave_lanes, 1), target)) << target.name;
  }
}

/// Additions at the same place, at each lane's own and anywhere, with and without a mask. Counters
/// must start as zeros: tests/backend runs those.
Program atomic_program(uint32_t lanes) {
  Builder b("atomics", lanes, 1);
  b.program().grid = {4, 1, 1};
  const uint32_t x = b.parameter("x", DType::i32, false, 64);
  const uint32_t counts = b.parameter("counts", DType::i32, true, 256);
  const uint32_t sums = b.parameter("sums", DType::f32, true, 64);
  const ValueId value = b.load(x, b.lane_id());
  const ValueId mask = b.binary(Opcode::lt_i, b.lane_id(), b.i32(2));
  b.atomic_add(counts, b.i32(3), value);
  b.atomic_add(counts, b.lane_id(), b.i32(-7), mask);
  b.atomic_add(counts, b.binary(Opcode::and_i, value, b.i32(255)), value);
  b.atomic_add(sums, b.mul(b.lane_id(), b.i32(2)), b.f32(1.0f),
               b.binary(Opcode::lt_i, b.group_id(0), b.i32(3)));
  return b.finish();
}

TEST(LlvmEmit, AtomicsAsInterpreted) {
  for (const Target& target : runnable_targets()) {
    Program program = atomic_program(target.wave_lanes);
    expect_as_interpreted(program, target);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace leat::llvm_test
