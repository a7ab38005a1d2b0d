// Every kernel of the ten networks becomes code for a plain target, as the product makes it: plan,
// wave program, passes, emission of what is distinct. One case for each target, so that a run of
// one case enters what compiling for that target enters; tools/reuse --coverage counts those lines.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "leat/emit/emit.h"
#include "leat/lower/lower.h"
#include "leat/run/inspect.h"
#include "leat/schedule/schedule.h"
#include "tests/replay/replay_networks.h"
#include "tests/replay/replay_record.h"

namespace leat::replay {
namespace {

/// Where nothing makes a cubin of PTX, the PTX is the code.
Result<void> make_code(const ir::Program& program, const Target& target) {
  const Result<KernelBinary> binary = emit(program, target);
  if (binary) return {};
  if (target.format != CodeFormat::cubin || binary.error().kind() != ErrorKind::unsupported) {
    return binary.error();
  }
  TRY(disassemble(program, target));
  return {};
}

Result<size_t> compile(const ReplayNetwork& network, const Target& target) {
  TRY_ASSIGN(const Graph graph, network.build());
  TRY_ASSIGN(const Schedule schedule, make_schedule(graph, target, {}));
  std::set<std::string> texts;
  for (const Step& step : schedule.steps) {
    TRY_ASSIGN(const LoweredKernel lowered, lower(schedule, step, target));
    if (texts.insert(lowered.text).second) TRY(make_code(lowered.program, target));
  }
  return texts.size();
}

/// A plain target of a standard does not know how many compute units a device has, and work is cut
/// into parts only where there are several, as there are on devices.
Result<Target> target_of_device(std::string_view name) {
  constexpr uint32_t kComputeUnits = 32;
  TRY_ASSIGN(Target target, plain_target(name));
  if (target.compute_units == 1) target.compute_units = kComputeUnits;
  return target;
}

class SlowCode : public testing::TestWithParam<std::string_view> {};

TEST_P(SlowCode, EveryKernelIsEmitted) {
  const auto target = target_of_device(GetParam());
  ASSERT_TRUE(target) << target.error().message();
  for (const ReplayNetwork& network : replay_networks()) {
    const Result<size_t> kernels = compile(network, *target);
    if (!kernels && kernels.error().kind() == ErrorKind::unsupported) {
      GTEST_SKIP() << kernels.error().message();  // a build without LLVM
    }
    ASSERT_TRUE(kernels) << network.name << ": " << kernels.error().message();
    EXPECT_GT(*kernels, 0u) << network.name;
  }
}

std::string test_name_of(const testing::TestParamInfo<std::string_view>& info) {
  std::string name(info.param);
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Targets, SlowCode,
                         testing::ValuesIn(replayed_targets().begin(), replayed_targets().end()),
                         test_name_of);

}  // namespace
}  // namespace leat::replay
