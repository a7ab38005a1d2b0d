// Real networks on real inputs, end to end, on every device found: what another runtime answered,
// or what a person wrote beside the picture, must come out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "leat/model/conformance.h"
#include "tests/model/shared_data.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

Result<std::unique_ptr<Network>> load(Device& device, const std::string& path) {
  TRY_ASSIGN(const Model model, import_onnx(path));
  return Network::load(device, model.graph, {});
}

class Networks : public DeviceTest {};
class AllDigits : public DeviceTest {};
class LargeNetworks : public DeviceTest {};
class SmallChips : public DeviceTest {};

// The expected probabilities come from another runtime, with f16 weights and activations.
TEST_P(Networks, SqueezeNetNamesTheFish) {
  const std::string path = shared_path("models/SqueezeNet_fp16.onnx");
  SKIP_WITHOUT(path);
  const auto model = import_onnx(path);
  ASSERT_OK(model);
  const auto network = Network::load(device(), model->graph, {});
  ASSERT_OK(network);
  const auto picture = read_bgr(shared_path("images/fish.png"), model->inputs[0].dtype);
  ASSERT_OK(picture);
  const auto got = answer(**network, *picture);
  ASSERT_OK(got);
  std::ifstream csv(shared_path("models/squeezenet_fp16_fish_expected.csv"));
  std::string line;
  std::getline(csv, line);  // the header
  HostTensor want = HostTensor::zeros(DType::f32, {element_count(got->shape)});
  int64_t rows = 0;
  for (; std::getline(csv, line) && rows < want.shape[0]; ++rows) {
    want.set_number(rows, std::stod(line.substr(line.find(',') + 1)));
    EXPECT_NEAR(got->number(rows), want.number(rows), 2e-3) << "class " << rows;
  }
  EXPECT_EQ(rows, 1000);
  EXPECT_EQ(top_class(*got), top_class(want));
}

// Half of 255 parts is less than what rounding the expected picture to 8 bits may hide.
TEST_P(LargeNetworks, CandyPaintsTheExpectedPicture) {
  const std::string path = shared_path("models/candy.onnx");
  SKIP_WITHOUT(path);
  const auto network = load(device(), path);
  ASSERT_OK(network);
  const auto picture = read_bgr(shared_path("images/style_input_720.png"), DType::f32);
  ASSERT_OK(picture);
  const auto got = answer(**network, *picture);
  ASSERT_OK(got);
  const auto want = read_bgr(shared_path("images/candy_expected.png"), DType::f32);
  ASSERT_OK(want);
  ASSERT_EQ(got->shape, want->shape);
  double sum = 0;
  const int64_t count = element_count(want->shape);
  for (int64_t i = 0; i < count; ++i) {
    const double pixel = std::round(std::clamp(got->number(i), 0.0, 255.0));
    sum += std::abs(pixel - want->number(i));
  }
  const double mean = sum / static_cast<double>(count);
  std::cout << "candy on " << GetParam().name << ": mean difference " << mean << " of 255\n";
  EXPECT_LE(mean, 0.5);
}

TEST_P(LargeNetworks, ArchitecturesGiveTheirExpectedOutputs) {
  const std::string folder = shared_path("onnx/light");
  SKIP_WITHOUT(folder);
  const auto cases = find_conformance_cases(std::vector<std::string>{folder});
  ASSERT_OK(cases);
  EXPECT_EQ(cases->size(), 5u);
  const Executor executor =
      [&](const Model& model,
          std::span<const HostTensor> inputs) -> Result<std::vector<HostTensor>> {
    TRY_ASSIGN(const auto network, Network::load(device(), model.graph, {}));
    for (size_t i = 0; i < inputs.size(); ++i) TRY(network->set_input(i, inputs[i]));
    TRY(network->run());
    std::vector<HostTensor> outputs;
    for (size_t i = 0; i < model.outputs.size(); ++i) {
      TRY_ASSIGN(HostTensor output, network->output(i));
      outputs.push_back(std::move(output));
    }
    return outputs;
  };
  for (const ConformanceCase& test : *cases) {
    const CaseResult result = run_conformance_case(test, executor);
    EXPECT_EQ(result.outcome, Outcome::passed) << result.name << ": " << result.reason;
  }
}

// --- Digits --------------------------------------------------------------------------------------

/// The digits [first, last) of the test set.
struct DigitRange {
  size_t first = 0;
  size_t last = 0;
};

