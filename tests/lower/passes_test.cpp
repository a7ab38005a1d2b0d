// What the passes leave in a program, and that a program computes the same behind them: by the
// interpreter, for a target that lacks everything and for ones that lack nothing.
#include "leat/lower/passes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>

#include "leat/ir/builder.h"
#include "leat/ir/interpret.h"
#include "leat/ir/text.h"
#include "leat/run/inspect.h"
#include "tests/ir_texts.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;
using Values = std::vector<ValueId>;
using Bytes = std::vector<std::byte>;

Target target_of(std::string_view name) { return plain_target(name).value(); }

size_t count_of(const ir::Program& program, Opcode op) {
  size_t count = 0;
  for (const ir::Block& block : program.blocks) {
    for (const ir::InstructionId id : block.instructions) {
      if (program.instructions[id].op == op) ++count;
    }
  }
  return count;
}

ir::Program passed(ir::Program program, const Target& target) {
  const Result<void> legal = run_passes(program, target);
  EXPECT_TRUE(legal) << legal.error().message();
  return program;
}

/// Sums `trips` rows of x, and of counters what is left over by three.
ir::Program loop_program(int64_t trips, int unroll) {
  Builder b("loop", 4, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, (2 + trips * 2) * 4);
  const uint32_t y = b.parameter("y", DType::f32, true, 4);
  const uint32_t z = b.parameter("z", DType::i32, true, 1);
  const Values init = {b.f32(0.0f), b.i32(0)};
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId read = b.load(x, b.add(b.mul(i, b.i32(4)), b.lane_id()));
    return Values{b.add(carried[0], read), b.add(carried[1], b.rem(i, 3))};
  };
  const Values sums =
      b.loop(b.i32(1), b.i32(1 + trips * 2), 2, init, std::vector<bool>{true, false}, body, unroll);
  b.store(y, b.lane_id(), sums[0]);
  b.store(z, b.i32(0), sums[1]);
  return b.finish();
}

/// The upper bound is the workgroup's number: 0 to 9 rounds.
ir::Program open_loop_program(int unroll) {
  Builder b("open_loop", 4, 1);
  b.program().grid = {10, 1, 1};
  const uint32_t x = b.parameter("x", DType::f32, false, 40);
  const uint32_t y = b.parameter("y", DType::f32, true, 40);
  const ValueId group = b.group_id(0);
  const Values init = {b.f32(0.0f)};
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId read = b.load(x, b.add(b.mul(i, b.i32(4)), b.lane_id()));
    return Values{b.fma(carried[0], b.f32(0.5f), read)};
  };
  const Values sum = b.loop(b.i32(0), group, 1, init, true, body, unroll);
  b.store(y, b.add(b.mul(group, b.i32(4)), b.lane_id()), sum[0]);
  return b.finish();
}

ir::Program carrying_program(size_t count, int unroll) {
  Builder b("carrying", 8, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 8 * 64);
  const uint32_t y = b.parameter("y", DType::f32, true, static_cast<int64_t>(8 * count));
  const Values init(count, b.f32(0.0f));
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId read = b.load(x, b.add(b.mul(i, b.i32(8)), b.lane_id()));
    Values next;
    for (const ValueId value : carried) next.push_back(b.fma(value, b.f32(1.5f), read));
    return next;
  };
  const Values sums = b.loop(b.i32(0), b.i32(64), 1, init, true, body, unroll);
  for (size_t i = 0; i < count; ++i) {
    b.store(y, b.add(b.lane_id(), b.i32(static_cast<int64_t>(8 * i))), sums[i]);
  }
  return b.finish();
}

ir::Program reduce_program(uint32_t lanes, uint32_t waves) {
  Builder b("reduce", lanes, waves);
  const int64_t all = int64_t{lanes} * waves;
  const uint32_t x = b.parameter("x", DType::f32, false, all);
  const uint32_t m = b.parameter("m", DType::i32, false, all);
  const uint32_t y = b.parameter("y", DType::f32, true, 3 * waves);
  const uint32_t z = b.parameter("z", DType::i32, true, 3 * waves);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(lanes)), b.lane_id());
  const ValueId value = b.load(x, index), whole = b.load(m, index);
  int64_t place = 0;
  for (const Opcode op : {Opcode::reduce_add, Opcode::reduce_min, Opcode::reduce_max}) {
    b.store(y, b.add(b.wave_id(), b.i32(place)), b.reduce(op, value));
    b.store(z, b.add(b.wave_id(), b.i32(place)), b.reduce(op, whole));
    place += waves;
  }
  return b.finish();
}

