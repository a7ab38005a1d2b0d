// Models whose sizes follow from values: where they are cut, what each part computes, and what the
// host computes between them. Parts run on the reference.
#include <gtest/gtest.h>

#include <cmath>

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
};

Result<PartsRun> run_parts(const OnnxBuilder& builder, std::vector<HostTensor> inputs) {
  ImportOptions options;
  options.in_parts = true;
  TRY_ASSIGN(Model model, import_onnx_bytes(builder.bytes(), "built.onnx", options));
  PartsRun run;
  while (true) {
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
