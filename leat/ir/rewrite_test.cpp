// Rewriting: the identity gives a program with the same results, and a replacement takes effect
// everywhere.
#include "leat/ir/rewrite.h"

#include <gtest/gtest.h>

#include <cmath>

#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "leat/ir/program_samples_test.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"

namespace leat::ir {
namespace {

std::optional<ValueId> keep(Builder&, const Instruction&, std::span<const ValueId>) {
  return std::nullopt;
}

int count_of(const Program& program, Opcode op) {
  int count = 0;
  for (const Block& block : program.blocks) {
    for (InstructionId id : block.instructions) count += program.instructions[id].op == op ? 1 : 0;
  }
  return count;
}

/// What the sampler writes to y.
std::vector<uint32_t> run_sampler(const Program& program) {
  std::vector<uint16_t> x(256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(0x3800 + 37 * i);
  std::vector<int32_t> n(256, 7);
  std::vector<uint32_t> y(256, 0);
  const std::vector<std::span<std::byte>> buffers = {std::as_writable_bytes(std::span(x)),
                                                     std::as_writable_bytes(std::span(n)),
                                                     std::as_writable_bytes(std::span(y))};
  const Result<void> result = interpret(program, buffers);
  EXPECT_TRUE(result) << result.error().message();
  return y;
}

TEST(Rewrite, KeepsAProgram) {
  const Program original = sampler();
  const Program again = rewrite(original, keep);
  const Result<void> verified = verify(again);
  ASSERT_TRUE(verified) << verified.error().message();
  EXPECT_EQ(again.name, original.name);
  EXPECT_EQ(again.grid, original.grid);
  EXPECT_EQ(again.locals.size(), original.locals.size());
  EXPECT_EQ(run_sampler(again), run_sampler(original));
  EXPECT_EQ(print_program(rewrite(again, keep)), print_program(again));
  const Program matmul = rewrite(tiled_matmul({}), keep);
  EXPECT_EQ(matmul.blocks[0].instructions.size(), tiled_matmul({}).blocks[0].instructions.size());
}

// The index becomes uniform as its lanes are known to have one value; a store by all of them stays
// one by each.
TEST(Rewrite, KeepsAStoreByAllLanesToOnePlace) {
  const Result<Program> program = parse_program(
      "leat-kernel 1\nkernel \"one_place\" lanes 4 waves 1 grid 1 1 1\n"
      "parameter x : f32[4] read\nlocal s : f32[4]\n\n{\n"
      "  %0 : v.i32 = lane_id\n  %1 : u.i32 = constant 8\n  %2 : v.i32 = shr_u %0, %1\n"
      "  %3 : u.i32 = constant 0\n  %4 : v.f32 = load x[%3 + lane * 1]\n"
      "  store_local s[%2], %4\n}\n",
      "one_place.ir");
  ASSERT_TRUE(program) << program.error().message();
  const Program again = rewrite(*program, keep);
  const Result<void> verified = verify(again);
  EXPECT_TRUE(verified) << verified.error().message();
  EXPECT_EQ(count_of(again, Opcode::store_local), 1);
  std::vector<float> x = {1, 2, 3, 4};
  const std::vector<std::span<std::byte>> buffers = {std::as_writable_bytes(std::span(x))};
  const Result<void> before = interpret(*program, buffers);
  const Result<void> after = interpret(again, buffers);
  EXPECT_EQ(after.has_value(), before.has_value());
}

TEST(Rewrite, ReplacesInstructions) {
  const auto expand = [](Builder& builder, const Instruction& instruction,
                         std::span<const ValueId> operands) -> std::optional<ValueId> {
    if (instruction.op != Opcode::exp) return std::nullopt;
    return builder.add(operands[0], builder.f32(1));
  };
  const Program original = sampler();
  const Program expanded = rewrite(original, expand);
  ASSERT_TRUE(verify(expanded)) << verify(expanded).error().message();
  EXPECT_EQ(count_of(original, Opcode::exp), 1);
  EXPECT_EQ(count_of(expanded, Opcode::exp), 0);
  EXPECT_NE(run_sampler(expanded), run_sampler(original));
}

TEST(Rewrite, ReplacesStores) {
  const auto drop = [](Builder&, const Instruction& instruction,
                       std::span<const ValueId>) -> std::optional<ValueId> {
    if (instruction.op != Opcode::store) return std::nullopt;
    return kNone;
  };
  const Program dropped = rewrite(tiled_matmul({}), drop);
  EXPECT_EQ(count_of(dropped, Opcode::store), 0);
  EXPECT_TRUE(verify(dropped));
}

TEST(Rewrite, FoldsWhatATextLeaves) {
  const Result<Program> parsed = parse_program(kernel_around(R"(
    %0 : u.i32 = constant 0 %1 : u.i32 = constant 1 %t : u.b1 = constant true
    %f : u.f32 = constant 2
    branch %t {
      %r : v.f32 = loop %i : u.i32 = %0 to %1 step %1 carry %a : v.f32 = %f {
        %n : v.f32 = mul_f %a, %a
        yield %n
      }
      %place : u.i32 = add_i %0, %0
      store y[%place + lane * 1], %r if %t
    })"),
                                               "test");
  ASSERT_TRUE(parsed) << parsed.error().message();
  const Program folded = rewrite(*parsed, keep);
  ASSERT_TRUE(verify(folded)) << verify(folded).error().message();
  EXPECT_EQ(folded.blocks[0].instructions.size(), 3u) << print_program(folded);
  EXPECT_EQ(count_of(folded, Opcode::branch) + count_of(folded, Opcode::loop), 0);
}

}  // namespace
}  // namespace leat::ir
