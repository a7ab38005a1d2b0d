// A model with a kernel that somebody wrote in it, through the program: examples/kernels/snake.onnx
// on every device that is there, packed, and one whose kernel is wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "leat/base/files.h"
#include "leat/media/npy.h"
#include "leat/model/onnx_builder.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

using Json = nlohmann::json;

const std::string kSnake = LEAT_SOURCE_DIR "/examples/kernels/snake.onnx";

/// x (rows, 4), element i is (i - 10) / 8.
std::string numbers_file(int64_t rows) {
  HostTensor x = HostTensor::zeros(DType::f32, {rows, 4});
  for (int64_t i = 0; i < rows * 4; ++i) x.set_number(i, static_cast<double>(i - 10) / 8);
  return scratch_file("x" + std::to_string(rows) + ".npy", npy_bytes(x));
}

/// What examples/kernels/snake_model.py says it computes.
void expect_snake(const std::string& path, int64_t rows, const std::string& device) {
  const Result<HostTensor> y = read_npy(path);
  ASSERT_TRUE(y) << y.error().message();
  ASSERT_EQ(y->shape, (Shape{rows, 4})) << device;
  for (int64_t i = 0; i < rows * 4; ++i) {
    double h = 0;
    for (int64_t k = 0; k < 4; ++k) {
      h += static_cast<double>(i / 4 * 4 + k - 10) / 8 * static_cast<double>(k * 4 + i % 4 - 7) / 8;
    }
    const double want = h + std::pow(std::sin(2 * h), 2) / 2;
    ASSERT_NEAR(y->number(i), want, 1e-5) << device << " " << i;
  }
}

TEST(CliModelKernel, RunsOnEveryDeviceThatIsThere) {
  const Json found = Json::parse(run_leat({"devices", "--json"}).out);
  for (const Json& device : found["devices"]) {
    if (device.contains("refusal")) continue;
    const std::string name = device["name"];
    const std::string y = scratch_path("y.npy");
    for (const int64_t rows : {1, 21}) {
      const ProgramResult run =
          run_leat({"run", kSnake, "--input", numbers_file(rows), "--output", y, "--device", name});
      ASSERT_EQ(run.exit_code, 0) << run.err;
      expect_snake(y, rows, name);
    }
  }
}

TEST(CliModelKernel, IsPackedAsAnyOther) {
  const std::string pack = scratch_path("snake.leat"), y = scratch_path("packed.npy");
  const ProgramResult packed =
      run_leat({"pack", kSnake, "--shape", "21,4", "--for", "cpu", "-o", pack});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const ProgramResult run =
      run_leat({"run", pack, "--input", numbers_file(21), "--output", y, "--device", "cpu"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  expect_snake(y, 21, "pack");
}

TEST(CliModelKernel, IsShownInThePlan) {
  const ProgramResult dump = run_leat({"dump", kSnake, "--after", "graph"});
  ASSERT_EQ(dump.exit_code, 0) << dump.err;
  EXPECT_NE(dump.out.find("activation: snake kernel"), std::string::npos) << dump.out;
  const ProgramResult inspection = run_leat({"inspect", kSnake});
  EXPECT_EQ(inspection.exit_code, 0) << inspection.err;
  EXPECT_NE(inspection.out.find("snake"), std::string::npos) << inspection.out;
}

/// Reads 64 elements of 60.
std::string wrong_model() {
  const Result<std::string> relu =
      read_file(LEAT_SOURCE_DIR "/examples/kernels/relu.ir", size_t{1} << 20);
  EXPECT_TRUE(relu);
  OnnxBuilder builder;
  builder.input("x", {15, 4});
  onnx::OperatorSetIdProto* entry = builder.proto().add_opset_import();
  entry->set_domain("leat");
  entry->set_version(1);
  OnnxNodeBuilder node = builder.node("relu", {"x"}, {"y"});
  node.proto().set_domain("leat");
  node.set("kernel", relu->c_str());
  node.set("shape", std::vector<int64_t>{64});
  node.set("grid", std::vector<int64_t>{4});
  builder.output("y");
  return scratch_file("wrong.onnx", builder.bytes());
}

TEST(CliModelKernel, IsCheckedOrTrusted) {
  const std::string model = wrong_model(), y = scratch_path("trusted.npy");
  std::vector<std::string> run = {"run",      model, "--input",  numbers_file(15),
                                  "--output", y,     "--device", "cpu"};
  const ProgramResult refused = run_leat(run);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_TRUE(refused.err.starts_with("leat: ")) << refused.err;
  EXPECT_NE(refused.err.find("reaches element (60)"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("importing node \"y_node\" (relu, opset 1)"), std::string::npos)
      << refused.err;
  run.push_back("--trust");
  const ProgramResult trusted = run_leat(run);
  ASSERT_EQ(trusted.exit_code, 0) << trusted.err;
  const Result<HostTensor> written = read_npy(y);
  ASSERT_TRUE(written) << written.error().message();
  ASSERT_EQ(written->shape, (Shape{64}));
  for (int64_t i = 0; i < 64; ++i) {
    const double x = i < 60 ? static_cast<double>(i - 10) / 8 : 0;
    EXPECT_EQ(written->number(i), std::max(x, 0.0)) << i;
  }
}

}  // namespace
}  // namespace leat
