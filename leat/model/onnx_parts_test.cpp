// Models whose sizes follow from values: where they are cut, what each part computes, and what the
// host computes between them. Parts run on the reference.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

constexpr int kBool = onnx::TensorProto::BOOL;
constexpr int kInt64 = onnx::TensorProto::INT64;

HostTensor tensor(DType dtype, const Shape& shape, const std::vector<double>& values) {
  HostTensor made = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) made.set_number(static_cast<int64_t>(i), values[i]);
  return made;
}

HostTensor floats(const std::vector<double>& values) {
  return tensor(DType::f32, {static_cast<int64_t>(values.size())}, values);
}

HostTensor whole(const std::vector<double>& values) {
  return tensor(DType::i64, {static_cast<int64_t>(values.size())}, values);
}

HostTensor truth(bool value) { return tensor(DType::boolean, {}, {value ? 1.0 : 0.0}); }

struct PartsRun {
  std::vector<HostTensor> outputs;
  std::vector<std::string> keys;  // of the parts after the first
  std::vector<Graph> graphs;
};

Result<PartsRun> run_parts(const OnnxBuilder& builder, std::vector<HostTensor> inputs,
                           ImportOptions options = {}) {
  options.in_parts = true;
  TRY_ASSIGN(Model model, import_onnx_bytes(builder.bytes(), "built.onnx", options));
  PartsRun run;
  while (true) {
    run.graphs.push_back(model.graph);
    TRY_ASSIGN(run.outputs, evaluate(model.graph, inputs));
    if (!model.rest) return run;
    TRY_ASSIGN(NextPart next, model.rest(std::move(inputs), std::move(run.outputs)));
    run.keys.push_back(next.key);
    inputs = std::move(next.inputs);
    TRY_ASSIGN(model, next.make());
    EXPECT_EQ(model.inputs.size(), inputs.size());
  }
}

std::vector<double> numbers(const HostTensor& tensor) {
  std::vector<double> values;
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) values.push_back(tensor.number(i));
  return values;
}

/// Of the first output, with its shape.
void expect_runs(const OnnxBuilder& builder, std::vector<HostTensor> inputs, const Shape& shape,
                 const std::vector<double>& values) {
  const Result<PartsRun> run = run_parts(builder, std::move(inputs));
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(to_string(run->outputs[0].shape), to_string(shape));
  EXPECT_EQ(numbers(run->outputs[0]), values);
}

void expect_refused(const OnnxBuilder& builder, std::vector<HostTensor> inputs,
                    const std::string& part) {
  const Result<PartsRun> run = run_parts(builder, std::move(inputs));
  ASSERT_FALSE(run) << part;
  EXPECT_NE(run.error().message().find(part), std::string::npos) << run.error().message();
}

/// y = those of 2x that are above 0, in their order.
OnnxBuilder positive_ones() {
  OnnxBuilder builder;
  builder.input("x", {5});
  builder.constant("zero", floats({0}));
  builder.node("Add", {"x", "x"}, {"twice"});
  builder.node("Greater", {"twice", "zero"}, {"is_above"});
  builder.node("NonZero", {"is_above"}, {"places"});
  builder.node("Transpose", {"places"}, {"rows"});
  builder.node("GatherND", {"twice", "rows"}, {"y"});
  builder.output("y");
  return builder;
}

TEST(OnnxParts, NonZeroOfWhatARunGives) {
  expect_runs(positive_ones(), {floats({1, -1, 2, -3, 3})}, {3}, {2, 4, 6});
  expect_runs(positive_ones(), {floats({-1, -1, -2, -3, 0})}, {0}, {});
  ImportOptions whole_ones;
  const auto refused = import_onnx_bytes(positive_ones().bytes(), "built.onnx", whole_ones);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
}

TEST(OnnxParts, EqualSizesAreOnePart) {
  const auto key_of = [](const std::vector<double>& x) {
    const Result<PartsRun> run = run_parts(positive_ones(), {floats(x)});
    EXPECT_TRUE(run);
    return run && run->keys.size() == 1 ? run->keys[0] : "";
  };
  EXPECT_EQ(key_of({1, -1, 2, -3, 3}), key_of({-1, 7, 8, 9, -3}));
  EXPECT_NE(key_of({1, -1, 2, -3, 3}), key_of({1, -1, -2, -3, 3}));
}

