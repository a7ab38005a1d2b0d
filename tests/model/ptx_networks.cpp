// Every kernel of real networks as PTX, through ptxas, for each architecture: it assembles, fits
// the chip, and keeps all its values in registers. Needs no GPU.
#include <gtest/gtest.h>

#include "leat/emit/emit.h"
#include "leat/emit/ptx_assembler.h"
#include "leat/lower/lower.h"
#include "leat/model/onnx_import.h"
#include "leat/run/inspect.h"
#include "leat/schedule/schedule.h"
#include "tests/model/shared_data.h"

namespace leat {
namespace {

struct Assembled {
  const char* network;
  const char* architecture;
};

class PtxNetworks : public testing::TestWithParam<Assembled> {
 protected:
  void check_kernels() {
    const std::string path = shared_path(GetParam().network);
    if (!exists(path)) GTEST_SKIP() << path << " is not there.";
    const Result<Target> target = plain_target(GetParam().architecture);
    ASSERT_TRUE(target) << target.error().message();
    const Result<Model> model = import_onnx(path);
    ASSERT_TRUE(model) << model.error().message();
    const Result<Schedule> schedule = make_schedule(model->graph, *target, {});
    ASSERT_TRUE(schedule) << schedule.error().message();
    for (const Step& step : schedule->steps) {
      const Result<LoweredKernel> kernel = lower(*schedule, step, *target);
      ASSERT_TRUE(kernel) << kernel.error().message();
      const Result<std::string> ptx = disassemble(kernel->program, *target);
      if (!ptx && ptx.error().kind() == ErrorKind::unsupported) {
        GTEST_SKIP() << ptx.error().message();
      }
      ASSERT_TRUE(ptx) << ptx.error().message();
      const Result<AssembledPtx> assembled = assemble_by_ptxas(*ptx, target->llvm_cpu);
      if (!assembled && assembled.error().kind() == ErrorKind::unsupported) {
        GTEST_SKIP() << "ptxas: " << assembled.error().message();
      }
      ASSERT_TRUE(assembled) << kernel->program.name << ": " << assembled.error().message();
      EXPECT_NE(assembled->log.find("0 bytes spill stores, 0 bytes spill loads"), std::string::npos)
          << kernel->program.name << ": " << assembled->log;
    }
  }
};

class PtxNetworksSlow : public PtxNetworks {};

TEST_P(PtxNetworks, KeepTheirValuesInRegisters) { check_kernels(); }
TEST_P(PtxNetworksSlow, KeepTheirValuesInRegisters) { check_kernels(); }

std::string name_of_case(const testing::TestParamInfo<Assembled>& test) {
  std::string name = test.param.network;
  name = name.substr(name.rfind('/') + 1);
  return name.substr(0, name.find('.')) + "_" + test.param.architecture;
}

constexpr char kSqueezeNet[] = "models/SqueezeNet_fp16.onnx";
constexpr char kStyle[] = "models/candy.onnx";
constexpr char kResNet[] = "onnx/light/light_resnet50.onnx";

INSTANTIATE_TEST_SUITE_P(Networks, PtxNetworks,
                         testing::Values(Assembled{"models/mnist.onnx", "sm_75"},
                                         Assembled{"models/mnist.onnx", "sm_80"},
                                         Assembled{"models/mnist.onnx", "sm_89"},
                                         Assembled{kSqueezeNet, "sm_90"}),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Networks, PtxNetworksSlow,
                         testing::Values(Assembled{kSqueezeNet, "sm_75"},
                                         Assembled{kSqueezeNet, "sm_80"},
                                         Assembled{kSqueezeNet, "sm_89"},
                                         Assembled{kStyle, "sm_75"}, Assembled{kStyle, "sm_80"},
                                         Assembled{kStyle, "sm_89"}, Assembled{kStyle, "sm_90"},
                                         Assembled{kResNet, "sm_75"}, Assembled{kResNet, "sm_80"},
                                         Assembled{kResNet, "sm_89"}, Assembled{kResNet, "sm_90"}),
                         name_of_case);

}  // namespace
}  // namespace leat
