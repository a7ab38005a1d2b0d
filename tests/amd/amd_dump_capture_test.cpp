// What `leat dump --after packets --capture` writes, judged by the capture reader, which knows
// nothing of Leat: networks from files on both generations, in every order of waves; and what the
// command refuses.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/dump_packets.h"
#include "leat/base/output_file.h"
#include "tests/amd/amd_capture.h"
#include "tests/amd/amd_fake_card.h"
#include "tests/amd/amd_sample_networks_test.h"

namespace leat {
namespace {

namespace fs = std::filesystem;
using amd_card::check_capture;
using nlohmann::json;

class DumpCapture : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / ("leat-dump-" + std::to_string(::getpid()) + "-" + GetParam());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write_model(const std::string& bytes) {
    const std::string path = (folder_ / "model.onnx").string();
    EXPECT_TRUE(write_file(path, bytes));
    return path;
  }
  std::string capture_folder() const { return (folder_ / "capture").string(); }
  Result<std::string> dump(const std::string& model) {
    return cli::packets_of({model, GetParam(), {}, capture_folder()});
  }
  json root() const {
    std::ifstream in(folder_ / "capture" / "capture.json");
    return json::parse(in);
  }

  /// The capture passes in every order, and each of its launches belongs to an operation that is
  /// computed again.
  void expect_passes() {
    const json submit = root().at("steps").at(0);
    const size_t launches = submit.at("dispatches").size();
    std::vector<bool> covered(launches, false);
    for (const json& operation : submit.at("ops")) {
      for (size_t i = operation.at("first"); i <= operation.at("last"); ++i) covered.at(i) = true;
    }
    EXPECT_EQ(std::ranges::count(covered, false), 0) << submit.at("dispatches");
    using amd_card::WaveOrder;
    for (const WaveOrder order : {WaveOrder::forward, WaveOrder::backward, WaveOrder::mixed}) {
      const auto report = check_capture(capture_folder(), {.order = order});
      ASSERT_OK(report);
      EXPECT_EQ(report->failures, std::vector<std::string>());
      EXPECT_EQ(report->launches, launches);
      EXPECT_EQ(report->fences, 1u);
      EXPECT_EQ(report->tensors, submit.at("ops").size() + root().at("steps").size() - 1);
    }
  }

