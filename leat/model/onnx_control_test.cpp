// Graphs within a model: branches, loops, functions, sequences; what they compute, what is left of
// them in the graph, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <functional>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

constexpr int kBool = onnx::TensorProto::BOOL;
constexpr int kInt64 = onnx::TensorProto::INT64;

Result<Model> import(const OnnxBuilder& builder, const ImportOptions& options = {}) {
  return import_onnx_bytes(builder.bytes(), "built.onnx", options);
}

HostTensor tensor(DType dtype, const Shape& shape, const std::vector<double>& values) {
  HostTensor made = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) made.set_number(static_cast<int64_t>(i), values[i]);
  return made;
}

HostTensor floats(const std::vector<double>& values) {
  return tensor(DType::f32, {static_cast<int64_t>(values.size())}, values);
}

/// The elements of the first output.
std::vector<double> run(const OnnxBuilder& builder, const std::vector<HostTensor>& inputs) {
  const Result<Model> model = import(builder);
  EXPECT_TRUE(model) << (model ? "" : model.error().message());
  if (!model) return {};
  const auto results = evaluate(model->graph, inputs);
  EXPECT_TRUE(results);
  std::vector<double> values;
  for (int64_t i = 0; i < element_count((*results)[0].shape); ++i) {
    values.push_back((*results)[0].number(i));
  }
  return values;
}

void expect_refused(const OnnxBuilder& builder, const std::string& part) {
  const Result<Model> model = import(builder);
  ASSERT_FALSE(model) << part;
  EXPECT_NE(model.error().message().find(part), std::string::npos) << model.error().message();
}

/// A graph of one node that gives "out".
onnx::GraphProto body_of(const std::string& op, const std::vector<std::string>& inputs) {
  OnnxBuilder body;
  body.node(op, inputs, {"out"});
  body.output("out");
  return body.proto().graph();
}

// --- If ------------------------------------------------------------------------------------------

OnnxBuilder branches(const onnx::GraphProto& then_body, const onnx::GraphProto& else_body) {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.input("c", {}, kBool);
  builder.node("If", {"c"}, {"y"}).set("then_branch", then_body).set("else_branch", else_body);
  builder.output("y");
  return builder;
}

TEST(OnnxIf, ChoosesAtRunTime) {
  const OnnxBuilder builder = branches(body_of("Neg", {"x"}), body_of("Exp", {"x"}));
  const HostTensor x = floats({0, 2});
  EXPECT_EQ(run(builder, {x, tensor(DType::boolean, {}, {1})}), (std::vector<double>{0, -2}));
  EXPECT_EQ(run(builder, {x, tensor(DType::boolean, {}, {0})})[0], 1);
}

TEST(OnnxIf, OfAKnownConditionOneBranchIsLeft) {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.constant("c", tensor(DType::boolean, {1}, {0}));
  builder.node("If", {"c"}, {"y"})
      .set("then_branch", body_of("Neg", {"x"}))
      .set("else_branch", body_of("Flatten", {"x"}));
  builder.output("y");
  const Result<Model> model = import(builder);
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->graph.nodes.size(), 1u);
  EXPECT_EQ(model->outputs[0].shape, (Shape{2, 1}));
}

TEST(OnnxIf, AConditionAtHandBecomesAConstant) {
  const OnnxBuilder builder = branches(body_of("Neg", {"x"}), body_of("Flatten", {"x"}));
  ImportOptions options;
  options.input_values["c"] = tensor(DType::boolean, {}, {1});
  const Result<Model> model = import(builder, options);
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->inputs.size(), 1u);
  EXPECT_EQ(model->outputs[0].shape, (Shape{2}));
}

TEST(OnnxIf, RefusesBranchesOfSeveralShapes) {
  expect_refused(branches(body_of("Neg", {"x"}), body_of("Flatten", {"x"})),
                 "computed at run time");
}

TEST(OnnxIf, NamesTheNodeInTheBranch) {
  expect_refused(branches(body_of("Neg", {"x"}), body_of("Neg", {"nowhere"})), "\"nowhere\"");
  expect_refused(branches(body_of("Neg", {"x"}), body_of("NoSuchOperator", {"x"})),
                 "NoSuchOperator");
}