ir::Program shuffle_program(uint32_t lanes, uint32_t waves) {
  Builder b("shuffle", lanes, waves);
  const int64_t all = int64_t{lanes} * waves;
  const uint32_t x = b.parameter("x", DType::f32, false, all);
  const uint32_t m = b.parameter("m", DType::i32, false, all);
  const uint32_t y = b.parameter("y", DType::f32, true, 5 * all);
  const uint32_t z = b.parameter("z", DType::i32, true, 5 * all);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(lanes)), b.lane_id());
  const ValueId value = b.load(x, index), whole = b.load(m, index);
  int64_t place = 0;
  const auto store = [&](ValueId number, ValueId integer) {
    b.store(y, b.add(index, b.i32(place)), number);
    b.store(z, b.add(index, b.i32(place)), integer);
    place += all;
  };
  store(b.shuffle(value, whole), b.shuffle(whole, whole));
  store(b.shuffle(value, b.i32(-1)), b.shuffle(whole, b.i32(2)));
  for (const Opcode op : {Opcode::shuffle_xor, Opcode::shuffle_up, Opcode::shuffle_down}) {
    store(b.shuffle(op, value, 3), b.shuffle(op, whole, lanes - 1));
  }
  return b.finish();
}

/// Quotients, roots, remainders and conversions, also of what is not a normal number.
ir::Program arithmetic_program(uint8_t width) {
  Builder b("arithmetic", 8, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 16 * width);
  const uint32_t m = b.parameter("m", DType::i32, false, 16 * width);
  const uint32_t y = b.parameter("y", DType::f32, true, 40 * width);
  const uint32_t z = b.parameter("z", DType::i32, true, 16 * width);
  const ValueId next = b.add(b.lane_id(), b.i32(8));
  const ValueId a = b.load(x, b.lane_id(), width), c = b.load(x, next, width);
  int64_t place = 0;
  for (const ValueId value :
       {b.binary(Opcode::div_f, a, c), b.binary(Opcode::div_f, b.f32(1.0f), c),
        b.unary(Opcode::sqrt, a), b.binary(Opcode::div_f, a, b.f32(-0.0f)),
        b.binary(Opcode::div_f, a, b.f32(-0.25f))}) {
    b.store(y, b.add(b.lane_id(), b.i32(place)), value);
    place += 8;
  }
  const ValueId i = b.load(m, b.lane_id(), width);
  const ValueId odd = b.binary(Opcode::or_i, b.load(m, next, width), b.i32(1));
  b.store(z, b.lane_id(), b.binary(Opcode::rem_i, i, odd));
  b.store(z, next, b.convert(Opcode::int_from_float, b.mul(a, b.f32(1e9f))));
  return b.finish();
}

Bytes random_buffer(const ir::Parameter& parameter, std::mt19937& random) {
  static const std::vector<uint32_t> odd = {0,          0x80000000, 0x7f800000, 0xff800000,
                                            0x7fc00000, 0x7f7fffff, 0x00800000, 0x3f800000};
  const auto draw = [&] { return static_cast<uint32_t>(random()); };
  Bytes bytes(static_cast<size_t>(parameter.element_count) * 4);
  for (size_t i = 0; i < bytes.size(); i += 4) {
    // From 2^-60 to 2^60, so that a product or a quotient is a normal number.
    const uint32_t drawn = draw();
    const uint32_t normal = (drawn & 0x807fffff) | (67 + draw() % 120) << 23;
    const bool is_odd = draw() % 4 == 0;
    uint32_t word = is_odd ? odd[draw() % odd.size()] : normal;
    if (parameter.storage == DType::i32) word = draw() % 5 == 0 ? draw() : draw() % 100 - 50;
    std::memcpy(&bytes[i], &word, 4);
  }
  return bytes;
}

std::vector<Bytes> interpreted(const ir::Program& program, std::vector<Bytes> buffers) {
  const std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  const Result<void> done = ir::interpret(program, spans);
  EXPECT_TRUE(done) << done.error().message() << "\n" << ir::print_program(program);
  return buffers;
}

bool is_nan(uint32_t bits) { return (bits & 0x7fffffff) > 0x7f800000; }

