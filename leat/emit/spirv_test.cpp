// Every program in every addressing mode passes the SPIR-V validator of SPIRV-Tools, under the
// rules of the API that will get it; and what the emitter promises about loops, errors and text.
#include <gtest/gtest.h>

#include <cstring>
#include <spirv-tools/libspirv.hpp>
#include <spirv/unified1/spirv.hpp11>

#include "leat/emit/emit.h"
#include "leat/emit/spirv_programs_test.h"
#include "leat/emit/spirv_text.h"

namespace leat::spirv {
namespace {

std::vector<uint32_t> words_of(const KernelBinary& binary) {
  std::vector<uint32_t> words(binary.code.size() / sizeof(uint32_t));
  std::memcpy(words.data(), binary.code.data(), binary.code.size());
  return words;
}

// What the validator objects to; empty when nothing.
std::string objections(const KernelBinary& binary, spv_target_env environment) {
  spvtools::SpirvTools tools(environment);
  std::string text;
  tools.SetMessageConsumer(
      [&](spv_message_level_t, const char*, const spv_position_t& position, const char* message) {
        text += std::to_string(position.index) + ": " + message + "\n";
      });
  if (!tools.Validate(words_of(binary)) && text.empty()) text = "the module is not valid";
  return text;
}

size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string text_of(const ir::Program& program, const Target& target) {
  const Result<std::string> text = disassemble(program, target);
  EXPECT_TRUE(text.has_value());
  return text ? *text : "";
}

class EveryProgram : public testing::TestWithParam<NamedProgram> {
 protected:
  void check(const Target& target, spv_target_env environment) {
    const ir::Program program = GetParam().make();
    const Result<KernelBinary> binary = emit_spirv(program, target);
    ASSERT_TRUE(binary.has_value()) << binary.error().message();
    EXPECT_EQ(objections(*binary, environment), "");
    EXPECT_EQ(binary->arguments.size(), program.parameters.size());
    EXPECT_EQ(binary->entry, "main");
    const Result<std::string> text = module_text(binary->code);
    ASSERT_TRUE(text.has_value());
    EXPECT_EQ(count_of(*text, "Op") - count_of(*text, "\"Op"),
              count_of(*text, "\n") - 1);  // each line but the first is an instruction we name
  }
};

TEST_P(EveryProgram, PassesTheValidatorWithPointers) {
  check(pointers_target(), SPV_ENV_VULKAN_1_1);
}

TEST_P(EveryProgram, PassesTheValidatorWhereNanIsKept) {
  Target target = pointers_target();
  target.shader_keeps_nan = true;
  check(target, SPV_ENV_VULKAN_1_1);
  const std::string modes = "OpExecutionMode";
  EXPECT_EQ(count_of(text_of(GetParam().make(), target), modes),
            count_of(text_of(GetParam().make(), pointers_target()), modes) + 1);
}

TEST_P(EveryProgram, PassesTheValidatorWithBindings) {
  check(bindings_target(), SPV_ENV_VULKAN_1_1);
}

TEST_P(EveryProgram, PassesTheValidatorForOpenGL) {
  if (!GetParam().half) return check(opengl_target(), SPV_ENV_OPENGL_4_5);
  const Result<KernelBinary> binary = emit_spirv(GetParam().make(), opengl_target());
  ASSERT_FALSE(binary.has_value());
  EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
}

INSTANTIATE_TEST_SUITE_P(Spirv, EveryProgram, testing::ValuesIn(shader_programs()),
                         [](const auto& tested) { return tested.param.name; });

TEST(SpirvValidator, ObjectsToABrokenModule) {
  Result<KernelBinary> binary = emit_spirv(saxpy_program(100), bindings_target());
  ASSERT_TRUE(binary.has_value());
  binary->code.resize(binary->code.size() - sizeof(uint32_t));  // OpFunctionEnd
  EXPECT_NE(objections(*binary, SPV_ENV_VULKAN_1_1), "");
}

TEST(SpirvEmitter, DescribesTheKernel) {
  const Result<KernelBinary> binary = emit_spirv(saxpy_program(1000), pointers_target());
  ASSERT_TRUE(binary.has_value());
  EXPECT_EQ(binary->name, "saxpy");
  EXPECT_EQ(binary->format, CodeFormat::spirv_pointers);
  EXPECT_EQ(binary->wave_lanes, 32u);
  EXPECT_EQ(binary->waves_per_workgroup, 4u);
  EXPECT_EQ(binary->grid[0], 8u);
  ASSERT_EQ(binary->arguments.size(), 3u);
  EXPECT_FALSE(binary->arguments[1].written);
  EXPECT_TRUE(binary->arguments[2].written);
}

TEST(SpirvEmitter, WritesTheSameBytesForTheSameProgram) {
  const Result<KernelBinary> first = emit_spirv(saxpy_program(1000), pointers_target());
  const Result<KernelBinary> second = emit_spirv(saxpy_program(1000), pointers_target());
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->code, second->code);
}

// Loops were unrolled by a pass; what is left stays one.
TEST(SpirvEmitter, LeavesLoopsAsTheyAre) {
  const std::string text = text_of(loop_program(8, 4), bindings_target());
  EXPECT_EQ(count_of(text, "OpLoopMerge"), 1u);
  EXPECT_EQ(count_of(text, "OpFAdd"), 1u);
}

TEST(SpirvEmitter, LeavesToPassesWhatTheyExpand) {
  ir::Builder b("expanded", 32, 1);
  const uint32_t y = b.parameter("y", DType::f32, true, 32);
  const ir::ValueId read = b.load(y, b.lane_id());
  b.store(y, b.lane_id(), b.unary(ir::Opcode::exp, read));
  const auto expect_refused = [](const ir::Program& program, const char* name) {
    const Result<KernelBinary> binary = emit_spirv(program, pointers_target());
    ASSERT_FALSE(binary.has_value());
    EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(binary.error().message().find(name), std::string::npos);
  };
  expect_refused(b.finish(), "(exp)");
  expect_refused(reduce_program(32, 1), "(reduce_add)");
  ir::Builder narrow("narrow", 32, 1);
  const uint32_t z = narrow.parameter("z", DType::f32, true, 64);
  const uint32_t tile = narrow.local("tile", DType::f32, 4, 16);
  narrow.store_local(tile, narrow.lane_id(), narrow.load(z, narrow.lane_id(), 2));
  expect_refused(narrow.finish(), "(store_local)");
}

TEST(SpirvEmitter, RefusesWhatTheTargetCannotHold) {
  Target small = bindings_target();
  small.lanes_per_workgroup_max = 127;
  EXPECT_FALSE(emit_spirv(saxpy_program(10), small).has_value());
  small = bindings_target();
  small.buffer_bindings_max = 2;
  EXPECT_FALSE(emit_spirv(saxpy_program(10), small).has_value());
  small = bindings_target();
  small.workgroups_max[0] = 7;
  const Result<KernelBinary> binary = emit_spirv(saxpy_program(1000), small);
  ASSERT_FALSE(binary.has_value());
  EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(binary.error().message(),
            "Number of workgroups (8) of Kernel \"saxpy\" is larger than the limit (7) of Target "
            "\"test\".");
}

TEST(SpirvText, NamesInstructionsAndRefusesWhatIsNoModule) {
  const std::string text = text_of(saxpy_program(100), pointers_target());
  EXPECT_EQ(text.find("; SPIR-V 1.3"), 0u);
  EXPECT_NE(text.find("OpEntryPoint 5 %"), std::string::npos);
  EXPECT_NE(text.find("\"main\""), std::string::npos);
  EXPECT_NE(text.find("Fma"), std::string::npos);
  EXPECT_FALSE(module_text({}).has_value());
  Result<KernelBinary> binary = emit_spirv(saxpy_program(100), pointers_target());
  ASSERT_TRUE(binary.has_value());
  // The last word is OpFunctionEnd.
  const uint32_t too_long = 9u << 16 | static_cast<uint32_t>(spv::Op::OpReturn);
  std::memcpy(binary->code.data() + binary->code.size() - sizeof too_long, &too_long,
              sizeof too_long);
  EXPECT_FALSE(module_text(binary->code).has_value());
}

}  // namespace
}  // namespace leat::spirv