// --- Loop and Scan -------------------------------------------------------------------------------

/// Adds `step` to the sum while the sum is less than `limit`, and gives the sums.
onnx::GraphProto adding_body(bool counts_to_limit) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("going", {}, kBool);
  body.input("sum", {1});
  body.node("Add", {"sum", "step"}, {"next"});
  if (counts_to_limit) {
    body.node("Less", {"next", "limit"}, {"goes"});
  } else {
    body.node("Identity", {"going"}, {"goes"});
  }
  body.node("Identity", {"next"}, {"row"});
  for (const char* name : {"goes", "next", "row"}) body.output(name);
  return body.proto().graph();
}

OnnxBuilder looping(const std::string& turns, bool counts_to_limit, const char* output) {
  OnnxBuilder builder;
  builder.input("step", {1});
  builder.input("limit", {1});
  builder.constant("four", tensor(DType::i64, {}, {4}));
  builder.constant("none", tensor(DType::i64, {}, {0}));
  builder.constant("many", tensor(DType::i64, {}, {1e18}));
  builder.constant("zero", floats({0}));
  const bool wants_rows = output == std::string("rows");
  builder.node("Loop", {turns, "", "zero"}, {"last", wants_rows ? "rows" : ""})
      .set("body", adding_body(counts_to_limit));
  builder.output(output);
  return builder;
}

TEST(OnnxLoop, TakesItsTurns) {
  const std::vector<HostTensor> inputs = {floats({3}), floats({0})};
  EXPECT_EQ(run(looping("four", false, "last"), inputs), (std::vector<double>{12}));
  EXPECT_EQ(run(looping("four", false, "rows"), inputs), (std::vector<double>{3, 6, 9, 12}));
  EXPECT_EQ(run(looping("none", false, "last"), inputs), (std::vector<double>{0}));
  EXPECT_EQ(run(looping("none", false, "rows"), inputs), (std::vector<double>{}));
}

TEST(OnnxLoop, AConditionOfTheDeviceKeepsTheState) {
  const OnnxBuilder builder = looping("four", true, "last");
  EXPECT_EQ(run(builder, {floats({3}), floats({5})}), (std::vector<double>{6}));
  EXPECT_EQ(run(builder, {floats({3}), floats({2})}), (std::vector<double>{3}));
  EXPECT_EQ(run(builder, {floats({3}), floats({100})}), (std::vector<double>{12}));
}

TEST(OnnxLoop, RefusesAnUnknownNumberOfTurns) {
  expect_refused(looping("", true, "last"), "computed at run time");
  expect_refused(looping("four", true, "rows"), "computed at run time");
}

TEST(OnnxLoop, RefusesMoreTurnsThanNodes) {
  expect_refused(looping("many", false, "last"), "more nodes than the");
}

TEST(OnnxLoop, RefusesTurnsWithoutEndThatDoNothing) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("going", {}, kBool);
  body.input("y", {1});
  body.output("going");
  body.output("y");
  OnnxBuilder builder;
  builder.constant("y", floats({1}));
  builder.node("Loop", {"", "", "y"}, {"z"}).set("body", body.proto().graph());
  builder.output("z");
  expect_refused(builder, "more nodes than the");
}

TEST(OnnxLoop, RefusesTurnsThatFillTheMemory) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("going", {}, kBool);
  // A tensor of the file would be read once for all turns; this list becomes one in each.
  body.node("Constant", {}, {"big"}).set("value_floats", std::vector<float>(1 << 18));
  body.input("y", {1});
  body.output("going");
  body.output("y");
  OnnxBuilder builder;
  builder.constant("turns", tensor(DType::i64, {}, {1000}));
  builder.constant("y", floats({1}));
  builder.node("Loop", {"turns", "", "y"}, {"z"}).set("body", body.proto().graph());
  builder.output("z");
  ImportOptions options;
  options.fill_bytes_max = 8 << 20;
  const Result<Model> model = import(builder, options);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("bytes of constants"), std::string::npos);
}

