// Whole networks on the direct route over the fake card: what the emitter writes for AMD's GPUs,
// run by the emulator from recorded lists, compared with the reference evaluator. Slow: cases of
// the ONNX project's conformance suite, where LEAT_CONFORMANCE_DIR names a folder of them.
#include <random>

#include "leat/base/env.h"
#include "leat/model/conformance.h"
#include "leat/run/network.h"
#include "tests/amd/amd_fake_card.h"
#include "tests/amd/amd_sample_networks_test.h"

namespace leat {
namespace {

class AmdNetworkTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const bool is_gfx12 = std::string(GetParam()) == "gfx1201";
    card_ = std::make_unique<FakeCard>(is_gfx12 ? gfx1201_card() : amd_card::FakeCardOptions());
    Result<std::unique_ptr<Device>> opened = card_->open();
    ASSERT_OK(opened);
    device_ = std::move(*opened);
  }
  void TearDown() override { EXPECT_EQ(card_->faults(), ""); }

  Result<std::vector<HostTensor>> run(const Model& model, std::span<const HostTensor> inputs) {
    NetworkOptions options;
    options.deadline_ns = 300'000'000'000;
    TRY_ASSIGN(const std::unique_ptr<Network> network,
               Network::load(*device_, model.graph, options));
    for (size_t i = 0; i < inputs.size(); ++i) TRY(network->set_input(i, inputs[i]));
    TRY(network->run());
    std::vector<HostTensor> outputs;
    for (size_t i = 0; i < model.outputs.size(); ++i) {
      TRY_ASSIGN(HostTensor value, network->output(i));
      outputs.push_back(std::move(value));
    }
    return outputs;
  }

  /// Outputs as the reference evaluator has them.
  void compare(const Model& model, std::span<const HostTensor> inputs) {
    const Result<std::vector<HostTensor>> wanted = evaluate_model(model, inputs);
    ASSERT_OK(wanted);
    const Result<std::vector<HostTensor>> actual = run(model, inputs);
    ASSERT_OK(actual);
    ASSERT_EQ(actual->size(), wanted->size());
    for (size_t i = 0; i < wanted->size(); ++i) {
      ASSERT_OK(compare_tensors((*actual)[i], (*wanted)[i]));
    }
  }
  /// The same of a model in memory, on random numbers.
  void compare(const std::string& bytes) {
    const Result<Model> model = import_onnx_bytes(bytes, "built");
    ASSERT_OK(model);
    std::mt19937 random(3);
    std::uniform_real_distribution<double> any(-1, 1);
    HostTensor value = HostTensor::zeros(model->inputs[0].dtype, model->inputs[0].shape);
    for (int64_t i = 0; i < element_count(value.shape); ++i) value.set_number(i, any(random));
    compare(*model, std::vector{value});
  }

  std::unique_ptr<FakeCard> card_;
  std::unique_ptr<Device> device_;
};

TEST_P(AmdNetworkTest, Digits) {
  const Result<Model> model =
      import_onnx(std::string(LEAT_SOURCE_DIR) + "/examples/digits/digits.onnx");
  ASSERT_OK(model);
  const ModelValue& input = model->inputs[0];
  HostTensor value = HostTensor::zeros(input.dtype, input.shape);
  for (int64_t i = 0; i < element_count(value.shape); ++i) value.set_number(i, i % 7 == 0 ? 1 : 0);
  compare(*model, std::vector{value});
}

TEST_P(AmdNetworkTest, Squeezenet64) { compare(squeezenet(64)); }

TEST_P(AmdNetworkTest, ResnetBlocks) { compare(resnet_blocks(56, 32)); }

TEST_P(AmdNetworkTest, ConformanceSlow) {
  const std::vector<std::string> paths = {env("LEAT_CONFORMANCE_DIR")};
  if (paths[0].empty()) GTEST_SKIP() << "LEAT_CONFORMANCE_DIR names no folder of cases.";
  const auto cases = find_conformance_cases(paths);
  ASSERT_OK(cases);
  const Summary summary = run_conformance(
      *cases,
      [&](const Model& model, std::span<const HostTensor> inputs) { return run(model, inputs); },
      [&](const CaseResult& result) {
        EXPECT_NE(result.outcome, Outcome::failed) << result.name << ": " << result.reason;
      });
  std::cout << GetParam() << ": " << to_string(summary) << "\n";
  for (const auto& [reason, count] : skip_reasons(summary)) {
    std::cout << "  skipped " << count << ": " << reason << "\n";
  }
}

INSTANTIATE_TEST_SUITE_P(Cards, AmdNetworkTest, testing::Values("gfx1100", "gfx1201"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace leat