TEST(OnnxParts, AFirstPartSaysWhatTheFileDeclares) {
  ImportOptions options;
  options.in_parts = true;
  OnnxBuilder builder = positive_ones();
  builder.proto().mutable_graph()->clear_output();
  builder.proto().mutable_graph()->add_output()->set_name("y");
  const auto model = import_onnx_bytes(builder.bytes(), "built.onnx", options);
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_TRUE(model->rest);
  ASSERT_EQ(model->outputs.size(), 1u);
  EXPECT_EQ(model->outputs[0].shape, Shape({-1}));
  EXPECT_EQ(model->graph.outputs.size(), 2u);  // the condition, and what is gathered
}

/// What is there in the first part has its shape; of the rest there is only what the file says.
TEST(OnnxParts, AFirstPartKnowsWhatIsThere) {
  ImportOptions options;
  options.in_parts = true;
  OnnxBuilder builder = positive_ones();
  builder.node("Neg", {"x"}, {"early"});
  for (const char* name : {"early", "twice"}) {  // whose shapes the file has wrong
    auto& output = *builder.proto().mutable_graph()->add_output();
    output.set_name(name);
    auto& type = *output.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    type.mutable_shape()->add_dim()->set_dim_value(3);
  }
  auto& y = *builder.proto().mutable_graph()->mutable_output(0);
  *y.mutable_type() = builder.proto().graph().output(1).type();
  const auto model = import_onnx_bytes(builder.bytes(), "built.onnx", options);
  ASSERT_TRUE(model) << model.error().message();
  ASSERT_EQ(model->outputs.size(), 3u);
  EXPECT_EQ(model->outputs[0].shape, Shape({3}));
  EXPECT_EQ(model->outputs[0].tensor, kNoTensor);
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(model->outputs[i].shape, Shape({5}));
    EXPECT_NE(model->outputs[i].tensor, kNoTensor);
  }
}

TEST(OnnxParts, AnOutputThatNothingComputesIsRefusedAtOnce) {
  OnnxBuilder builder = positive_ones();
  builder.output("nobody");
  ImportOptions options;
  options.in_parts = true;
  const auto model = import_onnx_bytes(builder.bytes(), "built.onnx", options);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("\"nobody\" is computed by no node"), std::string::npos);
}

TEST(OnnxParts, CompressAndUniqueOfWhatARunGives) {
  OnnxBuilder builder;
  builder.input("x", {2, 3});
  builder.constant("one", floats({1}));
  builder.input("c", {3});
  builder.node("Greater", {"c", "one"}, {"condition"});
  builder.node("Neg", {"x"}, {"minus"});
  builder.node("Compress", {"minus", "condition"}, {"y"}).set("axis", -1);
  builder.output("y");
  expect_runs(builder, {tensor(DType::f32, {2, 3}, {1, 2, 3, 4, 5, 6}), floats({2, 0, 2})}, {2, 2},
              {-1, -3, -4, -6});

  OnnxBuilder unique;
  unique.input("x", {6});
  unique.node("Neg", {"x"}, {"minus"});
  unique.node("Unique", {"minus"}, {"values", "", "inverse", ""});
  unique.node("Gather", {"values", "inverse"}, {"y"});
  unique.output("values");
  unique.output("y");
  const Result<PartsRun> run = run_parts(unique, {floats({3, 1, 1, 2, 3, 3})});
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(numbers(run->outputs[0]), (std::vector<double>{-3, -2, -1}));
  EXPECT_EQ(numbers(run->outputs[1]), (std::vector<double>{-3, -1, -1, -2, -3, -3}));
}

TEST(OnnxParts, UniqueSlicesWithoutElements) {
  const auto unique = [](const Shape& shape, int64_t axis) {
    OnnxBuilder builder;
    builder.input("x", shape);
    builder.node("Neg", {"x"}, {"minus"});
    builder.node("Unique", {"minus"}, {"y"}).set("axis", axis);
    builder.output("y");
    return builder;
  };
  const auto none = [](const Shape& shape) { return HostTensor::zeros(DType::f32, shape); };
  expect_runs(unique({3, 0}, 0), {none({3, 0})}, {1, 0}, {});
  expect_runs(unique({3, 0}, 1), {none({3, 0})}, {3, 0}, {});
  expect_runs(unique({0, 3}, 0), {none({0, 3})}, {0, 3}, {});
  expect_runs(unique({0, 3}, 1), {none({0, 3})}, {0, 1}, {});
  expect_runs(unique({2, 0, 3}, 0), {none({2, 0, 3})}, {1, 0, 3}, {});
  expect_runs(unique({2, 0, 3}, 2), {none({2, 0, 3})}, {2, 0, 1}, {});
}