/// y = x after that many turns, in each of which `add` adds nodes to the body; `s` is 10 times x.
OnnxBuilder turning(int64_t turns, const std::function<void(OnnxBuilder&)>& add) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("going", {}, kBool);
  body.input("y", {1});
  add(body);
  body.output("going");
  body.output("y");
  OnnxBuilder builder;
  builder.input("x", {1});
  builder.node("SequenceConstruct", std::vector<std::string>(10, "x"), {"s"});
  builder.constant("turns", tensor(DType::i64, {}, {static_cast<double>(turns)}));
  builder.node("Loop", {"turns", "", "x"}, {"z"}).set("body", body.proto().graph());
  builder.node("Neg", {"z"}, {"p"});
  builder.output("p");
  return builder;
}

TEST(OnnxLoop, LargeNodesCountAsMany) {
  const auto add = [](OnnxBuilder& body) {
    body.node("SequenceConstruct", std::vector<std::string>(1600, "x"), {"list"});
  };
  EXPECT_TRUE(import(turning(10, add)));
  expect_refused(turning(1000, add), "more nodes than the");
}

TEST(OnnxLoop, NamesDoNotFillTheMemory) {
  const auto add = [](OnnxBuilder& body) {
    body.node("Neg", {"x"}, {"k"}).proto().set_name(std::string(1 << 20, 'n'));
  };
  const Result<Model> model = import(turning(1000, add));
  ASSERT_TRUE(model) << model.error().message();
  for (const Tensor& made : model->graph.tensors) EXPECT_LT(made.name.size(), 300u);
  expect_refused(
      turning(1000,
              [](OnnxBuilder& body) { body.node("Neg", {"x"}, {std::string(1 << 20, 'n')}); }),
      "more bytes of names");
}

TEST(OnnxScan, RunsBothWays) {
  OnnxBuilder body;
  body.input("sum", {2});
  body.input("row", {2});
  body.node("Add", {"sum", "row"}, {"next"});
  body.node("Identity", {"next"}, {"so_far"});
  body.output("next");
  body.output("so_far");
  OnnxBuilder builder;
  builder.input("start", {2});
  builder.input("rows", {3, 2});
  builder.node("Scan", {"start", "rows"}, {"", "sums"})
      .set("body", body.proto().graph())
      .set("num_scan_inputs", 1)
      .set("scan_input_directions", std::vector<int64_t>{1})
      .set("scan_output_axes", std::vector<int64_t>{1});
  builder.output("sums");
  const std::vector<HostTensor> inputs = {floats({0, 0}),
                                          tensor(DType::f32, {3, 2}, {1, 2, 3, 4, 5, 6})};
  EXPECT_EQ(run(builder, inputs), (std::vector<double>{5, 8, 9, 6, 10, 12}));
}

TEST(OnnxBodies, WaitForWhatTheyTakeFromAround) {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.input("c", {}, kBool);
  builder.node("If", {"c"}, {"y"})
      .set("then_branch", body_of("Neg", {"later"}))
      .set("else_branch", body_of("Identity", {"later"}));
  builder.node("Add", {"x", "x"}, {"later"});
  builder.output("y");
  EXPECT_EQ(run(builder, {floats({1, 2}), tensor(DType::boolean, {}, {1})}),
            (std::vector<double>{-2, -4}));
}

// --- Functions -----------------------------------------------------------------------------------

/// f(x) = elu(x) with the attribute "slope", 2 where it is left out.
OnnxBuilder calling(const std::string& function_body_op) {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.proto().add_opset_import()->set_domain("mine");
  builder.proto().mutable_opset_import(1)->set_version(1);
  onnx::FunctionProto& function = *builder.proto().add_functions();
  function.set_domain("mine");
  function.set_name("F");
  function.add_input("a");
  function.add_output("b");
  function.add_opset_import()->set_version(13);
  onnx::AttributeProto& slope = *function.add_attribute_proto();
  slope.set_name("slope");
  slope.set_type(onnx::AttributeProto::FLOAT);
  slope.set_f(2);
  onnx::NodeProto& node = *function.add_node();
  node.set_op_type(function_body_op);
  node.add_input("a");
  node.add_output("b");
  if (function_body_op == "LeakyRelu") {
    OnnxNodeBuilder(node).refer("alpha", "slope", onnx::AttributeProto::FLOAT);
  }
  return builder;
}

