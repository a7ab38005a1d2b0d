// Models whose files leave shapes open, where a command makes its own inputs.
#include <gtest/gtest.h>

#include "leat/model/onnx_builder.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

/// A pool that a picture of one pixel is too small for.
std::string open_model() {
  OnnxBuilder model;
  model.input("x", {1, 1, -1, -1});
  model.node("MaxPool", {"x"}, {"y"}).set("kernel_shape", std::vector<int64_t>{2, 2});
  model.output("y");
  return scratch_file("open.onnx", model.bytes());
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CliShapes, AreTold) {
  const std::string path = open_model();
  const ProgramResult dumped = run_leat({"dump", path, "--after", "graph", "--shape", "1,1,6,9"});
  EXPECT_EQ(dumped.exit_code, 0) << dumped.err;
  EXPECT_TRUE(contains(dumped.out, "f32(1, 1, 5, 8)")) << dumped.out;
  const ProgramResult named = run_leat({"dump", path, "--after", "graph", "--shape", "x=1,1,6,9"});
  EXPECT_EQ(named.out, dumped.out);
  const ProgramResult tuned =
      run_leat({"tune", path, "--shape", "1,1,6,9", "--time", "1", "--device", "cpu"});
  EXPECT_EQ(tuned.exit_code, 0) << tuned.err;
  const ProgramResult compared = run_leat(
      {"compare", path, "--shape", "1,1,6,9", "--repeat", "2", "--device", "cpu", "--json"});
  EXPECT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_TRUE(contains(compared.out, "x f32 (1, 1, 6, 9)")) << compared.out;
}

TEST(CliShapes, AreAskedForWhereOneIsTooSmall) {
  const std::string path = open_model();
  for (const char* command : {"dump", "tune", "compare"}) {
    const ProgramResult result = run_leat({command, path});
    EXPECT_EQ(result.exit_code, 1) << command;
    EXPECT_TRUE(contains(result.err, "input \"x\" open, 1,1,?,?")) << command << result.err;
    EXPECT_TRUE(contains(result.err, "--shape")) << command << result.err;
  }
}

TEST(CliShapes, AreRefusedWhereTheyDoNotFit) {
  const std::string path = open_model();
  const auto expect_error = [&](const std::vector<std::string>& shapes, const std::string& part) {
    std::vector<std::string> arguments = {"dump", path, "--after", "graph"};
    for (const std::string& shape : shapes) {
      arguments.push_back("--shape");
      arguments.push_back(shape);
    }
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 1) << part;
    EXPECT_TRUE(contains(result.err, part)) << part << ": " << result.err;
  };
  expect_error({"1,1,six,9"}, "is not [NAME=] and whole numbers");
  expect_error({"1,1,-6,9"}, "is not [NAME=] and whole numbers");
  expect_error({"1,1,6,"}, "is not [NAME=] and whole numbers");
  expect_error({"x="}, "is not [NAME=] and whole numbers");
  expect_error({"z=1,1,6,9"}, "no input \"z\"");
  expect_error({"1,2,6,9"}, "(1, 2, 6, 9)");
  expect_error({"1,1,6,9", "x=1,1,6,9"}, "given twice for input \"x\"");
  const ProgramResult kernel = run_leat({"dump", path, "--after", "packets", "--shape", "1,1,6,9"});
  EXPECT_EQ(kernel.exit_code, 1);
  EXPECT_TRUE(contains(kernel.err, "--shape is for a model")) << kernel.err;
}

}  // namespace
}  // namespace leat
