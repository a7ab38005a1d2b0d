// The passes that replace what a target lacks: every text of tests/text gives the same results with
// and without them, and every 16-bit float comes through unchanged.
#include <gtest/gtest.h>

#include <cstring>

#include "leat/ir/builder.h"
#include "leat/ir/interpret.h"
#include "leat/ir/text.h"
#include "leat/lower/passes.h"
#include "tests/ir_texts.h"

namespace leat {
namespace {

using Bytes = std::vector<std::byte>;

Target plain_target() {
  Target target;
  target.name = "plain";
  target.format = CodeFormat::spirv_pointers;
  return target;
}

/// The same with the products of matrix units that drivers offer.
Target matrix_target() {
  Target target = plain_target();
  target.name = "matrix";
  target.shader_products = 7;
  return target;
}

std::vector<Bytes> run(const ir::Program& program, std::vector<Bytes> buffers) {
  const std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  const Result<void> done = ir::interpret(program, spans);
  EXPECT_TRUE(done) << done.error().message() << "\n" << ir::print_program(program);
  return buffers;
}

TEST(Legalise, TextsComputeTheSame) {
  int changed = 0;
  for (const ir::Program& program : text_programs()) {
    const PassResult by_units = legalise(program, matrix_target());
    ASSERT_TRUE(by_units && by_units->has_value());
    const std::vector<Bytes> words = whole_number_buffers(program);
    EXPECT_TRUE(run(program, words) == run(**by_units, words)) << program.name << " by units";
    const PassResult legal = legalise(program, plain_target());
    ASSERT_TRUE(legal) << legal.error().message();
    ASSERT_TRUE(legal->has_value());
    const Result<void> verified = ir::verify(**legal);
    ASSERT_TRUE(verified) << verified.error().message();
    const std::vector<Bytes> buffers = whole_number_buffers(program);
    EXPECT_TRUE(run(program, buffers) == run(**legal, buffers)) << program.name;
    changed += ir::print_program(**legal) != ir::print_program(program) ? 1 : 0;
  }
  EXPECT_GE(changed, 7);
}

// What the units read lies in memory as it is said to; what is stored there is rounded, unless it
// came from such memory.
TEST(Legalise, HalvesStayBesideFragments) {
  for (const DType element : {DType::f16, DType::bf16}) {
    ir::Builder b("halves", 32, 1);
    const uint32_t x = b.parameter("x", element, false, 256);
    const uint32_t y = b.parameter("y", DType::f32, true, 256);
    const uint32_t z = b.parameter("z", element, true, 256);
    const uint32_t tile = b.local("tile", element, 4, 64);
    const ir::ValueId one = b.load(x, b.lane_id(), 4), lane = b.lane_id();
    const ir::ValueId other = b.load(x, b.add(lane, b.i32(32)), 4);
    b.store_local(tile, lane, one);
    b.store_local(tile, b.add(lane, b.i32(32)), b.mul(other, b.f32(1.0f / 3)));
    b.barrier();
    ir::Fragment fragment = {.role = ir::Role::a, .element = element, .m = 16, .n = 16, .k = 16};
    const ir::Builder::FragmentPlace place = {
        .slot = tile, .index = b.i32(0), .stride = b.i32(16), .is_local = true};
    const ir::ValueId left = b.fragment_load(fragment, place);
    fragment.role = ir::Role::b;
    const ir::ValueId right = b.fragment_load(fragment, place);
    fragment = {.role = ir::Role::sum, .element = DType::f32, .m = 16, .n = 16, .k = 16};
    const ir::ValueId sum = b.mma(left, right, b.fragment_fill(fragment, b.f32(0)));
    b.fragment_store({.slot = y, .index = b.i32(0), .stride = b.i32(16)}, sum);
    b.store(z, lane, b.mul(other, b.f32(0.7f)));
    const ir::Program program = b.finish();
    const ir::Program kept = expand_storage(program, facts_of(matrix_target()));
    const Result<void> verified = ir::verify(kept);
    ASSERT_TRUE(verified) << verified.error().message();
    EXPECT_EQ(kept.locals[0].storage, element);
    EXPECT_EQ(kept.parameters[0].storage, element);
    const std::string text = ir::print_program(kept);
    EXPECT_NE(text.find("bits_from_float"), std::string::npos);
    EXPECT_LT(text.find("store_local"), text.find("bits_from_float"));  // the first as it is
    Bytes in(512);
    for (size_t i = 0; i < 256; ++i) {
      const uint16_t bits = static_cast<uint16_t>(0x3c00 + 37 * i % 1024);
      std::memcpy(&in[2 * i], &bits, 2);
    }
    const std::vector<Bytes> buffers = {in, Bytes(1024), Bytes(512)};
    EXPECT_TRUE(run(program, buffers) == run(kept, buffers)) << text;
  }
}

/// y = x for each element: loads widen, stores round.
ir::Program copy_program(DType from, DType to, bool through_local) {
  ir::Builder b("copy", 32, 1);
  b.program().grid = {2048, 1, 1};
  const uint32_t x = b.parameter("x", from, false, 65536);
  const uint32_t y = b.parameter("y", to, true, 65536);
  const ir::ValueId at = b.add(b.mul(b.group_id(0), b.i32(32)), b.lane_id());
  ir::ValueId value = b.load(x, at);
  if (through_local) {
    const uint32_t tile = b.local("tile", DType::f16, 1, 32);
    b.store_local(tile, b.lane_id(), value);
    value = b.load_local(tile, b.lane_id());
  }
  b.store(y, at, value);
  return b.finish();
}

void check_floats(const ir::Program& program, const Bytes& in, size_t out_bytes) {
  const ir::Program expanded = expand_storage(program, facts_of(plain_target()));
  EXPECT_NE(ir::print_program(expanded), ir::print_program(program));
  const std::vector<Bytes> wanted = run(program, {in, Bytes(65536 * out_bytes)});
  const std::vector<Bytes> got = run(expanded, {in, Bytes(65536 * out_bytes)});
  for (size_t i = 0; i < 65536; ++i) {
    const std::byte* a = &wanted[1][i * out_bytes];
    const std::byte* b = &got[1][i * out_bytes];
    if (std::memcmp(a, b, out_bytes) == 0) continue;
    // One NaN is as good as another: all bits of the exponent, and one of the mantissa.
    const auto is_nan = [&](const std::byte* bytes) {
      uint32_t bits = 0;
      std::memcpy(reinterpret_cast<std::byte*>(&bits) + (4 - out_bytes), bytes, out_bytes);
      return (bits & 0x7fffffff) > 0x7f800000;
    };
    EXPECT_TRUE(is_nan(a) && is_nan(b)) << program.name << " " << i;
  }
}

TEST(Legalise, FloatsOf16BitsAsArithmetic) {
  Bytes codes(65536 * 2), floats(65536 * 4);
  for (uint32_t i = 0; i < 65536; ++i) {
    std::memcpy(&codes[i * 2], &i, 2);
    // All signs and exponents, and mantissas at and around the middle between two narrow numbers.
    const uint32_t mantissas[] = {0,        1,        0xfff,    0x1000,  0x1001,  0x2fff,
                                  0x3000,   0x7fff,   0x8000,   0x8001,  0x17fff, 0x18000,
                                  0x7fffff, 0x400000, 0x555555, 0x7ff000};
    const uint32_t bits = (i >> 7) << 23 | (mantissas[i % 16] ^ (i >> 4 & 7) << 20);
    std::memcpy(&floats[i * 4], &bits, 4);
  }
  check_floats(copy_program(DType::bf16, DType::f32, false), codes, 4);
  check_floats(copy_program(DType::f32, DType::bf16, false), floats, 2);
  check_floats(copy_program(DType::f32, DType::f32, true), floats, 4);
}

/// All pairs of some numbers at the ends of words and between.
std::vector<Bytes> number_pairs() {
  std::vector<int64_t> numbers = {0, 1, 2, 3, -1, -2, 63, 64, 1000003, -77};
  for (const int64_t word : {int64_t{1} << 31, int64_t{1} << 32, int64_t{1} << 53}) {
    for (const int64_t off : {-1, 0, 1}) numbers.insert(numbers.end(), {word + off, -word - off});
  }
  numbers.insert(numbers.end(),
                 {INT64_MAX, INT64_MIN, INT64_MAX - 1, 0x123456789abcdef0, 0x1000001LL << 30});
  numbers.resize(32, -0x0fedcba987654321);
  Bytes left(1024 * 8), right(1024 * 8);
  for (size_t i = 0; i < 1024; ++i) {
    std::memcpy(&left[i * 8], &numbers[i / 32], 8);
    std::memcpy(&right[i * 8], &numbers[i % 32], 8);
  }
  return {left, right};
}

/// Every operation of whole numbers of 64 bits on pairs of them, through local memory too.
ir::Program int64_program(std::span<const ir::Opcode> operations) {
  using enum ir::Opcode;
  ir::Builder b("wide", 32, 1);
  b.program().grid = {32, 1, 1};
  const uint32_t x = b.parameter("x", DType::i64, false, 1024);
  const uint32_t y = b.parameter("y", DType::i64, false, 1024);
  const int64_t results = static_cast<int64_t>(operations.size()) + 3;
  const uint32_t z = b.parameter("z", DType::u64, true, 1024 * results);
  const uint32_t f = b.parameter("f", DType::f32, true, 1024);
  const ir::ValueId at = b.add(b.mul(b.group_id(0), b.i32(32)), b.lane_id());
  const uint32_t tile = b.local("tile", DType::i64, 1, 32);
  const ir::ValueId loaded = b.load(x, at, 1, b.binary(lt_i, b.lane_id(), b.i32(31)));
  b.store_local(tile, b.lane_id(), loaded);
  b.barrier();
  const ir::ValueId left = b.load_local(tile, b.lane_id());
  const ir::ValueId right = b.load(y, at);
  int64_t count = 0;
  const auto put = [&](ir::ValueId value) { b.store(z, b.add(b.i32(1024 * count++), at), value); };
  for (const ir::Opcode op : operations) {
    const bool compares = ir::class_of(op) == ir::OpClass::compare;
    const ir::ValueId value = op == popcount ? b.unary(op, left) : b.binary(op, left, right);
    put(compares ? b.select(value, left, b.i64(-5)) : value);
  }
  const ir::ValueId number = b.convert(float_from_int, left, ir::Scalar::f32);
  b.store(f, at, number);
  put(b.convert(int_from_float, b.mul(number, b.f32(1.5f)), ir::Scalar::i64));
  put(b.convert(widen_i, b.convert(narrow_i, right)));
  put(b.convert(widen_u, b.convert(narrow_i, right)));
  return b.finish();
}

TEST(Legalise, WholeNumbersOf64BitsAsWords) {
  using enum ir::Opcode;
  const ir::Opcode operations[] = {add_i, sub_i, mul_i, div_i, rem_i, min_i,
                                   max_i, and_i, or_i,  xor_i, shl_i, shr_s,
                                   shr_u, lt_i,  le_i,  lt_u,  eq_i,  popcount};
  const ir::Program program = int64_program(operations);
  const ir::Program words = expand_int64(program, facts_of(plain_target()));
  const Result<void> verified = ir::verify(words);
  ASSERT_TRUE(verified) << verified.error().message();
  for (const ir::Type& type : words.values) EXPECT_NE(type.scalar, ir::Scalar::i64);
  std::vector<Bytes> buffers = number_pairs();
  buffers.push_back(Bytes(1024 * 8 * (std::size(operations) + 3)));
  buffers.push_back(Bytes(1024 * 4));
  const std::vector<Bytes> wanted = run(program, buffers);
  const std::vector<Bytes> got = run(words, buffers);
  const auto word_at = [](const Bytes& bytes, size_t i) {
    uint64_t value = 0;
    std::memcpy(&value, &bytes[i * 8], 8);
    return value;
  };
  for (size_t i = 0; i < wanted[2].size() / 8; ++i) {
    const size_t operation = i / 1024;
    const bool divides = operation == 3 || operation == 4;
    if (divides && word_at(buffers[1], i % 1024) == 0) continue;  // any number on a device
    ASSERT_EQ(word_at(got[2], i), word_at(wanted[2], i))
        << "operation " << operation << " of " << word_at(buffers[0], i % 1024) << ", "
        << word_at(buffers[1], i % 1024);
  }
  EXPECT_TRUE(got[3] == wanted[3]);
}

// As of a number times 0, of which nothing but the parameter is left.
TEST(Legalise, AParameterThatNothingReadsIsOfWordsToo) {
  ir::Builder b("unread", 4, 1);
  b.parameter("x", DType::i64, false, 3);
  b.store(b.parameter("y", DType::f32, true, 4), b.lane_id(), b.f32(0));
  const ir::Program words = expand_int64(b.finish(), facts_of(plain_target()));
  EXPECT_EQ(words.parameters[0].storage, DType::i32);
  EXPECT_EQ(words.parameters[0].element_count, 6);
}

}  // namespace
}  // namespace leat