TEST(OnnxFunctions, TakeAttributesOrTheirDefaults) {
  OnnxBuilder builder = calling("LeakyRelu");
  builder.node("F", {"x"}, {"p"}).set("slope", 3.0f).proto().set_domain("mine");
  builder.node("F", {"p"}, {"q"}).proto().set_domain("mine");
  builder.output("q");
  EXPECT_EQ(run(builder, {floats({-1, 1})}), (std::vector<double>{-6, 1}));
}

TEST(OnnxFunctions, RefuseAttributesThatTheyLack) {
  OnnxBuilder builder = calling("LeakyRelu");
  builder.node("F", {"x"}, {"p"}).set("slop", 3.0f).proto().set_domain("mine");
  builder.output("p");
  expect_refused(builder, "\"slop\"");
}

/// f(x) of a node If whose branches are what the caller, or a default, says.
OnnxBuilder choosing(const onnx::GraphProto& fallback) {
  OnnxBuilder builder = calling("Neg");
  onnx::FunctionProto& function = *builder.proto().mutable_functions(0);
  function.add_input("c");
  onnx::AttributeProto& branch = *function.add_attribute_proto();
  branch.set_name("branch");
  branch.set_type(onnx::AttributeProto::GRAPH);
  *branch.mutable_g() = fallback;
  onnx::NodeProto& node = *function.mutable_node(0);
  node.set_op_type("If");
  node.set_input(0, "c");
  for (const char* name : {"then_branch", "else_branch"}) {
    OnnxNodeBuilder(node).refer(name, "branch", onnx::AttributeProto::GRAPH);
  }
  builder.constant("c", tensor(DType::boolean, {}, {1}));
  builder.node("F", {"x", "c"}, {"p"}).proto().set_domain("mine");
  builder.output("p");
  return builder;
}

TEST(OnnxFunctions, GraphsThatAreDefaultsAreCheckedAsAllOthers) {
  EXPECT_EQ(run(choosing(body_of("Neg", {"a"})), {floats({1, 2})}), (std::vector<double>{-1, -2}));
  expect_refused(choosing(body_of("NoSuchOperator", {"a"})), "Operator NoSuchOperator of domain");
  onnx::GraphProto body = body_of("F", {"a", "c"});
  body.mutable_node(0)->set_domain("mine");
  body.mutable_node(0)->add_output("more");
  expect_refused(choosing(body), "2 outputs (of 1)");
}

TEST(OnnxFunctions, ThatLackAnInputNameTheNodeThatWantsIt) {
  OnnxBuilder builder = calling("Neg");
  builder.node("F", {}, {"p"}).proto().set_domain("mine");
  builder.output("p");
  expect_refused(builder, "Input 0 of Neg is missing");
}

TEST(OnnxFunctions, SeeNothingAroundThem) {
  OnnxBuilder builder = calling("Neg");
  builder.proto().mutable_functions(0)->mutable_node(0)->set_input(0, "x");
  builder.node("F", {"x"}, {"p"}).proto().set_domain("mine");
  builder.output("p");
  expect_refused(builder, "computed by no node");
}

TEST(OnnxFunctions, ThatCallThemselvesAreRefused) {
  OnnxBuilder builder = calling("F");
  builder.proto().mutable_functions(0)->mutable_node(0)->set_domain("mine");
  builder.node("F", {"x"}, {"p"}).proto().set_domain("mine");
  builder.output("p");
  expect_refused(builder, "more deeply than the limit");
}

TEST(OnnxFunctions, ChainsAsLongAsTheFileAllows) {
  OnnxBuilder builder = calling("Neg");
  constexpr int kLength = 100'000;
  builder.proto().clear_functions();
  for (int i = 0; i < kLength; ++i) {
    onnx::FunctionProto& function = *builder.proto().add_functions();
    function.set_domain("mine");
    function.set_name("F" + std::to_string(i));
    function.add_input("a");
    function.add_output("b");
    onnx::OperatorSetIdProto& opset = *function.add_opset_import();
    opset.set_domain("mine");
    opset.set_version(1);
    onnx::NodeProto& node = *function.add_node();
    node.set_domain("mine");
    node.set_op_type("F" + std::to_string(i + 1 < kLength ? i + 1 : i));
    node.add_input("a");
    node.add_output("b");
  }
  builder.node("F0", {"x"}, {"p"}).proto().set_domain("mine");
  builder.output("p");
  expect_refused(builder, "more deeply than the limit");
}

