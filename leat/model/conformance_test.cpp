// Finding and judging conformance cases, on folders made by the test itself.
#include "leat/model/conformance.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "leat/base/output_file.h"
#include "leat/model/onnx_builder.h"

namespace leat {
namespace {

namespace fs = std::filesystem;

HostTensor tensor_of(DType dtype, const Shape& shape, const std::vector<double>& values) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) tensor.set_number(static_cast<int64_t>(i), values[i]);
  return tensor;
}

class Conformance : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / ("leat_" + name + "_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& path, const std::string& bytes) {
    fs::create_directories((folder_ / path).parent_path());
    ASSERT_TRUE(write_file((folder_ / path).string(), bytes).has_value());
  }
  /// A case in both layouts' terms: y = op(x) for x of two elements.
  void write_case(const std::string& name, const char* op, const HostTensor& expected) {
    OnnxBuilder builder;
    builder.input("x", {2});
    builder.node(op, {"x"}, {"y"});
    builder.output("y");
    write(name + "/model.onnx", builder.bytes());
    write(name + "/test_data_set_0/input_0.pb",
          tensor_file_bytes(tensor_of(DType::f32, {2}, {-1, 2}), "x"));
    write(name + "/test_data_set_0/output_0.pb", tensor_file_bytes(expected, "y"));
  }
  Summary run() {
    const std::vector<std::string> paths = {folder_.string()};
    const auto cases = find_conformance_cases(paths);
    return cases ? run_conformance(*cases, evaluate_model) : Summary{};
  }

  fs::path folder_;
};

// Reading them would never end.
TEST_F(Conformance, PipesAreNoCases) {
  write_case("node/test_abs", "Abs", tensor_of(DType::f32, {2}, {1, 2}));
  fs::create_directories(folder_ / "node/test_pipe");
  ASSERT_EQ(mkfifo((folder_ / "node/test_pipe/model.onnx").c_str(), 0600), 0);
  write("light_y_output_0.pb", "");
  ASSERT_EQ(mkfifo((folder_ / "light_y.onnx").c_str(), 0600), 0);
  const std::vector<std::string> paths = {folder_.string()};
  const auto cases = find_conformance_cases(paths);
  ASSERT_TRUE(cases.has_value());
  EXPECT_EQ(cases->size(), 1u);
}

TEST_F(Conformance, CountsPassedFailedAndSkipped) {
  write_case("node/test_abs", "Abs", tensor_of(DType::f32, {2}, {1, 2}));
  write_case("node/test_neg", "Neg", tensor_of(DType::f32, {2}, {1, 2}));
  write_case("node/test_odd", "Frobnicate", tensor_of(DType::f32, {2}, {1, 2}));
  const Summary summary = run();
  EXPECT_EQ(to_string(summary), "1 passed, 1 failed, 1 skipped");
  ASSERT_EQ(summary.cases.size(), 3u);
  EXPECT_EQ(summary.cases[0].name, "node/test_abs");
  EXPECT_NE(summary.cases[1].reason.find("element 1 is -2 instead of 2"), std::string::npos)
      << summary.cases[1].reason;
  EXPECT_EQ(summary.cases[2].op, "Frobnicate");
  ASSERT_EQ(skip_reasons(summary).size(), 1u);
  EXPECT_EQ(skip_reasons(summary)[0].second, 1u);
}

TEST_F(Conformance, RandomNumbersOfAnotherGeneratorAreSkipped) {
  write_case("node/test_random", "RandomUniformLike", tensor_of(DType::f32, {2}, {8, 9}));
  write_case("node/test_shape", "RandomUniformLike", tensor_of(DType::f32, {3}, {8, 9, 9}));
  EXPECT_EQ(to_string(run()), "0 passed, 1 failed, 1 skipped");
}

TEST_F(Conformance, DropoutThatDrawsNothingIsJudged) {
  write_case("node/test_inference", "Dropout", tensor_of(DType::f32, {2}, {8, 9}));
  EXPECT_EQ(to_string(run()), "0 passed, 1 failed, 0 skipped");
}

TEST_F(Conformance, MakesTheInputOfLightModels) {
  OnnxBuilder builder;
  builder.input("x", {4});
  builder.node("Neg", {"x"}, {"y"});
  builder.output("y");
  write("light_neg.onnx", builder.bytes());
  write("light_neg_output_0.pb",
        tensor_file_bytes(tensor_of(DType::f32, {4}, {0, -0.25, -0.5, -0.75}), "y"));
  write("other.onnx", builder.bytes());
  EXPECT_EQ(to_string(run()), "1 passed, 0 failed, 0 skipped");
}

TEST_F(Conformance, BrokenCasesFail) {
  write("empty/model.onnx", "");
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.node("Neg", {"x"}, {"y"});
  builder.output("y");
  write("no_data/model.onnx", builder.bytes());
  EXPECT_EQ(to_string(run()), "0 passed, 2 failed, 0 skipped");
}

TEST_F(Conformance, PathsWithoutCasesAreErrors) {
  const std::vector<std::string> empty = {folder_.string()};
  EXPECT_EQ(find_conformance_cases(empty).error().kind(), ErrorKind::invalid_argument);
  const std::vector<std::string> missing = {"/no/such/folder"};
  EXPECT_EQ(find_conformance_cases(missing).error().kind(), ErrorKind::io);
}

TEST(CompareTensors, NeedsTypeAndShape) {
  const HostTensor two = tensor_of(DType::f32, {2}, {1, 2});
  EXPECT_TRUE(compare_tensors(two, two).has_value());
  const HostTensor wide = tensor_of(DType::f32, {2}, {100, 0});
  const HostTensor rounded = tensor_of(DType::f32, {2}, {100, 5e-6});  // 2^-24 of 100 is 6e-6
  EXPECT_FALSE(compare_tensors(rounded, wide).has_value());
  EXPECT_TRUE(compare_tensors(rounded, wide, true).has_value());
  EXPECT_FALSE(compare_tensors(tensor_of(DType::f32, {2}, {100, 7e-6}), wide, true).has_value());
  EXPECT_FALSE(compare_tensors(two, tensor_of(DType::f16, {2}, {1, 2})).has_value());
  EXPECT_FALSE(compare_tensors(two, tensor_of(DType::f32, {1, 2}, {1, 2})).has_value());
}

TEST(CompareTensors, UsesTheToleranceOfTheType) {
  const auto close = [](DType dtype, double actual, double expected) {
    return compare_tensors(tensor_of(dtype, {1}, {actual}), tensor_of(dtype, {1}, {expected}))
        .has_value();
  };
  EXPECT_TRUE(close(DType::f32, 1.0009, 1));
  EXPECT_FALSE(close(DType::f32, 1.0011, 1));
  EXPECT_TRUE(close(DType::f16, 1 + 2 * 0x1p-10, 1)) << "two neighbours away";
  EXPECT_FALSE(close(DType::f16, 1 + 3 * 0x1p-10, 1));
  EXPECT_TRUE(close(DType::f32, NAN, NAN));
  EXPECT_FALSE(close(DType::f32, NAN, 1));
  EXPECT_TRUE(close(DType::f32, INFINITY, INFINITY));
  EXPECT_FALSE(close(DType::f32, -INFINITY, INFINITY));
  EXPECT_FALSE(close(DType::i32, 1000001, 1000000));
}

}  // namespace
}  // namespace leat
