// A network on the direct route whose work is lost: it is run again on fresh channels, and the
// answer is right; what is lost twice is an error.
#include "leat/model/onnx_import.h"
#include "leat/run/network.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

constexpr uint32_t kPageFault = 31, kException = 13, kRemoved = 45, kEndless = 0;

class WireNetwork : public WireTest {
 protected:
  void SetUp() override {
    open();
    device().expect_broken_rules();
    const Result<Model> model =
        import_onnx(std::string(LEAT_SOURCE_DIR) + "/examples/digits/digits.onnx");
    ASSERT_OK(model);
    NetworkOptions options;
    options.deadline_ns = 20'000'000'000;
    Result<std::unique_ptr<Network>> network = Network::load(device(), model->graph, options);
    ASSERT_OK(network);
    network_ = std::move(*network);
    const ModelValue& input = model->inputs[0];
    HostTensor value = HostTensor::zeros(input.dtype, input.shape);
    for (int64_t i = 0; i < element_count(value.shape); ++i)
      value.set_number(i, i % 7 == 0 ? 1 : 0);
    ASSERT_OK(network_->set_input(0, value));
    ASSERT_OK(network_->run());
    wanted_ = answer();
  }
  std::vector<std::byte> answer() {
    const Result<HostTensor> output = network_->output(0);
    EXPECT_TRUE(output.has_value());
    return output->bytes;
  }
  void script(uint64_t launches_later, uint32_t code) {
    gpu().engines().script({gpu().engines().launches() + launches_later, code});
  }
  /// So that an answer that was not computed shows.
  void wipe_output() {
    const ExternalView view = network_->output_view(0);
    std::fill_n(view.host, view.size_bytes, std::byte{0x55});
  }

  std::unique_ptr<Network> network_;
  std::vector<std::byte> wanted_;
};

TEST_F(WireNetwork, WhatAFaultTakesIsRunAgain) {
  uint32_t runs = 0;
  for (const uint32_t code : {kPageFault, kException, kRemoved}) {
    for (const uint64_t launch : {uint64_t{1}, uint64_t{2}}) {
      wipe_output();
      script(launch, code);
      ASSERT_OK(network_->run());
      EXPECT_EQ(answer(), wanted_) << "Xid " << code << " at launch " << launch;
      EXPECT_EQ(network_->stats().repeated_runs, ++runs);
    }
  }
}

TEST_F(WireNetwork, WhatIsLostTwiceIsAnError) {
  script(1, kPageFault);
  gpu().server().refuse_next(0x2B, 0x0F);  // GPU_IS_LOST for the new channel group
  const Result<void> lost = network_->run();
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().kind(), ErrorKind::device_lost);
  wipe_output();
  ASSERT_OK(network_->run());
  EXPECT_EQ(answer(), wanted_);
}

TEST_F(WireNetwork, AnEndlessKernelIsStoppedAndItsWorkRunAgain) {
  network_.reset();
  const Result<Model> model =
      import_onnx(std::string(LEAT_SOURCE_DIR) + "/examples/digits/digits.onnx");
  ASSERT_OK(model);
  NetworkOptions options;
  options.deadline_ns = 20'000'000;
  Result<std::unique_ptr<Network>> network = Network::load(device(), model->graph, options);
  ASSERT_OK(network);
  network_ = std::move(*network);
  const ModelValue& input = model->inputs[0];
  HostTensor value = HostTensor::zeros(input.dtype, input.shape);
  for (int64_t i = 0; i < element_count(value.shape); ++i) value.set_number(i, i % 7 == 0 ? 1 : 0);
  ASSERT_OK(network_->set_input(0, value));
  wipe_output();
  script(1, kEndless);
  ASSERT_OK(network_->run());
  EXPECT_EQ(answer(), wanted_);
  EXPECT_EQ(network_->stats().repeated_runs, 1u);
  EXPECT_EQ(gpu().server().frees_of_hung(), 0u);
}

}  // namespace
}  // namespace leat