/// What decides a shape and is computed: a slice's end, a shape to reshape to, a number of repeats.
TEST(OnnxParts, ValuesThatDecideShapes) {
  OnnxBuilder builder;
  builder.input("x", {6});
  builder.input("n", {1}, kInt64);
  builder.constant("start", std::vector<int64_t>{0});
  builder.constant("one", std::vector<int64_t>{1});
  builder.constant("minus_one", std::vector<int64_t>{-1});
  builder.node("Add", {"n", "one"}, {"end"});
  builder.node("Slice", {"x", "start", "end"}, {"part"});
  builder.node("Concat", {"n", "minus_one"}, {"shape"}).set("axis", 0);
  builder.node("Reshape", {"x", "shape"}, {"matrix"});
  builder.node("ReduceSum", {"matrix", "one"}, {"sums"}).set("keepdims", 0);
  builder.node("Concat", {"part", "sums"}, {"y"}).set("axis", 0);
  builder.output("y");
  const HostTensor x = floats({1, 2, 3, 4, 5, 6});
  expect_runs(builder, {x, whole({2})}, {5}, {1, 2, 3, 6, 15});
  expect_runs(builder, {x, whole({3})}, {7}, {1, 2, 3, 4, 3, 7, 11});
  expect_refused(builder, {x, whole({4})}, "Reshape");
}

TEST(OnnxParts, AnEarlyValueIsALateOutput) {
  OnnxBuilder builder = positive_ones();
  builder.node("Neg", {"x"}, {"early"});
  builder.output("early");
  builder.output("twice");
  const Result<PartsRun> run = run_parts(builder, {floats({1, -1, 2, -3, 3})});
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(numbers(run->outputs[1]), (std::vector<double>{-1, 1, -2, 3, -3}));
  EXPECT_EQ(numbers(run->outputs[2]), (std::vector<double>{2, -2, 4, -6, 6}));
}

// --- Graphs within the model ---------------------------------------------------------------------

onnx::GraphProto body_of(const std::string& op, const std::vector<std::string>& inputs) {
  OnnxBuilder body;
  body.node(op, inputs, {"out"});
  body.output("out");
  return body.proto().graph();
}

TEST(OnnxParts, BranchesOfSeveralShapes) {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.input("c", {}, kBool);
  builder.constant("twos", std::vector<int64_t>{2});
  builder.node("Not", {"c"}, {"not"});
  builder.node("If", {"not"}, {"y"})
      .set("then_branch", body_of("Neg", {"x"}))
      .set("else_branch", body_of("Tile", {"x", "twos"}));
  builder.output("y");
  expect_runs(builder, {floats({1, 2}), truth(false)}, {2}, {-1, -2});
  expect_runs(builder, {floats({1, 2}), truth(true)}, {4}, {1, 2, 1, 2});
}

TEST(OnnxParts, SizesWithinABranch) {
  OnnxBuilder inner;
  inner.node("Abs", {"x"}, {"positive"});
  inner.node("NonZero", {"positive"}, {"out"});
  inner.output("out");
  OnnxBuilder builder;
  builder.input("x", {3});
  builder.input("c", {}, kBool);
  builder.node("Not", {"c"}, {"not"});
  builder.node("If", {"not"}, {"places"})
      .set("then_branch", inner.proto().graph())
      .set("else_branch", body_of("NonZero", {"x"}));
  builder.node("Shape", {"places"}, {"y"});
  builder.output("y");
  expect_runs(builder, {floats({1, 0, -2}), truth(false)}, {2}, {1, 2});
  expect_runs(builder, {floats({0, 0, -2}), truth(true)}, {2}, {1, 1});
}