/// Equal to the bit, save that a NaN is any NaN, and that a quotient or a root which was mended may
/// be a hair more than half a unit in the last place off: the largest number's root is.
void expect_same(const ir::Program& program, const std::vector<Bytes>& wanted,
                 const std::vector<Bytes>& got) {
  const uint32_t units = program.name == "arithmetic" ? 1 : 0;
  for (size_t p = 0; p < wanted.size(); ++p) {
    for (size_t at = 0; at < wanted[p].size(); at += 4) {
      uint32_t w = 0, g = 0;
      std::memcpy(&w, &wanted[p][at], 4);
      std::memcpy(&g, &got[p][at], 4);
      const bool is_float = program.parameters[p].storage == DType::f32;
      const bool both_nan = is_nan(w) && is_nan(g);
      const bool is_near = w - g + units <= 2 * units;
      ASSERT_TRUE(w == g || (is_float && (both_nan || is_near)))
          << program.name << ", " << program.parameters[p].name << "[" << at / 4
          << "]: " << std::bit_cast<float>(g) << ", not " << std::bit_cast<float>(w);
    }
  }
}

TEST(Passes, ProgramsComputeTheSame) {
  std::vector<ir::Program> programs = {reduce_program(1, 1), reduce_program(32, 1),
                                       reduce_program(8, 4), shuffle_program(32, 1),
                                       shuffle_program(8, 4)};
  for (const int unroll : {1, 2, 4}) programs.push_back(open_loop_program(unroll));
  for (const int64_t trips : {1, 2, 7, 16}) {
    for (const int unroll : {1, 3, 8}) programs.push_back(loop_program(trips, unroll));
  }
  for (const uint8_t width : {uint8_t{1}, uint8_t{2}, uint8_t{4}}) {
    programs.push_back(arithmetic_program(width));
  }
  std::mt19937 random(5);
  for (const ir::Program& program : programs) {
    std::vector<Bytes> buffers;
    for (const ir::Parameter& parameter : program.parameters) {
      buffers.push_back(random_buffer(parameter, random));
    }
    const std::vector<Bytes> wanted = interpreted(program, buffers);
    for (const char* name : {"vulkan", "x86-64-v3"}) {
      SCOPED_TRACE(name);
      expect_same(program, wanted, interpreted(passed(program, target_of(name)), buffers));
    }
  }
}

// Fragments, copies and stored types too, on targets that have them and on ones that have not.
TEST(Passes, TextsComputeTheSame) {
  for (const ir::Program& program : text_programs()) {
    const std::vector<Bytes> buffers = whole_number_buffers(program);
    const std::vector<Bytes> wanted = interpreted(program, buffers);
    for (const char* name : {"vulkan", "sm_75", "sm_80", "gfx1100", "wgsl"}) {
      const ir::Program legal = passed(program, target_of(name));
      EXPECT_TRUE(interpreted(legal, buffers) == wanted) << program.name << ", " << name;
    }
  }
}

TEST(Unroll, WritesTheFactorAndPutsTheRestBehind) {
  const auto counts = [](int64_t trips, int unroll) {
    const ir::Program program = passed(loop_program(trips, unroll), target_of("vulkan"));
    return std::pair(count_of(program, Opcode::loop), count_of(program, Opcode::load));
  };
  EXPECT_EQ(counts(8, 1), std::pair(size_t{1}, size_t{1}));
  EXPECT_EQ(counts(8, 4), std::pair(size_t{1}, size_t{4}));
  EXPECT_EQ(counts(7, 3), std::pair(size_t{1}, size_t{4}));  // the seventh behind the loop
  EXPECT_EQ(counts(3, 8), std::pair(size_t{0}, size_t{3}));
  EXPECT_EQ(counts(1000, 1000), std::pair(size_t{1}, size_t{256 + 232}));
}

TEST(Unroll, AnOpenLoopIsTwo) {
  const ir::Program program = passed(open_loop_program(4), target_of("vulkan"));
  EXPECT_EQ(count_of(program, Opcode::loop), 2u);
  EXPECT_EQ(count_of(program, Opcode::load), 5u);
}

TEST(Unroll, ABodyThatFillsTheRegistersStaysOne) {
  const auto loads = [](size_t carried, std::string_view target) {
    return count_of(passed(carrying_program(carried, 4), target_of(target)), Opcode::load);
  };
  EXPECT_EQ(loads(8, "x86-64-v3"), 4u);
  EXPECT_EQ(loads(9, "x86-64-v3"), 1u);
  EXPECT_EQ(loads(16, "x86-64-v4"), 4u);
  EXPECT_EQ(loads(9, "vulkan"), 4u);  // 256 registers a lane
}

// Rounds of all loops around count.
TEST(Unroll, LongLoopsAreShortenedForSoftwareRenderers) {
  Target target = target_of("vulkan");
  EXPECT_EQ(count_of(passed(loop_program(20000, 1), target), Opcode::load), 1u);
  target.software = true;
  EXPECT_EQ(count_of(passed(loop_program(20000, 1), target), Opcode::load), 2u);
}