TEST(OnnxFunctions, AttributesDoNotFillTheMemory) {
  OnnxBuilder builder = calling("LeakyRelu");
  onnx::FunctionProto& function = *builder.proto().mutable_functions(0);
  function.add_attribute("value");
  for (int i = 0; i < 64; ++i) {
    onnx::NodeProto& node = *function.add_node();
    node.set_op_type("Constant");
    node.add_output("k" + std::to_string(i));
    OnnxNodeBuilder(node).refer("value", "value", onnx::AttributeProto::TENSOR);
  }
  OnnxNodeBuilder call = builder.node("F", {"x"}, {"p"});
  call.set("value", HostTensor::zeros(DType::f32, {1 << 16})).proto().set_domain("mine");
  builder.output("p");
  EXPECT_TRUE(import(builder));
  ImportOptions options;
  options.fill_bytes_max = 8 << 20;  // of 64 times 256 KiB
  const Result<Model> model = import(builder, options);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("more bytes"), std::string::npos);
}

TEST(OnnxFunctions, CopiesCountAsTheMemoryThatTheyTake) {
  OnnxBuilder builder = calling("LeakyRelu");
  onnx::FunctionProto& function = *builder.proto().mutable_functions(0);
  for (int i = 0; i < 200; ++i) {
    onnx::NodeProto& node = *function.add_node();
    node.set_op_type("Neg");
    node.add_input("a");
    node.add_output("k" + std::to_string(i));
  }
  builder.node("F", {"x"}, {"p"}).proto().set_domain("mine");
  builder.output("p");
  EXPECT_TRUE(import(builder));
  ImportOptions options;
  options.fill_bytes_max = 16 << 10;  // several times what the file has of the function
  ASSERT_LT(function.ByteSizeLong(), 8u << 10);
  const Result<Model> model = import(builder, options);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("more bytes"), std::string::npos);
}

TEST(OnnxFunctions, OfManyAttributesAreCalledInAMoment) {
  OnnxBuilder builder = calling("Neg");
  OnnxNodeBuilder call = builder.node("F", {"x"}, {"p"});
  call.proto().set_domain("mine");
  for (int i = 0; i < 60'000; ++i) {
    const std::string name = "attribute" + std::to_string(i);
    builder.proto().mutable_functions(0)->add_attribute(name);
    call.set(name, i);
  }
  builder.output("p");
  const std::clock_t start = std::clock();
  EXPECT_TRUE(import(builder));
  // Some 0.2 s; each name compared with each takes more than ten.
  EXPECT_LT(std::clock() - start, 4 * CLOCKS_PER_SEC);
}

// --- Values that decide shapes
// ---------------------------------------------------------------------

TEST(OnnxNonZero, FindsPlacesOfAConstant) {
  OnnxBuilder builder;
  builder.constant("x", tensor(DType::f32, {2, 3}, {0, 2, 0, -1, 0, std::nan("")}));
  builder.node("NonZero", {"x"}, {"y"});
  builder.output("y");
  EXPECT_EQ(run(builder, {}), (std::vector<double>{0, 1, 1, 1, 0, 2}));
}

TEST(OnnxNonZero, OfValuesThatOnlyTheDeviceKnowsIsRefused) {
  OnnxBuilder builder;
  builder.input("x", {2, 3});
  builder.node("NonZero", {"x"}, {"y"});
  builder.output("y");
  expect_refused(builder, "must be constant");
}

TEST(OnnxUnique, WhatIsNoNumberComesLast) {
  const double nan = std::nan("");
  OnnxBuilder builder;
  builder.constant("x", floats({3, nan, 1, nan, 2, 1}));
  builder.node("Unique", {"x"}, {"y", "", "", "counts"});
  builder.output("y");
  builder.output("counts");
  const std::vector<double> values = run(builder, {});
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(std::vector<double>(values.begin(), values.begin() + 3),
            (std::vector<double>{1, 2, 3}));
  EXPECT_TRUE(std::isnan(values[3]));
}