/// `then_branch` takes indices that may be outside, the other one wants sizes.
OnnxBuilder gather_or_places(int64_t others) {
  OnnxBuilder gathers;
  gathers.node("Gather", {"x", "index"}, {"out"}).set("axis", 0);
  gathers.output("out");
  OnnxBuilder places;
  places.node("Abs", {"x"}, {"positive"});
  places.node("NonZero", {"positive"}, {"found"});
  places.node("Cast", {"found"}, {"values"}).set("to", 1);
  places.node("Reshape", {"values", "list"}, {"out"});
  places.output("out");
  OnnxBuilder builder;
  builder.input("x", {3});
  builder.input("c", {}, kBool);
  builder.input("index", {2}, kInt64);
  builder.constant("list", std::vector<int64_t>{-1});
  builder.node("Not", {"c"}, {"not"});
  builder.node("If", {"not"}, {"y"})
      .set("then_branch", gathers.proto().graph())
      .set("else_branch", places.proto().graph());
  builder.output("y");
  for (int64_t i = 0; i < others; ++i) {
    builder.node("Neg", {i == 0 ? "x" : fmt::format("e{}", i - 1)}, {fmt::format("e{}", i)});
    builder.output(fmt::format("e{}", i));
  }
  return builder;
}

/// The indices of a branch that is not chosen may be anything.
TEST(OnnxParts, WhatIsTakenBackChecksNoIndices) {
  for (const int64_t others : {0, 24}) {
    const HostTensor x = floats({1, 0, 3}), outside = whole({7, 9}), inside = whole({2, 0});
    const auto places = run_parts(gather_or_places(others), {x, truth(true), outside});
    ASSERT_TRUE(places) << places.error().message();
    EXPECT_EQ(numbers(places->outputs[0]), (std::vector<double>{0, 2}));
    for (const Graph& graph : places->graphs) EXPECT_TRUE(graph.checks.empty());
    const auto taken = run_parts(gather_or_places(others), {x, truth(false), inside});
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_EQ(numbers(taken->outputs[0]), (std::vector<double>{3, 1}));
    EXPECT_TRUE(taken->graphs.front().checks.empty());
    EXPECT_EQ(taken->graphs.back().checks.size(), 1u);
  }
}

/// A branch that is wrong whatever is told is no reason to ask.
TEST(OnnxParts, AMistakeInABranchIsNoQuestion) {
  for (const char* wrong : {"then_branch", "else_branch"}) {
    const std::string right = wrong == std::string("then_branch") ? "else_branch" : "then_branch";
    OnnxBuilder builder;
    builder.input("x", {2});
    builder.input("c", {}, kBool);
    builder.node("Not", {"c"}, {"not"});
    builder.node("If", {"not"}, {"y"})
        .set(wrong, body_of("Concat", {"x", "x"}))  // lacks its axis
        .set(right, body_of("Neg", {"x"}));
    builder.output("y");
    ImportOptions options;
    options.in_parts = true;
    const auto model = import_onnx_bytes(builder.bytes(), "built.onnx", options);
    ASSERT_FALSE(model) << wrong;
    EXPECT_NE(model.error().message().find("axis"), std::string::npos) << model.error().message();
  }
}

/// Places in x and in x * mask, both of which nodes called `within` decide; a node of the model
/// that comes between the two questions is called `outside`.
OnnxBuilder two_questions(bool is_loop, const std::string& within, const std::string& outside) {
  OnnxBuilder body;
  if (is_loop) {
    body.input("turn", {}, kInt64);
    body.input("on", {}, kBool);
    body.input("v", {3});
  }
  const std::string v = is_loop ? "v" : "x";
  body.node("Abs", {v}, {"positive"}).proto().set_name(within);
  body.node("NonZero", {"positive"}, {"found"});
  body.node("ReduceSum", {"found"}, {"sum"}).set("keepdims", 0);
  body.node("Mul", {v, "mask"}, {"masked"});
  if (is_loop) {
    body.node("Identity", {"on"}, {"more"});
    for (const char* output : {"more", "masked", "sum"}) body.output(output);
  } else {
    body.node("Abs", {"masked"}, {"positive2"}).proto().set_name(within);
    body.node("NonZero", {"positive2"}, {"found2"});
    body.node("ReduceSum", {"found2"}, {"sum2"}).set("keepdims", 0);
    body.node("Unsqueeze", {"sum", "zero"}, {"a"});
    body.node("Unsqueeze", {"sum2", "zero"}, {"b"});
    body.node("Concat", {"a", "b"}, {"both"}).set("axis", 0);
    body.output("both");
  }
  OnnxBuilder builder;
  builder.input("x", {3});
  builder.input("mask", {3});
  builder.input("c", {}, kBool);
  builder.constant("turns", tensor(DType::i64, {}, {2}));
  builder.constant("zero", std::vector<int64_t>{0});
  if (is_loop) {
    builder.node("Loop", {"turns", "", "x"}, {"last", "y"}).set("body", body.proto().graph());
  } else {
    builder.node("Not", {"c"}, {"not"});
    builder.node("If", {"not"}, {"y"})
        .set("then_branch", body.proto().graph())
        .set("else_branch", body_of("Neg", {"mask"}));
  }
  builder.node("Abs", {"mask"}, {"m"});
  builder.node("NonZero", {"m"}, {"places"});
  builder.node("Abs", {"places"}, {"z"}).proto().set_name(outside);
  builder.output("y");
  builder.output("z");
  return builder;
}