  fs::path folder_;
};

TEST_P(DumpCapture, Digits) {
  ASSERT_OK(dump(std::string(LEAT_SOURCE_DIR) + "/examples/digits/digits.onnx"));
  expect_passes();
}

TEST_P(DumpCapture, ResnetBlocks) {
  ASSERT_OK(dump(write_model(resnet_blocks(32, 16))));
  expect_passes();
}

// Windows that are padded by themselves, that reach beyond the end, that are dilated; a value that
// two kernels write; a product of matrices; reshapes and transpositions between kernels.
TEST_P(DumpCapture, LayersOfAllKinds) {
  OnnxBuilder model;
  model.input("x", {2, 6, 13, 13});
  model.weights("w1", {8, 6, 3, 3});
  model.node("Conv", {"x", "w1"}, {"same"})
      .set("auto_pad", "SAME_UPPER")
      .set("strides", std::vector<int64_t>{2, 2});
  model.weights("w2", {8, 1, 3, 3});
  model.node("Conv", {"same", "w2"}, {"dilated"})
      .set("group", 8)
      .set("dilations", std::vector<int64_t>{2, 2})
      .set("pads", std::vector<int64_t>{2, 2, 2, 2});
  model.node("Concat", {"same", "dilated"}, {"both"}).set("axis", 1);
  model.node("AveragePool", {"both"}, {"mean"})
      .set("kernel_shape", std::vector<int64_t>{2, 2})
      .set("strides", std::vector<int64_t>{2, 2})
      .set("ceil_mode", 1);
  model.constant("flat", {2, 16, 16});
  model.node("Reshape", {"mean", "flat"}, {"rows"});
  model.node("Transpose", {"rows"}, {"turned"}).set("perm", std::vector<int64_t>{0, 2, 1});
  model.node("MatMul", {"rows", "turned"}, {"product"});
  model.node("Tanh", {"product"}, {"bent"});
  model.node("Softmax", {"bent"}, {"y"}).set("axis", -1);
  model.output("y");
  ASSERT_OK(dump(write_model(model.bytes())));
  expect_passes();
}

// Pools of a set that has no dilations; products that broadcast, of a vector too.
TEST_P(DumpCapture, WhatOlderSetsHaveNot) {
  OnnxBuilder model(9);
  model.input("x", {2, 4, 9, 9});
  model.node("AveragePool", {"x"}, {"mean"}).set("kernel_shape", std::vector<int64_t>{3, 3});
  model.node("MaxPool", {"mean"}, {"most"}).set("kernel_shape", std::vector<int64_t>{2, 2});
  model.weights("w", {4, 6, 5});
  model.node("MatMul", {"most", "w"}, {"product"});
  model.weights("v", {5});
  model.node("MatMul", {"product", "v"}, {"y"});
  for (const char* name : {"mean", "most", "product", "y"}) model.output(name);
  ASSERT_OK(dump(write_model(model.bytes())));
  expect_passes();
  const json submit = root().at("steps").at(0);
  for (const json& operation : submit.at("ops")) {
    for (const json& node : operation.at("nodes"))
      EXPECT_FALSE(node["attrs"].contains("dilations"));
  }
}

// Where values are large, sums that cancel may be wrong by as much as small values are.
TEST_P(DumpCapture, TolerancesGrowWithTheValues) {
  OnnxBuilder model;
  model.input("x", {1, 64});
  HostTensor forties = HostTensor::zeros(DType::f32, {64, 64});
  for (int64_t i = 0; i < element_count(forties.shape); ++i) forties.set_number(i, 40);
  std::string last = "x";
  for (const char* name : {"a", "b", "y"}) {
    const std::string weights = std::string(name) + "_w";
    model.constant(weights, forties);
    model.node("MatMul", {last, weights}, {name});
    last = name;
  }
  model.output("y");
  ASSERT_OK(dump(write_model(model.bytes())));
  std::map<std::string, double> tolerances;
  const json submit = root().at("steps").at(0);
  for (const json& operation : submit.at("ops")) {
    tolerances[operation.at("name")] = operation.at("outputs").at(0).at("atol");
  }
  ASSERT_EQ(tolerances.size(), 3u);
  const double expected = root().at("steps").at(1).at("atol");
  EXPECT_NEAR(tolerances["y"], expected, 1e-6 * expected);
  EXPECT_NEAR(tolerances["b"] * 40 * 64, expected, 1e-3 * expected);
  EXPECT_GT(tolerances["a"], 1e-4);
}

// The second launch of a divided sum may write where the first has read: a checker that overwrites
// outputs before the first could not judge it.
TEST_P(DumpCapture, OutputsOfOperationsDoNotLieOnWhatTheyRead) {
  OnnxBuilder model;
  model.input("x", {64, 1024});
  model.node("Tanh", {"x"}, {"bent"});
  model.weights("v", {1024, 64});
  model.node("MatMul", {"bent", "v"}, {"narrow"});
  model.node("Tanh", {"narrow"}, {"y"});
  model.output("y");
  ASSERT_OK(dump(write_model(model.bytes())));
  const json submit = root().at("steps").at(0);
  const auto range = [](const json& tensor) {
    const uint64_t begin = std::stoull(tensor.at("va").get<std::string>(), nullptr, 16);
    uint64_t count = 1;
    for (const uint64_t extent : tensor.at("shape")) count *= extent;
    return std::pair(begin, begin + count * sizeof(float));
  };
  EXPECT_GT(submit.at("dispatches").size(), 2u) << "nothing is divided";
  for (const json& operation : submit.at("ops")) {
    const auto [begin, end] = range(operation.at("outputs").at(0));
    for (const json& input : operation.at("inputs")) {
      const auto [first, last] = range(input);
      EXPECT_TRUE(last <= begin || end <= first) << operation;
    }
  }
  const auto report = check_capture(capture_folder(), {});
  ASSERT_OK(report);
  EXPECT_EQ(report->failures, std::vector<std::string>());
}

// Another rounding of one value is another result of the next layer.
TEST_P(DumpCapture, LayersInBf16) {
  OnnxBuilder model(22);
  model.input("x", {32, 64}, onnx::TensorProto::BFLOAT16);
  std::string last = "x";
  for (const char* name : {"a", "b", "c", "y"}) {
    const std::string weights = std::string(name) + "_w";
    HostTensor values = HostTensor::zeros(DType::bf16, {64, 64});
    for (int64_t i = 0; i < 64 * 64; ++i) values.set_number(i, 0.25 * std::sin(double(i * i)));
    model.constant(weights, values);
    model.node("MatMul", {last, weights}, {std::string(name) + "_m"});
    model.node("Relu", {std::string(name) + "_m"}, {name});
    last = name;
  }
  model.output("y");
  ASSERT_OK(dump(write_model(model.bytes())));
  expect_passes();
}

// An infinite bound cannot be said, so the kernel gets no operation; a name may be any bytes.
TEST_P(DumpCapture, WhatJsonCannotSay) {
  OnnxBuilder model(6);
  model.input("x", {4, 8});
  model.node("Clip", {"x"}, {"y\xff"})
      .set("min", -0.25F)
      .set("max", std::numeric_limits<float>::infinity());
  model.output("y\xff");
  ASSERT_OK(dump(write_model(model.bytes())));
  EXPECT_FALSE(root().at("steps").at(0).contains("ops"));
  const auto report = check_capture(capture_folder(), {});
  ASSERT_OK(report);
  EXPECT_EQ(report->failures, std::vector<std::string>());
}

// Weights in the card's memory, packets and code are what the reader looks at.
TEST_P(DumpCapture, ABrokenByteIsSeen) {
  ASSERT_OK(dump(write_model(resnet_blocks(16, 4))));
  const json capture = root();
  uint32_t broken = 0;
  for (const json& region : capture.at("regions")) {
    if (region.at("file").is_null() || region.at("kind") == "scratch") continue;
    const fs::path path = folder_ / "capture" / region.at("file").get<std::string>();
    const auto size = fs::file_size(path);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    std::vector<char> bytes(size);
    file.read(bytes.data(), static_cast<std::streamsize>(size));
    std::vector<char> turned = bytes;
    for (char& byte : turned) byte = static_cast<char>(byte ^ 0x20);
    file.seekp(0);
    file.write(turned.data(), static_cast<std::streamsize>(size));
    file.close();
    const auto report = check_capture(capture_folder(), {});
    EXPECT_TRUE(!report || !report->failures.empty()) << region.at("name");
    ++broken;
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(size));
  }
  EXPECT_GE(broken, 5u);  // code, two of data, ring, pointers, the constants
  const auto healed = check_capture(capture_folder(), {});
  ASSERT_OK(healed);
  EXPECT_EQ(healed->failures, std::vector<std::string>());
}

