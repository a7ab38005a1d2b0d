// Values that go from run to run, through the program: `leat run --state OUT=IN` and `--steps`.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "leat/media/npy.h"
#include "leat/model/onnx_builder.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

std::string array_file(const std::string& name, const Shape& shape,
                       const std::vector<double>& values, DType dtype = DType::f32) {
  HostTensor made = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) made.set_number(static_cast<int64_t>(i), values[i]);
  return scratch_file(name, npy_bytes(made));
}

/// What a run has left in a file, which goes.
void expect_file(const std::string& path, const Shape& shape, const std::vector<double>& values) {
  const Result<HostTensor> read = read_npy(path);
  ASSERT_TRUE(read) << read.error().message();
  std::filesystem::remove(path);
  EXPECT_EQ(read->shape, shape) << path;
  std::vector<double> got;
  for (int64_t i = 0; i < element_count(read->shape); ++i) got.push_back(read->number(i));
  EXPECT_EQ(got, values) << path;
}

/// The state is half of itself and the input, and y what it was and the input. With -2 rows, those
/// of the state are open and have no name.
std::string decaying_model(int64_t state_rows = 1) {
  OnnxBuilder model;
  model.input("x", {1, 2});
  model.input("before.h", {state_rows, 2});
  HostTensor half = HostTensor::zeros(DType::f32, {1});
  half.set_number(0, 0.5);
  model.constant("half", half);
  model.node("Mul", {"before.h", "half"}, {"less"});
  model.node("Add", {"less", "x"}, {"after.h"});
  model.node("Add", {"before.h", "x"}, {"y"});
  model.output("y");
  model.output("after.h");
  return scratch_file(state_rows < 0 ? "open.onnx" : "decay.onnx", model.bytes());
}

/// A cache (rows, length, 2) whose length grows by one, and its sums (rows, length).
std::string growing_model(const Shape& past) {
  OnnxBuilder model;
  model.input("x", {-1, 1, 2});
  model.input("past", past);
  model.node("Concat", {"past", "x"}, {"present"}).set("axis", 1);
  model.constant("axes", {2});
  model.node("ReduceSum", {"present", "axes"}, {"sums"}).set("keepdims", 0);
  model.node("ReduceSum", {"present"}, {"y"}).set("keepdims", 0);
  model.output("y");
  model.output("present");
  model.output("sums");
  return scratch_file("cache.onnx", model.bytes());
}

/// y is x and as many as n says, whose next value is one more: a value that decides a shape.
std::string counting_model() {
  OnnxBuilder model;
  model.input("x", {});
  model.input("n", {1}, onnx::TensorProto::INT64);
  HostTensor one = HostTensor::zeros(DType::f32, {1});
  one.set_number(0, 1);
  model.node("ConstantOfShape", {"n"}, {"ones"}).set("value", one);
  model.node("ReduceSum", {"ones"}, {"sum"}).set("keepdims", 0);
  model.node("Add", {"sum", "x"}, {"y"});
  model.constant("one", {1});
  model.node("Add", {"n", "one"}, {"m"});
  model.output("y");
  model.output("m");
  return scratch_file("counter.onnx", model.bytes());
}

ProgramResult run(const std::string& model, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"run", model, "--device", "cpu", "--repeat", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_leat(arguments);
}