TEST(OnnxParts, AnswersAreNotMistakenForOthers) {
  const std::vector<HostTensor> inputs = {floats({1, 2, 3}), floats({1, 1, 0}), truth(false)};
  for (const bool is_loop : {true, false}) {
    for (const char* outside : {"else", "within"}) {
      const auto run = run_parts(two_questions(is_loop, "within", outside), inputs);
      ASSERT_TRUE(run) << run.error().message();
      EXPECT_EQ(numbers(run->outputs[0]), (std::vector<double>{3, 1})) << is_loop << outside;
      EXPECT_EQ(numbers(run->outputs[1]), (std::vector<double>{0, 1})) << is_loop << outside;
    }
  }
}

/// Nodes that are added once more draw the same numbers, which depend on their names.
TEST(OnnxParts, RandomNumbersStayTheSame) {
  OnnxBuilder body(15);
  body.input("turn", {}, kInt64);
  body.input("on", {}, kBool);
  body.input("v", {64});
  body.node("Bernoulli", {"v"}, {"drawn"}).proto().set_name("drawn");
  body.node("NonZero", {"drawn"}, {"places"});
  body.node("Transpose", {"places"}, {"rows"});
  body.node("GatherND", {"drawn", "rows"}, {"ones"});
  body.node("ReduceMin", {"ones"}, {"least"}).set("keepdims", 0);
  body.node("Identity", {"on"}, {"more"});
  body.node("Abs", {"v"}, {"next"});
  for (const char* output : {"more", "next", "least"}) body.output(output);
  OnnxBuilder builder(15);
  builder.input("x", {64});
  builder.constant("turns", tensor(DType::i64, {}, {3}));
  builder.node("Loop", {"turns", "", "x"}, {"last", "y"}).set("body", body.proto().graph());
  builder.node("NonZero", {"x"}, {"found"});
  builder.node("Abs", {"found"}, {"z"}).proto().set_name("drawn");
  builder.output("y");
  builder.output("z");
  expect_runs(builder, {tensor(DType::f32, {64}, std::vector<double>(64, 0.5))}, {3}, {1, 1, 1});
}

/// Doubles x while it is below `limit`, and stacks what it was.
OnnxBuilder doubling(bool stacks) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("on", {}, kBool);
  body.input("value", {});
  body.node("Add", {"value", "value"}, {"twice"});
  body.node("Less", {"twice", "limit"}, {"more"});
  body.output("more");
  body.output("twice");
  if (stacks) {
    body.node("Identity", {"value"}, {"was"});
    body.output("was");
  }
  OnnxBuilder builder;
  builder.input("x", {});
  builder.input("limit", {});
  builder.constant("start", truth(true));
  builder
      .node("Loop", {"", "start", "x"},
            stacks ? std::vector<std::string>{"last", "y"} : std::vector<std::string>{"y"})
      .set("body", body.proto().graph());
  builder.output("y");
  return builder;
}

TEST(OnnxParts, TurnsThatOnlyARunCounts) {
  const auto scalar = [](double value) { return tensor(DType::f32, {}, {value}); };
  expect_runs(doubling(false), {scalar(1), scalar(10)}, {}, {16});
  expect_runs(doubling(false), {scalar(1), scalar(0)}, {}, {2});
  expect_runs(doubling(true), {scalar(1), scalar(10)}, {4}, {1, 2, 4, 8});
  expect_refused(doubling(false), {scalar(0), scalar(10)}, "more parts than the limit (128)");
}