TEST_P(DumpCapture, ShowsPackets) {
  const auto text = cli::packets_of({write_model(resnet_blocks(16, 4)), GetParam(), {}, ""});
  ASSERT_OK(text);
  for (const char* part : {"INDIRECT_BUFFER", "DISPATCH_DIRECT", "COMPUTE_PGM_LO", "RELEASE_MEM"}) {
    EXPECT_NE(text->find(part), std::string::npos) << part;
  }
}

TEST_P(DumpCapture, Refuses) {
  const std::string model = write_model(resnet_blocks(16, 4));
  const auto refuses = [&](const cli::DumpedPackets& options, const std::string& reason) {
    const auto made = cli::packets_of(options);
    ASSERT_FALSE(made.has_value()) << reason;
    EXPECT_NE(made.error().message().find(reason), std::string::npos) << made.error().message();
  };
  refuses({model, "gfx90a", {}, capture_folder()}, "no packets for target \"gfx90a\"");
  refuses({model, "cpu", {}, capture_folder()}, "gfx1201");
  refuses({model, GetParam(), {}, folder_.string()}, "is not empty");
  refuses({model, GetParam(), {}, model + "/below"}, "cannot be made");
  refuses({model, GetParam(), {}, "/proc/capture"}, "/proc/capture");
  refuses({model, GetParam(), {"other=" + model}, capture_folder()}, "other");
  refuses({model + "x", GetParam(), {}, capture_folder()}, "model.onnxx");
  EXPECT_FALSE(fs::exists(fs::path(capture_folder()) / "capture.json"));
}

INSTANTIATE_TEST_SUITE_P(Targets, DumpCapture, testing::Values("gfx1100", "gfx1201"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace leat
