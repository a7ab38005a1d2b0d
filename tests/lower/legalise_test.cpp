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

std::vector<Bytes> run(const ir::Program& program, std::vector<Bytes> buffers) {
  const std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  const Result<void> done = ir::interpret(program, spans);
  EXPECT_TRUE(done) << done.error().message() << "\n" << ir::print_program(program);
  return buffers;
}

TEST(Legalise, TextsComputeTheSame) {
  int changed = 0;
  for (const ir::Program& program : text_programs()) {
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

}  // namespace
}  // namespace leat