void expect_accuracy(Device& device, const std::string& model, DigitRange range,
                     double accuracy_min) {
  SKIP_WITHOUT(model);
  SKIP_WITHOUT(digit_images_path());
  const auto network = load(device, model);
  ASSERT_OK(network);
  const auto digits = read_digits();
  ASSERT_OK(digits);
  ASSERT_GE(digits->images.size(), range.last);
  size_t right = 0;
  for (size_t i = range.first; i < range.last; ++i) {
    const auto scores = answer(**network, tensor_of(*digits, i));
    ASSERT_OK(scores);
    if (top_class(*scores) == digits->labels[i]) ++right;
  }
  const size_t count = range.last - range.first;
  std::cout << model.substr(model.rfind('/') + 1) << " on " << device.info().name << ": " << right
            << " of " << count << " digits\n";
  EXPECT_GE(static_cast<double>(right), accuracy_min * static_cast<double>(count));
}

std::string mnist_path() { return shared_path("models/mnist.onnx"); }
std::string example_path() { return source_path("examples/digits/digits.onnx"); }

// The example's own test digits. Its accuracy was measured by another runtime; a digit at the edge
// of two classes may fall either way.
void expect_stated_accuracy(Device& device) {
  std::ifstream file(source_path("examples/digits/accuracy.json"));
  const nlohmann::json facts = nlohmann::json::parse(file);
  const DigitRange range = {facts["split"]["test"][0], facts["split"]["test"][1].get<size_t>() + 1};
  const double stated = facts["verified_with_onnxruntime"]["test_accuracy"];
  EXPECT_GE(stated, 0.99);
  expect_accuracy(device, example_path(), range,
                  stated - 1.5 / static_cast<double>(range.last - range.first));
}

// A software GPU takes a minute for all digits, so the normal run has few of them, of which by
// chance some more may be hard; the mock GPU's interpreter takes tenths of a second for each.
TEST_P(Networks, MnistReadsDigits) {
  if (GetParam().name == kMockGpu) return expect_accuracy(device(), mnist_path(), {0, 50}, 0.96);
  if (GetParam().software_gpu) return expect_accuracy(device(), mnist_path(), {0, 500}, 0.98);
  expect_accuracy(device(), mnist_path(), {0, 10000}, 0.989);
}
TEST_P(AllDigits, Mnist) { expect_accuracy(device(), mnist_path(), {0, 10000}, 0.989); }

TEST_P(Networks, ExampleReadsTestDigits) {
  if (GetParam().name == kMockGpu) {
    return expect_accuracy(device(), example_path(), {8000, 8020}, 0.95);
  }
  if (GetParam().software_gpu) {
    return expect_accuracy(device(), example_path(), {8000, 8100}, 0.97);
  }
  expect_stated_accuracy(device());
}
TEST_P(AllDigits, Example) { expect_stated_accuracy(device()); }

void expect_pictures_read(Device& device, int digits) {
  const auto network = load(device, example_path());
  ASSERT_OK(network);
  for (int digit = 0; digit < digits; ++digit) {
    const std::string name = "examples/digits/pictures/" + std::to_string(digit) + ".png";
    const auto picture = read_grey(source_path(name));
    ASSERT_OK(picture);
    const auto scores = answer(**network, *picture);
    ASSERT_OK(scores);
    EXPECT_EQ(top_class(*scores), digit);
  }
}

TEST_P(Networks, ExampleReadsItsPictures) { expect_pictures_read(device(), 10); }

// What a phone would run, as far as its limits make it so.
TEST_P(SmallChips, ReadPictures) {
  EXPECT_NE(device().target().name.find(" as "), std::string::npos);
  expect_pictures_read(device(), 2);
}

INSTANTIATE_TEST_SUITE_P(Profiles, SmallChips, testing::ValuesIn(profiled_devices()), test_name_of);
INSTANTIATE_TEST_SUITE_P(Devices, Networks, testing::ValuesIn(tested_devices()), test_name_of);
INSTANTIATE_TEST_SUITE_P(Devices, LargeNetworks, testing::ValuesIn(fast_devices()), test_name_of);
INSTANTIATE_TEST_SUITE_P(Slow, AllDigits, testing::ValuesIn(software_gpus()), test_name_of);
INSTANTIATE_TEST_SUITE_P(Slow, LargeNetworks, testing::ValuesIn(software_gpus()), test_name_of);

}  // namespace
}  // namespace leat