void expect_run(const std::string& model, const std::vector<std::string>& more) {
  const ProgramResult result = run(model, more);
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

void expect_error(const std::string& model, const std::vector<std::string>& more,
                  const std::string& part) {
  SCOPED_TRACE(testing::PrintToString(more));
  const ProgramResult result = run(model, more);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "one line: " << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

class CliStates : public testing::Test {
 protected:
  const std::string y_ = scratch_path("y.npy");
  const std::string state_ = scratch_path("state.npy");
  const std::string steps_ = array_file("steps.npy", {3, 1, 2}, {1, 2, 4, 0, 0, 0});
};

TEST_F(CliStates, GoFromStepToStep) {
  for (const std::string& model : {decaying_model(), decaying_model(-2)}) {
    for (const char* state : {"after.h=before.h", "after.*=before.*", "after*=before*"}) {
      expect_run(model, {"-i", "x=" + steps_, "--state", state, "--steps", "-o", "y=" + y_, "-o",
                         "after.h=" + state_});
      expect_file(y_, {3, 1, 2}, {1, 2, 5, 2, 4.5, 1});
      expect_file(state_, {1, 2}, {2.25, 0.5});
    }
  }
}

TEST_F(CliStates, BeginWithAFile) {
  const std::string first = array_file("first.npy", {1, 2}, {8, 16});
  expect_run(decaying_model(),
             {"-i", "x=" + steps_, "-i", "before.h=" + first, "--state", "after.h=before.h",
              "--steps", "-o", "y=" + y_, "-o", "after.h=" + state_});
  expect_file(y_, {3, 1, 2}, {9, 18, 9, 10, 6.5, 5});
  expect_file(state_, {1, 2}, {3.25, 2.5});
}

TEST_F(CliStates, OfOneRun) {
  const std::string x = array_file("x.npy", {1, 2}, {1, 2});
  const std::string first = array_file("first.npy", {1, 2}, {8, 16});
  expect_run(decaying_model(),
             {"-i", x, "--state", "after.h=before.h", "-o", "y=" + y_, "-o", "after.h=" + state_});
  expect_file(y_, {1, 2}, {1, 2});
  expect_file(state_, {1, 2}, {1, 2});
  expect_run(decaying_model(), {"-i", "x=" + x, "-i", "before.h=" + first, "--state",
                                "after.h=before.h", "-o", "after.h=" + state_});
  expect_file(state_, {1, 2}, {5, 10});
}

TEST_F(CliStates, OfACacheThatGrows) {
  const std::string x = array_file("rows.npy", {4, 1, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  for (const Shape& past : {Shape{1, -2, 2}, Shape{-2, -2, 2}}) {
    expect_run(growing_model(past), {"-i", "x=" + x, "--state", "present=past", "--steps", "-o",
                                     "y=" + y_, "-o", "present=" + state_});
    expect_file(y_, {4}, {3, 10, 21, 36});
    expect_file(state_, {1, 4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  }
  const std::string three = array_file("three.npy", {2, 3, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  expect_run(growing_model({-2, -2, 2}), {"-i", "x=" + three, "--state", "present=past", "--steps",
                                          "-o", "y=" + y_, "-o", "present=" + state_});
  expect_file(y_, {2}, {21, 36});
  expect_file(state_, {3, 2, 2}, {1, 2, 7, 8, 3, 4, 0, 0, 5, 6, 0, 0});
  const std::string past = array_file("past.npy", {1, 2, 2}, {1, 1, 1, 1});
  expect_run(growing_model({1, -2, 2}), {"-i", "x=" + x, "-i", "past=" + past, "--state",
                                         "present=past", "--steps", "-o", "y=" + y_});
  expect_file(y_, {4}, {7, 14, 25, 40});
}

TEST_F(CliStates, WhatChangesItsShapeMakesNoArray) {
  const std::string x = array_file("rows.npy", {3, 1, 1, 2}, {1, 2, 3, 4, 5, 6});
  const std::string model = growing_model({1, -2, 2});
  const std::vector<std::string> run_of = {"-i", "x=" + x, "--state", "present=past", "--steps"};
  std::vector<std::string> wants = run_of;
  wants.insert(wants.end(), {"-o", "sums=" + y_});
  expect_error(model, wants, "Output \"sums\" has shape (1, 2) in step (1) and (1, 1) in those");
  std::vector<std::string> tells = run_of;
  tells.insert(tells.end(), {"--json", "--top", "1"});
  const ProgramResult told = run(model, tells);
  ASSERT_EQ(told.exit_code, 0) << told.err;
  const auto json = nlohmann::json::parse(told.out);
  EXPECT_EQ(json["states"], 1);
  EXPECT_EQ(json["steps"], 3);
  EXPECT_EQ(json["outputs"][0]["shape"], nlohmann::json({3}));
  EXPECT_EQ(json["outputs"][1]["shape"], nlohmann::json({1, 3, 2}));
  EXPECT_EQ(json["outputs"][2]["shape"], nlohmann::json({3, 1, -1}));
}

TEST_F(CliStates, MayDecideAShape) {
  const std::string x = array_file("x.npy", {3}, {0, 10, 20});
  const std::string n = array_file("n.npy", {1}, {4}, DType::i64);
  const std::vector<std::string> state = {"-i", "x=" + x,  "--state", "m=n",        "--steps",
                                          "-o", "y=" + y_, "-o",      "m=" + state_};
  expect_run(counting_model(), state);
  expect_file(y_, {3}, {0, 11, 22});
  expect_file(state_, {1}, {3});
  std::vector<std::string> begun = state;
  begun.insert(begun.end(), {"-i", "n=" + n});
  expect_run(counting_model(), begun);
  expect_file(y_, {3}, {4, 15, 26});
  expect_file(state_, {1}, {7});
}

TEST_F(CliStates, ConstantsAreTheSameInAllSteps) {
  const std::string x = array_file("x.npy", {2}, {0, 10});
  const std::string n = array_file("ns.npy", {2, 1}, {4, 5}, DType::i64);
  expect_error(counting_model(), {"-i", "x=" + x, "-i", "n=" + n, "--steps"},
               "Input \"n\" decides a shape");
  const std::string same = array_file("same.npy", {2, 1}, {4, 4}, DType::i64);
  expect_run(counting_model(), {"-i", "x=" + x, "-i", "n=" + same, "--steps", "-o", "y=" + y_});
  expect_file(y_, {2}, {4, 14});
}

TEST_F(CliStates, ErrorsSayWhat) {
  const std::string model = decaying_model();
  const auto expect_state = [&](const char* state, const std::string& part) {
    expect_error(model, {"-i", "x=" + steps_, "--steps", "--state", state}, part);
  };
  expect_state("z=before.h", "no such output; it has (\"y\", \"after.h\")");
  expect_state("after.h=z", "no input \"z\"; it has (\"x\", \"before.h\")");
  expect_state("after.h", "not of the form OUT=IN");
  expect_state("after.*=before.h", "not of the form OUT=IN");
  expect_state("a*=b*", "no input \"bfter.h\"");
  expect_error(model, {"-i", "x=" + steps_, "--steps", "--state", "y=x"}, "\"before.h\"");
  expect_error(model, {"-i", "x=" + steps_, "--state", "after.h=before.h"}, "(3, 1, 2)");
  const std::string x = array_file("x.npy", {1, 2}, {1, 2});
  expect_error(model, {"-i", x, "--state", "after.h=before.h", "--steps"}, "--steps needs a file");
  const std::string two = array_file("two.npy", {2, 1, 2}, {1, 2, 3, 4});
  expect_error(model, {"-i", "x=" + steps_, "-i", "before.h=" + two, "--steps"},
               "values for (3) and (2) steps");
}

TEST_F(CliStates, AreNothingForAFolder) {
  const std::string folder = scratch_path("pictures");
  std::filesystem::create_directories(folder);
  for (const char* option : {"--state=after.h=before.h", "--steps"}) {
    expect_error(decaying_model(), {"-i", folder, "-o", scratch_path("results"), option},
                 "A folder of inputs");
  }
}

TEST_F(CliStates, OfAPackedModel) {
  const std::string pack = scratch_path("decay.leat");
  const ProgramResult packed = run_leat({"pack", decaying_model(), "--for", "cpu", "-o", pack});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const std::string x = array_file("x.npy", {1, 2}, {1, 2});
  const std::string first = array_file("first.npy", {1, 2}, {8, 16});
  const std::vector<std::string> state = {"--state", "after.*=before.*", "-o", "y=" + y_,
                                          "-o",      "after.h=" + state_};
  std::vector<std::string> plain = {"-i", x};
  plain.insert(plain.end(), state.begin(), state.end());
  expect_run(pack, plain);
  expect_file(y_, {1, 2}, {1, 2});
  expect_file(state_, {1, 2}, {1, 2});
  std::vector<std::string> begun = {"-i", "x=" + x, "-i", "before.h=" + first};
  begun.insert(begun.end(), state.begin(), state.end());
  expect_run(pack, begun);
  expect_file(y_, {1, 2}, {9, 18});
  expect_file(state_, {1, 2}, {5, 10});
  expect_error(pack, {"-i", "x=" + x}, "No file is given for input \"before.h\"");
  expect_error(pack, {"-i", "x=" + x, "--state", "z=before.h"}, "no such output");
  expect_error(pack, {"-i", "x=" + steps_, "--state", "after.h=before.h", "--steps"}, "--steps");
}

}  // namespace
}  // namespace leat
