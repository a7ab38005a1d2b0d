// What the verifier refuses, one case for each rule, written as texts; and broken programs that no
// text can express, made by hand.
#include "leat/ir/verify.h"

#include <gtest/gtest.h>

#include "leat/ir/builder.h"
#include "leat/ir/parse.h"
#include "leat/ir/program_samples_test.h"

namespace leat::ir {
namespace {

struct BadProgram {
  const char* body;
  const char* message;
};

constexpr const char* kValues = R"(
  %lane : v.i32 = lane_id
  %wave : u.i32 = wave_id
  %0 : u.i32 = constant 0
  %1 : u.i32 = constant 1
  %f : u.f32 = constant 2
  %t : u.b1 = constant true
  %vf : v.f32 = load x[%lane]
  %vb : v.b1 = lt_i %lane, %1
  %f4 : u.f32x4 = vector %f, %f, %f, %f
  %f2 : u.f32x2 = vector %f, %f
)";

void expect_refused(const std::string& body, const std::string& message) {
  const Result<Program> parsed = parse_program(kernel_around(kValues + body), "test");
  ASSERT_TRUE(parsed) << parsed.error().message();
  const Result<void> verified = verify(*parsed);
  ASSERT_FALSE(verified) << body;
  EXPECT_EQ(verified.error().kind(), ErrorKind::internal);
  EXPECT_NE(verified.error().message().find(message), std::string::npos)
      << body << "\n"
      << verified.error().message();
}

TEST(Verify, TakesGoodPrograms) {
  for (const Program& program : {sampler(), tiled_matmul({}), Builder("empty", 1, 1).finish()}) {
    const Result<void> verified = verify(program);
    EXPECT_TRUE(verified) << verified.error().message();
  }
}

TEST(Verify, RefusesWrongTypes) {
  const BadProgram cases[] = {
      {"%a : u.f32 = add_f %0, %f",
       "\"%10 : u.f32 = add_f %2, %4\" that has an operand of a wrong"},
      {"%a : u.i32 = add_i %f, %f", "has an operand of a wrong scalar type"},
      {"%a : v.i32 = add_i %0, %0", "has a varying result of uniform operands"},
      {"%a : u.i32 = add_i %lane, %0", "has a uniform result of varying operands"},
      {"%a : u.f32 = add_f %f4, %f", "has a result of a wrong width"},
      {"%a : u.f32x4 = add_f %f4, %f2", "has operands of unequal widths"},
      {"%a : u.i32 = lt_i %0, %1", "has a result of a wrong scalar type"},
      {"%a : u.b1 = lt_f %0, %1", "has an operand of a wrong scalar type"},
      {"%a : u.b1 = and_b %t, %0", "has an operand of a wrong scalar type"},
      {"%a : u.b1 = not_b %0", "has an operand of a wrong scalar type"},
      {"%a : u.i32 = popcount %f", "has an operand of a wrong scalar type"},
      {"%a : u.f32 = popcount %0", "has a result of a wrong scalar type"},
      {"%a : u.f32 = fma %f, %f, %0", "has an operand of a wrong scalar type"},
      {"%a : u.f32x4 = fma %f, %f4, %f2", "has operands of unequal widths"},
      {"%a : u.f32 = select %0, %f, %f", "has a condition of no b1 type"},
      {"%a : u.f32 = select %t, %f, %0", "has an operand of a wrong scalar type"},
      {"%a : u.f32 = select %vb, %f, %f", "has a uniform result of varying operands"},
      {"%a : u.i32 = int_from_float %0", "has an operand of a wrong scalar type"},
      {"%a : u.f32 = int_from_float %f", "has a result of a wrong scalar type"},
      {"%a : u.i32 = lane_id", "has a uniform result of varying operands"},
      {"%a : v.i32 = constant 1", "has a varying result of uniform operands"},
      {"%a : u.i32x2 = constant 1", "has a result of a wrong width"},
      {"%a : u.f32 = vector %f, %f", "has a result of a wrong width"},
      {"%a : u.f32x4 = vector %f, %f, %f", "has a number of components other than 2 and 4"},
      {"%a : u.f32x4 = vector %f2, %f, %f, %f", "has a component that is a vector"},
      {"%a : u.f32 = extract %f2, 2", "has no such component"},
      {"%a : u.f32 = reduce_add %f", "has a uniform operand"},
      {"%a : v.f32 = reduce_add %vf", "has a varying result of uniform operands"},
      {"%a : u.b1 = reduce_max %vb", "has an operand of a wrong scalar type"},
      {"%a : u.i32 = rounds %0", "has a uniform operand"},
      {"%a : v.i32 = rounds %lane", "has a varying result of uniform operands"},
      {"%a : u.f32 = rounds %vf", "has an operand of a wrong scalar type"},
      {"%a : u.i32 = rounds %lane\nloop %i : u.i32 = %0 to %a step %1 {\nbarrier\nyield\n}",
       "may not be reached by all waves of the workgroup"},
  };
  for (const BadProgram& bad : cases) expect_refused(bad.body, bad.message);
}

TEST(Verify, RefusesWrongAccesses) {
  const BadProgram cases[] = {
      {"%a : u.f32 = load x[%f]", "has an index of no i32 type"},
      {"%a : u.i32 = load x[%0]", "has a result of a wrong scalar type"},
      {"%a : u.f32 = load x[%lane]", "has a uniform result of varying operands"},
      {"%a : u.f32 = load x[%0 + lane * 0]", "has a uniform result of varying operands"},
      {"%a : v.f32 = load x[%lane + lane * 1]", "has a lane stride and a varying index"},
      {"%a : v.f32 = load x[%0] if %vb", "has a varying mask and a uniform address"},
      {"%a : u.f32 = load x[%0] if %0", "has a mask of no b1 type"},
      {"store x[%0], %f", "writes a parameter that is declared as read"},
      {"store y[%0], %0", "stores a value of a wrong scalar type"},
      {"store y[%0], %vf", "stores a varying value at a uniform address"},
      {"store_local s[%0], %0", "has a value of a wrong scalar type"},
      {"store_local s[%0], %f4", "has a width that is not the memory's"},
      {"store_local s[%0], %f2", "has a width that is not the memory's"},
      {"store_local s[%0], %vf", "stores a varying value at a uniform index"},
      {"%a : v.f32 = load_local s[%0]", "has a varying result of uniform operands"},
      {"%a : v.f32x4 = load_local s[%lane]", "has a width that is not the memory's"},
  };
  for (const BadProgram& bad : cases) expect_refused(bad.body, bad.message);
}

TEST(Verify, RefusesWrongRegions) {
  const BadProgram cases[] = {
      {"loop %i : u.i32 = %0 to %1 step %0 { yield }", "has a step that is no positive constant"},
      {"loop %i : u.i32 = %0 to %1 step %wave { yield }",
       "has a step that is no positive constant"},
      {"loop %i : u.i32 = %0 to %lane step %1 { yield }", "has a bound that is no uniform i32"},
      {"loop %i : u.f32 = %0 to %1 step %1 { yield }", "has a counter that is no uniform i32"},
      {"loop %i : u.i32 = %0 to %1 step %1 unroll 5000 { yield }", "has no usable unroll factor"},
      {"loop %i : u.i32 = %0 to %1 step %1 { }", "has a loop without a yield"},
      {"loop %i : u.i32 = %0 to %1 step %1 { barrier }", "ends a loop and is no yield"},
      {"loop %i : u.i32 = %0 to %1 step %1 { yield yield }", "does not end a loop"},
      {"loop %i : u.i32 = %0 to %1 step %1 { yield %0 }", "has a wrong number of operands"},
      {"%r : u.f32 = loop %i : u.i32 = %0 to %1 step %1 carry %a : v.f32 = %f { yield %a }",
       "has an argument and a result of unequal types"},
      {"%r : u.f32 = loop %i : u.i32 = %0 to %1 step %1 carry %a : u.f32 = %vf { yield %a }",
       "has an initial value of another type than its argument"},
      {"%r : u.f32 = loop %i : u.i32 = %0 to %1 step %1 carry %a : u.f32 = %f { yield %vf }",
       "has an operand of another type than what the loop carries"},
      {"yield", "does not end a loop"},
      {"branch %t { yield }", "does not end a loop"},
      {"branch %0 { }", "has a condition that is no uniform b1"},
      {"branch %vb { }", "has a condition that is no uniform b1"},
  };
  for (const BadProgram& bad : cases) expect_refused(bad.body, bad.message);
}

TEST(Verify, KeepsBarriersWhereAllWavesArrive) {
  const std::string unequal = "may not be reached by all waves of the workgroup";
  expect_refused("%c : u.b1 = lt_i %wave, %1 branch %c { barrier }", unequal);
  expect_refused("loop %i : u.i32 = %0 to %wave step %1 { barrier yield }", unequal);
  expect_refused(
      "loop %i : u.i32 = %0 to %wave step %1 { loop %j : u.i32 = %0 to %1 step %1 "
      "{ barrier yield } yield }",
      unequal);
  expect_refused("%l : u.f32 = load y[%0] %c : u.b1 = lt_f %l, %f branch %c { barrier }", unequal);
  const std::string good =
      std::string(kValues) +
      "%l : u.i32 = load n[%0] loop %i : u.i32 = %0 to %l step %1 { %g : u.i32 = group_id 0 "
      "%c : u.b1 = lt_i %g, %i branch %c { barrier } yield }";
  const Result<Program> parsed = parse_program(kernel_around(good), "test");
  ASSERT_TRUE(parsed) << parsed.error().message();
  const Result<void> verified = verify(*parsed);
  EXPECT_TRUE(verified) << verified.error().message();
}

void expect_broken(const Program& program, const std::string& message) {
  const Result<void> verified = verify(program);
  ASSERT_FALSE(verified) << message;
  EXPECT_NE(verified.error().message().find(message), std::string::npos)
      << verified.error().message();
}

TEST(Verify, RefusesWrongDeclarations) {
  Program program = sampler();
  program.wave_lanes = 3;
  expect_broken(program, "has a number of lanes (3) that is no power of two");
  program = sampler();
  program.waves_per_workgroup = 512;
  expect_broken(program, "has a number of lanes in its workgroup (2048) outside of 1 to 1024");
  program = sampler();
  program.grid[1] = 0;
  expect_broken(program, "has a grid extent (0)");
  program = sampler();
  program.parameters[0].name = "a b";
  expect_broken(program, "declares \"a b\", which is no name");
  program = sampler();
  program.parameters[0].name = "y";
  expect_broken(program, "declares \"y\" twice");
  program = sampler();
  program.parameters[0].storage = DType::boolean;
  expect_broken(program, "of a type (bool) that no device stores");
  program = sampler();
  program.parameters[0].element_count = int64_t{1} << 40;
  expect_broken(program, "has a parameter \"x\" of a size (1099511627776)");
  program = sampler();
  program.locals[0].count = 1u << 30;
  expect_broken(program, "has more local memory (17179869216 bytes) than the limit (1048576)");
}

TEST(Verify, SurvivesBrokenIds) {
  const Program good = sampler();
  const InstructionId first = good.blocks[0].instructions[0];
  const InstructionId last = good.blocks[0].instructions.back();
  Program program = good;
  program.operands[program.instructions[last].first_operand] = 1u << 30;
  expect_broken(program, "uses a value outside of the program");
  program = good;
  program.operands[program.instructions[last].first_operand] =
      static_cast<ValueId>(good.values.size() - 1);
  program.instructions[last].operand_count = 200;
  program.instructions[last].first_operand = UINT32_MAX - 100;
  expect_broken(program, "has operands outside of the program");
  program = good;
  program.instructions[first].first_result = UINT32_MAX - 1;
  expect_broken(program, "has results outside of the program");
  program = good;
  program.blocks[0].instructions.push_back(first);
  expect_broken(program, "defines a value twice");
  program = good;
  program.blocks[0].instructions.push_back(1u << 20);
  expect_broken(program, "lists an instruction it lacks");
  program = good;
  for (Instruction& instruction : program.instructions) {
    if (instruction.op == Opcode::loop) instruction.regions[0] = 0;
  }
  expect_broken(program, "has a region outside of the program");
  program = good;
  program.blocks.clear();
  expect_broken(program, "has no body");
  program = good;
  std::swap(program.blocks[0].instructions.front(), program.blocks[0].instructions.back());
  expect_broken(program, "uses a value that is not defined before it");
}

}  // namespace
}  // namespace leat::ir