/// A loop that sums products of matrix units, which are carried.
ir::Program product_program(int64_t trips, int unroll) {
  Builder b("product", 32, 1);
  const ir::Fragment a = {.role = ir::Role::a, .element = DType::f16, .m = 16, .n = 8, .k = 16};
  ir::Fragment c = a, sum = a;
  c.role = ir::Role::b;
  sum.role = ir::Role::sum;
  sum.element = DType::f32;
  const uint32_t x = b.parameter("x", DType::f16, false, 256 * trips);
  const uint32_t y = b.parameter("y", DType::f16, false, 128 * trips);
  const uint32_t z = b.parameter("z", DType::f32, true, 128);
  const Values init = {b.fragment_fill(sum, b.f32(0.0f))};
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId left =
        b.fragment_load(a, {.slot = x, .index = b.mul(i, b.i32(256)), .stride = b.i32(16)});
    const ValueId right =
        b.fragment_load(c, {.slot = y, .index = b.mul(i, b.i32(128)), .stride = b.i32(8)});
    return Values{b.mma(left, right, carried[0])};
  };
  const Values sums = b.loop(b.i32(0), b.i32(trips), 1, init, false, body, unroll);
  b.fragment_store({.slot = z, .index = b.i32(0), .stride = b.i32(8)}, sums[0]);
  return b.finish();
}

TEST(Unroll, CarriesFragmentsWholeOrInParts) {
  const ir::Program program = product_program(5, 2);
  const std::vector<Bytes> buffers = whole_number_buffers(program);
  const std::vector<Bytes> wanted = interpreted(program, buffers);
  const ir::Program whole = passed(program, target_of("sm_80"));
  EXPECT_EQ(count_of(whole, Opcode::mma), 3u);  // two in the loop, one behind it
  EXPECT_TRUE(interpreted(whole, buffers) == wanted);
  const ir::Program parts = passed(program, target_of("vulkan"));
  EXPECT_EQ(count_of(parts, Opcode::mma), 0u);
  EXPECT_TRUE(interpreted(parts, buffers) == wanted);
}

TEST(ExpandExchanges, LeavesNoneWhereLanesDoNotReachEachOther) {
  const auto left = [](const ir::Program& program) {
    return count_of(program, Opcode::reduce_add) + count_of(program, Opcode::reduce_min) +
           count_of(program, Opcode::reduce_max) + count_of(program, Opcode::shuffle);
  };
  const ir::Program expanded = passed(reduce_program(32, 2), target_of("vulkan"));
  EXPECT_EQ(left(expanded), 0u);
  EXPECT_EQ(expanded.local_bytes(), 2u * 64 * 2 * 4);  // for f32 and for i32
  const ir::Program kept = passed(reduce_program(32, 2), target_of("sm_80"));
  EXPECT_EQ(left(kept), 6u);
  EXPECT_EQ(kept.local_bytes(), 0u);
  EXPECT_EQ(left(passed(shuffle_program(32, 2), target_of("wgsl"))), 0u);
}

TEST(ExpandArithmetic, IsForInexactTargetsOnly) {
  const ir::Program exact = passed(arithmetic_program(1), target_of("sm_80"));
  EXPECT_EQ(count_of(exact, Opcode::fma), 0u);
  EXPECT_EQ(count_of(exact, Opcode::rem_i), 1u);
  const ir::Program inexact = passed(arithmetic_program(1), target_of("vulkan"));
  EXPECT_GE(count_of(inexact, Opcode::fma), 8u);
  EXPECT_EQ(count_of(inexact, Opcode::rem_i), 0u);
}

TEST(ExactReciprocals, MakesProductsOfQuotientsByPowersOfTwo) {
  const ir::Program program = passed(arithmetic_program(1), target_of("sm_80"));
  EXPECT_EQ(count_of(program, Opcode::div_f), 3u);  // one of two variables, one of 1, one by -0
  EXPECT_EQ(count_of(program, Opcode::mul_f), 2u);  // by -4; the other is the program's
}

TEST(Passes, EachIsTold) {
  ir::Program program = loop_program(3, 1);
  std::vector<std::string> names;
  ASSERT_TRUE(
      run_passes(program, target_of("vulkan"),
                 [&](std::string_view name, const ir::Program&) { names.emplace_back(name); }));
  ASSERT_EQ(names.size(), passes().size());
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(names[i], passes()[i].name);
}

}  // namespace
}  // namespace leat
