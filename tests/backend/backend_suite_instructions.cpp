// Conformance: instructions beyond arithmetic do on a device what the interpreter does.
#include "leat/emit/emit.h"
#include "leat/ir/interpret.h"
#include "leat/lower/passes.h"
#include "tests/backend/backend_suite.h"
#include "tests/backend/instruction_programs.h"
#include "tests/ir_texts.h"

namespace leat {
namespace {

using Bytes = std::vector<std::byte>;

class InstructionConformance : public ConformanceTest {
 protected:
  void run_on_device(const KernelBinary& binary, std::vector<Bytes>& buffers);
  void compare(const ir::Program& program);
};

void InstructionConformance::run_on_device(const KernelBinary& binary,
                                           std::vector<Bytes>& buffers) {
  const auto kernel = load(binary);
  ASSERT_NE(kernel, nullptr);
  std::vector<Buffer> on_device;
  std::vector<const Buffer*> arguments;
  for (const Bytes& bytes : buffers) on_device.push_back(buffer_of(bytes));
  for (const Buffer& each : on_device) arguments.push_back(&each);
  launch(*kernel, arguments);
  submit_and_wait();
  for (size_t i = 0; i < buffers.size(); ++i) {
    buffers[i] = read<std::byte>(on_device[i], buffers[i].size());
  }
}

void InstructionConformance::compare(const ir::Program& program) {
  SCOPED_TRACE(program.name);
  // A processor's workgroup is one vector, which may be narrower than a wave of the texts.
  const uint32_t lanes = program.wave_lanes * program.waves_per_workgroup;
  if (lanes > device().target().lanes_per_workgroup_max) {
    GTEST_LOG_(INFO) << program.name << " has (" << lanes << ") lanes in a workgroup.";
    return;
  }
  std::vector<Bytes> wanted = whole_number_buffers(program);
  std::vector<Bytes> got = wanted;
  const std::vector<std::span<std::byte>> spans(wanted.begin(), wanted.end());
  ASSERT_OK(ir::interpret(program, spans));
  ir::Program legal = program;
  ASSERT_OK(run_passes(legal, device().target()));
  const Result<KernelBinary> binary = emit(legal, device().target());
  if (!binary && binary.error().kind() == ErrorKind::unsupported) {
    GTEST_LOG_(INFO) << binary.error().message();
    return;
  }
  ASSERT_OK(binary);
  run_on_device(*binary, got);
  if (!runs_kernels()) return;
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(got[i] == wanted[i]) << "parameter " << program.parameters[i].name;
  }
}

TEST_P(InstructionConformance, AreAsInterpreted) {
  for (const InstructionProgram& each : instruction_programs()) {
    compare(each.make(device().target()));
  }
}

TEST_P(InstructionConformance, TextsAreAsInterpreted) {
  for (const ir::Program& program : text_programs()) compare(program);
}

INSTANTIATE_TEST_SUITE_P(Backend, InstructionConformance, testing::ValuesIn(tested_routes()),
                         [](const auto& tested) { return tested.param.test_name; });

}  // namespace
}  // namespace leat