/// Each part goes on from the states that the one before has left.
TEST(OnnxParts, TurnsAreTakenOnce) {
  const auto scalar = [](double value) { return tensor(DType::f32, {}, {value}); };
  for (const bool stacks : {false, true}) {
    const auto run = run_parts(doubling(stacks), {scalar(1), scalar(1000)});
    ASSERT_TRUE(run) << run.error().message();
    const std::vector<Graph>& graphs = run->graphs;
    ASSERT_EQ(graphs.size(), 11u);
    for (size_t i = 2; i + 1 < graphs.size(); ++i) {
      EXPECT_EQ(graphs[i].nodes.size(), graphs[1].nodes.size()) << i;
    }
  }
}

/// Adds up n ones, then n - 1, as long as n is not negative.
OnnxBuilder countdown(int64_t turns_most) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("on", {}, kBool);
  body.input("n", {1}, kInt64);
  body.input("total", {});
  body.node("ConstantOfShape", {"n"}, {"filled"}).set("value", floats({1}));
  body.node("ReduceSum", {"filled"}, {"sum"}).set("keepdims", 0);
  body.node("Add", {"total", "sum"}, {"more_total"});
  body.node("Sub", {"n", "one"}, {"next"});
  body.node("Greater", {"next", "minus_one"}, {"is_left"});
  body.node("Squeeze", {"is_left"}, {"more"});
  for (const char* output : {"more", "next", "more_total"}) body.output(output);
  OnnxBuilder builder;
  builder.input("x", {1}, kInt64);
  builder.input("start_total", {});
  builder.constant("start", truth(true));
  builder.constant("one", std::vector<int64_t>{1});
  builder.constant("minus_one", std::vector<int64_t>{-1});
  HostTensor turns = HostTensor::zeros(DType::i64, {});
  turns.set_integer(0, turns_most);
  builder.constant("turns", turns);
  builder.node("Loop", {"turns", "start", "x", "start_total"}, {"last", "y"})
      .set("body", body.proto().graph());
  builder.output("y");
  return builder;
}

/// Adds as many ones to a value as it is, while it is below 10, within a loop of one turn: there
/// each part begins with the first turn again, and asks first whether one is taken, then how many.
TEST(OnnxParts, TurnsWithinTurnsAskAgain) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("on", {}, kBool);
  body.input("value", {});
  body.node("Reshape", {"value", "one"}, {"list"});
  body.node("Cast", {"list"}, {"count"}).set("to", 7);
  body.node("ConstantOfShape", {"count"}, {"filled"}).set("value", floats({1}));
  body.node("ReduceSum", {"filled"}, {"sum"}).set("keepdims", 0);
  body.node("Add", {"value", "sum"}, {"twice"});
  body.node("Less", {"twice", "limit"}, {"more"});
  for (const char* output : {"more", "twice"}) body.output(output);
  OnnxBuilder outer;
  outer.input("outer_turn", {}, kInt64);
  outer.input("outer_on", {}, kBool);
  outer.input("v", {});
  outer.node("Loop", {"turns", "start", "v"}, {"z"}).set("body", body.proto().graph());
  outer.node("Identity", {"outer_on"}, {"outer_more"});
  for (const char* output : {"outer_more", "z"}) outer.output(output);
  OnnxBuilder builder;
  builder.input("x", {});
  builder.input("limit", {});
  builder.constant("one", std::vector<int64_t>{1});
  builder.constant("turns", tensor(DType::i64, {}, {6}));
  builder.constant("once", tensor(DType::i64, {}, {1}));
  builder.constant("start", truth(true));
  builder.node("Loop", {"once", "", "x"}, {"y"}).set("body", outer.proto().graph());
  builder.output("y");
  const auto scalar = [](double value) { return tensor(DType::f32, {}, {value}); };
  expect_runs(builder, {scalar(1), scalar(10)}, {}, {16});
}

/// The fourth would fill a shape of -1. And a bound may say nothing.
TEST(OnnxParts, TurnsThatAreNotTakenAskForNothing) {
  const HostTensor none = tensor(DType::f32, {}, {0});
  for (const int64_t most : {int64_t{6}, int64_t{300}, std::numeric_limits<int64_t>::max()}) {
    expect_runs(countdown(most), {tensor(DType::i64, {1}, {2}), none}, {}, {3});
  }
  expect_runs(countdown(2), {tensor(DType::i64, {1}, {4}), none}, {}, {7});
}