// --- Sequences -----------------------------------------------------------------------------------

TEST(OnnxSequences, AreResolvedAtImport) {
  OnnxBuilder builder;
  builder.input("a", {1});
  builder.input("b", {1});
  builder.constant("second", tensor(DType::i64, {}, {1}));
  builder.constant("last", tensor(DType::i64, {}, {-1}));
  builder.node("SequenceConstruct", {"a", "b"}, {"ab"});
  builder.node("SequenceInsert", {"ab", "a", "second"}, {"aab"});
  builder.node("SequenceErase", {"aab", "last"}, {"aa"});
  builder.node("SequenceInsert", {"aa", "b"}, {"aab2"});
  builder.node("ConcatFromSequence", {"aab2"}, {"y"}).set("axis", 0);
  builder.node("SequenceLength", {"aab2"}, {"n"});
  builder.output("y");
  builder.output("n");
  EXPECT_EQ(run(builder, {floats({1}), floats({2})}), (std::vector<double>{1, 1, 2}));
  EXPECT_EQ(import(builder)->graph.tensors[import(builder)->outputs[1].tensor].constant->integer(0),
            3);
}

TEST(OnnxSequences, RefuseWhatTheyCannotBe) {
  OnnxBuilder builder;
  builder.input("a", {1});
  builder.constant("third", tensor(DType::i64, {}, {2}));
  builder.node("SequenceConstruct", {"a", "a"}, {"aa"});
  builder.output("y");
  OnnxBuilder far = builder;
  far.node("SequenceAt", {"aa", "third"}, {"y"});
  expect_refused(far, "Position (2)");
  OnnxBuilder adding = builder;
  adding.node("Add", {"aa", "a"}, {"y"});
  expect_refused(adding, "is given a sequence");
  OnnxBuilder given = builder;
  given.node("Identity", {"a"}, {"unused"});
  given.node("SequenceEmpty", {}, {"y"});
  expect_refused(given, "is a sequence");
}

TEST(OnnxSequences, GrowInLoops) {
  OnnxBuilder body;
  body.input("turn", {}, kInt64);
  body.input("going", {}, kBool);
  body.input("list", {});
  body.node("SequenceInsert", {"list", "a"}, {"longer"});
  body.output("going");
  body.output("longer");
  OnnxBuilder builder;
  builder.input("a", {1});
  builder.constant("three", tensor(DType::i64, {}, {3}));
  builder.node("SequenceEmpty", {}, {"empty"});
  builder.node("Loop", {"three", "", "empty"}, {"list"}).set("body", body.proto().graph());
  builder.node("ConcatFromSequence", {"list"}, {"y"}).set("axis", 0).set("new_axis", 1);
  builder.output("y");
  EXPECT_EQ(run(builder, {floats({7})}), (std::vector<double>{7, 7, 7}));
  // Each longer one is another list.
  builder.proto().mutable_graph()->mutable_initializer(0)->set_name("few");
  builder.constant("three", tensor(DType::i64, {}, {8000}));
  expect_refused(builder, "have more tensors");
}

TEST(OnnxSequences, PartsAreCountedBeforeTheyAreMade) {
  for (const bool is_given : {false, true}) {
    OnnxBuilder builder;
    builder.input("x", {int64_t{1} << 30});
    builder.constant("one", tensor(DType::i64, {}, {1}));
    std::vector<std::string> inputs = {"x"};
    if (is_given) inputs.push_back("one");
    builder.node("SplitToSequence", inputs, {"parts"});
    builder.node("SequenceLength", {"parts"}, {"n"});
    builder.output("n");
    expect_refused(builder, "more nodes than the");
  }
}

TEST(OnnxSequences, OfManyTensorsAreJoinedOnlyAFewTimes) {
  OnnxBuilder builder;
  builder.input("x", {1000});
  builder.node("SplitToSequence", {"x"}, {"parts"});
  for (int i = 0; i < 30; ++i) {
    const std::string y = "y" + std::to_string(i);
    builder.node("ConcatFromSequence", {"parts"}, {y}).set("axis", 0);
    builder.output(y);
  }
  expect_refused(builder, "more nodes than the");
}

}  // namespace
}  // namespace leat