int64_t constant_bytes(const std::vector<Graph>& graphs) {
  std::set<const HostTensor*> constants;
  for (const Graph& graph : graphs) {
    for (const Tensor& tensor : graph.tensors) constants.insert(tensor.constant.get());
  }
  constants.erase(nullptr);
  int64_t size_bytes = 0;
  for (const HostTensor* constant : constants) size_bytes += std::ssize(constant->bytes);
  return size_bytes;
}

/// Loops that each turn make 1600 bytes of nothing, and of which a part is left with one turn.
OnnxBuilder filling(int loops) {
  OnnxBuilder builder;
  builder.input("x", {});
  builder.constant("start", truth(true));
  builder.constant("shape", std::vector<int64_t>{400});
  builder.constant("most", tensor(DType::f32, {}, {100}));
  for (int i = 0; i < loops; ++i) {
    OnnxBuilder body;
    body.input("turn", {}, kInt64);
    body.input("on", {}, kBool);
    body.input("v", {});
    body.node("ConstantOfShape", {"shape"}, {"filled"}).set("value", floats({2}));
    body.node("Mul", {"filled", "v"}, {"many"});
    body.node("ReduceMax", {"many"}, {"twice"}).set("keepdims", 0);
    body.node("Less", {"twice", "most"}, {"more"});
    for (const char* output : {"more", "twice"}) body.output(output);
    builder.node("Loop", {"", "start", "x"}, {fmt::format("y{}", i)})
        .set("body", body.proto().graph());
    builder.output(fmt::format("y{}", i));
  }
  return builder;
}

/// What parts keep is counted, however many there are, and however many nodes wait.
TEST(OnnxParts, LimitsHoldForAllPartsTogether) {
  const std::vector<HostTensor> inputs = {tensor(DType::f32, {}, {1})};
  ImportOptions options;
  options.fill_bytes_max = 16000;
  const auto seven_turns = run_parts(filling(1), inputs, options);
  ASSERT_TRUE(seven_turns) << seven_turns.error().message();
  EXPECT_EQ(numbers(seven_turns->outputs[0]), std::vector<double>{128});
  EXPECT_LE(constant_bytes(seven_turns->graphs), 16000);
  for (const int loops : {1, 4}) {
    options.fill_bytes_max = loops == 1 ? 8000 : 4000;  // turns of five parts, loops of the first
    const auto refused = run_parts(filling(loops), inputs, options);
    ASSERT_FALSE(refused) << loops;
    EXPECT_NE(refused.error().message().find("more bytes of constants than the limit"),
              std::string::npos)
        << refused.error().message();
  }
}

/// A state that grows: each turn appends what is above 0 to it.
TEST(OnnxParts, StatesThatGrow) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("on", {}, kBool);
  body.input("state", {-1});
  body.constant("zero", floats({0}));
  body.node("Identity", {"on"}, {"more"});
  body.node("Greater", {"state", "zero"}, {"is_above"});
  body.node("Compress", {"state", "is_above"}, {"above"});
  body.node("Concat", {"state", "above"}, {"next"}).set("axis", 0);
  body.output("more");
  body.output("next");
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.constant("turns", tensor(DType::i64, {}, {2}));
  builder.node("Loop", {"turns", "", "x"}, {"y"}).set("body", body.proto().graph());
  builder.output("y");
  expect_runs(builder, {floats({-1, 2})}, {5}, {-1, 2, 2, 2, 2});
}

// --- NonMaxSuppression ---------------------------------------------------------------------------

OnnxBuilder suppression(int64_t most, double overlap, double least, int64_t is_centred = 0) {
  OnnxBuilder builder;
  builder.input("boxes", {1, 4, 4});
  builder.input("scores", {1, 2, 4});
  builder.constant("most", std::vector<int64_t>{most});
  builder.constant("overlap", floats({overlap}));
  builder.constant("least", floats({least}));
  builder.node("NonMaxSuppression", {"boxes", "scores", "most", "overlap", "least"}, {"y"})
      .set("center_point_box", is_centred);
  builder.output("y");
  return builder;
}

TEST(OnnxNonMaxSuppression, TakesTheBestOfWhatOverlaps) {
  // The second is the first moved by a tenth, the third has its corners the other way round.
  const HostTensor boxes =
      tensor(DType::f32, {1, 4, 4}, {0, 0, 1, 1, 0, 0.1, 1, 1.1, 1, 11, 0, 10, 0, 20, 1, 21});
  const HostTensor scores =
      tensor(DType::f32, {1, 2, 4}, {0.8, 0.9, 0.5, 0.1, 0.3, std::nan(""), 0.7, 0.7});
  expect_runs(suppression(9, 0.5, 0.2), {boxes, scores}, {5, 3},
              {0, 0, 1, 0, 0, 2, 0, 1, 2, 0, 1, 3, 0, 1, 0});
  expect_runs(suppression(1, 0.5, 0.2), {boxes, scores}, {2, 3}, {0, 0, 1, 0, 1, 2});
  expect_runs(suppression(9, 0.9, 0.2), {boxes, scores}, {6, 3},
              {0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 2, 0, 1, 3, 0, 1, 0});
  expect_runs(suppression(0, 0.5, 0.2), {boxes, scores}, {0, 3}, {});
  expect_runs(suppression(9, 0.5, 2), {boxes, scores}, {0, 3}, {});
}

/// No score is above it; one that is not given leaves all that are numbers.
TEST(OnnxNonMaxSuppression, ALeastScoreMayBeInfinite) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const HostTensor boxes =
      tensor(DType::f32, {1, 4, 4}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7});
  const HostTensor scores =
      tensor(DType::f32, {1, 2, 4}, {1, 2, -kInfinity, 3, 0, 0, kInfinity, std::nan("")});
  expect_runs(suppression(9, 0.5, kInfinity), {boxes, scores}, {0, 3}, {});
  expect_runs(suppression(9, 0.5, -kInfinity), {boxes, scores}, {6, 3},
              {0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 1, 0, 0, 1, 1});
  OnnxBuilder without = suppression(9, 0.5, 0);
  without.proto().mutable_graph()->mutable_node(0)->mutable_input()->RemoveLast();
  expect_runs(without, {boxes, scores}, {7, 3},
              {0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1, 2, 0, 1, 0, 0, 1, 1});
}

TEST(OnnxNonMaxSuppression, InputsMayBeLeftOut) {
  const HostTensor boxes =
      tensor(DType::f32, {1, 4, 4}, {0, 0, 1, 1, 0, 0.1, 1, 1.1, 1, 11, 0, 10, 0, 20, 1, 21});
  const HostTensor scores = tensor(DType::f32, {1, 2, 4}, {0.8, 0.9, 0.5, 0.1, 0, 0, 0, 0});
  OnnxBuilder builder = suppression(9, 0.5, 0.2);
  builder.proto().mutable_graph()->mutable_node(0)->set_input(3, "");  // any overlap is too much
  expect_runs(builder, {boxes, scores}, {2, 3}, {0, 0, 1, 0, 0, 2});
  builder.proto().mutable_graph()->mutable_node(0)->set_input(2, "");
  expect_runs(builder, {boxes, scores}, {0, 3}, {});
}

TEST(OnnxNonMaxSuppression, OfCentresAndSizes) {
  const HostTensor boxes =
      tensor(DType::f32, {1, 4, 4}, {0.5, 0.5, 1, 1, 0.5, 0.6, 1, 1, 9, 9, 1, 1, 9, 9, 1, 0.9});
  const HostTensor scores = tensor(DType::f32, {1, 2, 4}, {1, 2, 3, 4, 0, 0, 0, 0});
  expect_runs(suppression(9, 0.5, 0.5, 1), {boxes, scores}, {2, 3}, {0, 0, 3, 0, 0, 1});
}

TEST(OnnxNonMaxSuppression, RefusesWhatAreNoBoxes) {
  OnnxBuilder builder;
  builder.input("boxes", {1, 4, 3});
  builder.input("scores", {1, 2, 4});
  builder.node("NonMaxSuppression", {"boxes", "scores"}, {"y"});
  builder.output("y");
  expect_refused(builder, {tensor(DType::f32, {1, 4, 3}, {}), tensor(DType::f32, {1, 2, 4}, {})},
                 "(B, N, 4)");
}

}  // namespace
}  // namespace leat
