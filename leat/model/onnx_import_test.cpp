// The frame of an import: inputs, order of nodes, and every kind of bad file with its sentence.
#include "leat/model/onnx_import.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "leat/model/onnx_builder.h"

namespace leat {
namespace {

Result<Model> import(const OnnxBuilder& builder, const ImportOptions& options = {},
                     ImportFailure* failure = nullptr) {
  return import_onnx_bytes(builder.bytes(), "built.onnx", options, failure);
}

/// The import fails with that kind, and its one sentence has all of the parts.
void expect_error(const Result<Model>& model, ErrorKind kind,
                  const std::vector<std::string>& parts) {
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().kind(), kind) << model.error().message();
  for (const std::string& part : parts) {
    EXPECT_NE(model.error().message().find(part), std::string::npos)
        << "\"" << part << "\" is not in: " << model.error().message();
  }
  EXPECT_EQ(model.error().message().find('\n'), std::string::npos);
}

OnnxBuilder relu_model() {
  OnnxBuilder builder;
  builder.input("x", {2, 3});
  builder.node("Relu", {"x"}, {"y"});
  builder.output("y");
  return builder;
}

TEST(OnnxImport, NamesInputsOutputsAndMetadata) {
  OnnxBuilder builder = relu_model();
  auto* entry = builder.proto().add_metadata_props();
  entry->set_key("Image.BitmapPixelFormat");
  entry->set_value("Bgr8");
  const Result<Model> model = import(builder);
  ASSERT_TRUE(model.has_value()) << model.error().message();
  ASSERT_EQ(model->inputs.size(), 1u);
  EXPECT_EQ(model->inputs[0].name, "x");
  EXPECT_EQ(model->inputs[0].shape, (Shape{2, 3}));
  ASSERT_EQ(model->outputs.size(), 1u);
  EXPECT_EQ(model->outputs[0].name, "y");
  EXPECT_EQ(model->outputs[0].tensor, model->graph.outputs[0]);
  EXPECT_EQ(model->metadata.at("Image.BitmapPixelFormat"), "Bgr8");
  EXPECT_EQ(model->opsets.at(""), 13);
}

TEST(OnnxImport, TheSignalOfAnStftMayLackItsLastDimension) {
  const auto spectrum_of = [](const Shape& shape) {
    OnnxBuilder builder(17);
    builder.input("x", shape);
    HostTensor step = HostTensor::zeros(DType::i64, {});
    step.set_integer(0, 4);
    builder.constant("step", step);
    builder.weights("window", {8});
    builder.node("STFT", {"x", "step", "window"}, {"y"});
    builder.output("y");
    const Result<Model> model = import(builder);
    EXPECT_TRUE(model) << (model ? "" : model.error().message());
    HostTensor x = HostTensor::zeros(DType::f32, shape);
    for (int64_t i = 0; i < 20; ++i) x.set_number(i, static_cast<double>(i % 5) - 1);
    return evaluate(model->graph, std::vector<HostTensor>{x}).value()[0];
  };
  const HostTensor flat = spectrum_of({1, 20});
  EXPECT_EQ(flat.shape, Shape({1, 4, 5, 2}));
  EXPECT_EQ(flat.bytes, spectrum_of({1, 20, 1}).bytes);
}

TEST(OnnxImport, ADefaultOfAnInputHoldsUntilOneIsGiven) {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.input("w", {2});
  builder.weights("w", {2});
  builder.node("Add", {"x", "w"}, {"y"});
  builder.output("y");
  ASSERT_EQ(import(builder)->inputs.size(), 1u);
  const Result<Model> given = import(builder, {.input_shapes = {{"w", {2}}}});
  ASSERT_TRUE(given) << given.error().message();
  ASSERT_EQ(given->inputs.size(), 2u);
  EXPECT_EQ(given->inputs[1].name, "w");
  EXPECT_FALSE(given->graph.tensors[given->inputs[1].tensor].constant);
}

TEST(OnnxImport, MinusOneIsUnknown) {
  OnnxBuilder builder = relu_model();
  auto* type = builder.proto().mutable_graph()->mutable_input(0)->mutable_type();
  type->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_value(-1);
  EXPECT_EQ(import(builder)->inputs[0].shape, (Shape{1, 3}));
  EXPECT_EQ(import(builder, {.input_shapes = {{"x", {4, 3}}}})->inputs[0].shape, (Shape{4, 3}));
}

TEST(OnnxImport, UnknownDimensionsAreOneOrAsGiven) {
  OnnxBuilder builder;
  builder.input("x", {-1, 3});
  builder.node("Relu", {"x"}, {"y"});
  builder.output("y");
  EXPECT_EQ(import(builder)->inputs[0].shape, (Shape{1, 3}));
  EXPECT_EQ(import(builder, {.input_shapes = {{"x", {5, 3}}}})->outputs[0].shape, (Shape{5, 3}));
  expect_error(import(builder, {.input_shapes = {{"x", {5, 4}}}}), ErrorKind::invalid_argument,
               {"\"x\"", "(5, 4)", "(1, 3)"});
  expect_error(import(builder, {.input_shapes = {{"z", {5}}}}), ErrorKind::invalid_argument,
               {"no input \"z\""});
}

TEST(OnnxImport, InitializersThatAreInputsAreConstants) {
  OnnxBuilder builder = relu_model();
  builder.input("w", {3});
  builder.weights("w", {3});
  builder.node("Add", {"y", "w"}, {"z"});
  builder.output("z");
  const Result<Model> model = import(builder);
  ASSERT_TRUE(model.has_value()) << model.error().message();
  EXPECT_EQ(model->inputs.size(), 1u);
}

TEST(OnnxImport, SortsNodes) {
  OnnxBuilder builder;
  builder.input("x", {4});
  builder.node("Relu", {"b"}, {"c"});
  builder.node("Neg", {"a"}, {"b"});
  builder.node("Abs", {"x"}, {"a"});
  builder.output("c");
  const Result<Model> model = import(builder);
  ASSERT_TRUE(model.has_value()) << model.error().message();
  ASSERT_EQ(model->graph.nodes.size(), 3u);
  EXPECT_EQ(model->graph.nodes[0].name, "a_node");
  EXPECT_EQ(model->graph.nodes[2].name, "c_node");
}

TEST(OnnxImport, OutputsAreTensorsOfTheirOwn) {
  OnnxBuilder builder = relu_model();
  builder.output("x");
  builder.output("y");
  const Result<Model> model = import(builder);
  ASSERT_TRUE(model.has_value()) << model.error().message();
  ASSERT_EQ(model->graph.outputs.size(), 3u);
  EXPECT_NE(model->graph.outputs[1], model->graph.inputs[0]);
  EXPECT_NE(model->graph.outputs[2], model->graph.outputs[0]);
}

TEST(OnnxImport, DropsNodesThatNobodyReads) {
  OnnxBuilder builder = relu_model();
  builder.node("Exp", {"x"}, {"unused"});
  EXPECT_EQ(import(builder)->graph.nodes.size(), 1u);
}

// In time that grows with their number.
TEST(OnnxImport, ManyNodesOfOneNameAndManyOutputsOfOneValue) {
  constexpr int kNodes = 20'000;
  OnnxBuilder builder;
  builder.input("x", {1});
  std::string value = "x";
  for (int i = 0; i < kNodes; ++i) {
    const std::string next = "v" + std::to_string(i);
    builder.node("Relu", {value}, {next}).proto().set_name("same");
    builder.output("v0");
    value = next;
  }
  builder.output(value);
  const Result<Model> model = import(builder);
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->outputs.size(), size_t{kNodes + 1});
  const auto is_last = [](const Node& node) { return node.name == "same_20000"; };
  EXPECT_EQ(std::ranges::count_if(model->graph.nodes, is_last), 1);
}

TEST(OnnxImport, MakesNodeNamesUnique) {
  OnnxBuilder builder = relu_model();
  builder.node("Abs", {"y"}, {"z"}).proto().set_name("y_node");
  builder.output("z");
  const Result<Model> model = import(builder);
  ASSERT_EQ(model->graph.nodes.size(), 2u);
  EXPECT_EQ(model->graph.nodes[1].name, "y_node_2");
}

TEST(OnnxImport, InputsThatDecideShapesTakeTheirValueFromTheOptions) {
  OnnxBuilder builder;
  builder.input("x", {2, 6});
  builder.input("shape", {2}, onnx::TensorProto::INT64);
  builder.node("Neg", {"shape"}, {"minus"});
  builder.node("Neg", {"minus"}, {"plus"});
  builder.node("Reshape", {"x", "plus"}, {"y"});
  builder.output("y");
  ImportFailure failure;
  expect_error(import(builder, {}, &failure), ErrorKind::unsupported,
               {"Input 1 (shape) of Reshape", "y_node"});
  EXPECT_EQ(failure.op, "Reshape");
  EXPECT_EQ(failure.inputs_needed, std::vector<std::string>{"shape"});

  HostTensor shape = HostTensor::zeros(DType::i64, {2});
  shape.set_integer(0, 4);
  shape.set_integer(1, 3);
  ImportOptions options;
  options.input_values["shape"] = shape;
  options.input_values["x"] = HostTensor::zeros(DType::f32, {2, 6});
  const Result<Model> model = import(builder, options);
  ASSERT_TRUE(model.has_value()) << model.error().message();
  EXPECT_EQ(model->outputs[0].shape, (Shape{4, 3}));
  ASSERT_EQ(model->inputs.size(), 1u) << "x decides no shape and stays an input";
}

TEST(OnnxImport, SeveralInputsMayDecideOneShape) {
  OnnxBuilder builder;
  builder.input("x", {2, 6});
  builder.input("rows", {1}, onnx::TensorProto::INT64);
  builder.input("columns", {1}, onnx::TensorProto::INT64);
  builder.node("Concat", {"rows", "columns"}, {"shape"}).set("axis", 0);
  builder.node("Abs", {"x"}, {"positive"});
  builder.node("Reshape", {"positive", "shape"}, {"y"});
  builder.output("y");
  ImportOptions options;
  for (const char* name : {"rows", "columns"}) {
    HostTensor extent = HostTensor::zeros(DType::i64, {1});
    extent.set_integer(0, name[0] == 'r' ? 3 : 4);
    options.input_values[name] = extent;
  }
  const Result<Model> model = import(builder, options);
  ASSERT_TRUE(model.has_value()) << model.error().message();
  EXPECT_EQ(model->outputs[0].shape, (Shape{3, 4}));
  ASSERT_EQ(model->inputs.size(), 1u);
  EXPECT_EQ(model->graph.inputs, std::vector<TensorId>{model->inputs[0].tensor});
  HostTensor x = HostTensor::zeros(DType::f32, {2, 6});
  for (int64_t i = 0; i < 12; ++i) x.set_number(i, static_cast<double>(-i));
  const auto y = evaluate(model->graph, std::vector<HostTensor>{x});
  ASSERT_TRUE(y.has_value()) << y.error().message();
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ((*y)[0].number(i), static_cast<double>(i));
}

TEST(OnnxModel, IsReadOnceAndMadeForManyShapes) {
  OnnxBuilder builder;
  builder.input("x", {-1, 3});
  builder.node("Relu", {"x"}, {"y"});
  builder.output("y");
  const Result<OnnxModel> file = OnnxModel::parse(builder.bytes(), "relu.onnx");
  ASSERT_TRUE(file.has_value()) << file.error().message();
  ASSERT_EQ(file->inputs().size(), 1u);
  const DeclaredInput& input = file->inputs()[0];
  EXPECT_EQ(input.name, "x");
  EXPECT_EQ(input.shape(), (Shape{1, 3}));
  ASSERT_EQ(input.extents.size(), 2u);
  EXPECT_TRUE(input.extents[0].is_open);
  EXPECT_EQ(input.extents[0].symbol, "unknown");
  EXPECT_FALSE(input.extents[1].is_open);
  for (const int64_t rows : {1, 5, 2}) {
    const Result<Model> model = file->specialised({.input_shapes = {{"x", {rows, 3}}}});
    ASSERT_TRUE(model.has_value()) << model.error().message();
    EXPECT_EQ(model->outputs[0].shape, (Shape{rows, 3}));
  }
  expect_error(file->specialised({.input_shapes = {{"x", {2, 4}}}}), ErrorKind::invalid_argument,
               {"(2, 4)", "(1, 3)"});
}

TEST(OnnxModel, SaysWhatTheFileDeclares) {
  OnnxBuilder builder;
  builder.input("x", {-1, 3, -1});
  builder.input("y", {2, 2});
  builder.node("Relu", {"x"}, {"z"});
  builder.output("z");
  const Result<OnnxModel> file = OnnxModel::parse(builder.bytes(), "relu.onnx");
  ASSERT_TRUE(file.has_value()) << file.error().message();
  const Result<Model> open = file->declared({});
  ASSERT_TRUE(open.has_value()) << open.error().message();
  ASSERT_EQ(open->inputs.size(), 2u);
  EXPECT_EQ(open->inputs[0].shape, (Shape{-1, 3, -1}));
  EXPECT_EQ(open->inputs[1].shape, (Shape{2, 2}));
  ASSERT_EQ(open->outputs.size(), 1u);
  EXPECT_EQ(open->outputs[0].shape, Shape{-1}) << "The file says nothing of it.";
  EXPECT_TRUE(open->graph.nodes.empty());
  const Result<Model> known = file->declared({{"x", {1, 3, 8}}});
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->inputs[0].shape, (Shape{1, 3, 8}));
}

TEST(OnnxModel, DeclaresNothingThatCannotBe) {
  const auto declared = [](const Shape& x) -> Result<Model> {
    OnnxBuilder builder;
    builder.input("x", x);
    builder.node("Relu", {"x"}, {"y"});
    builder.output("y");
    TRY_ASSIGN(const OnnxModel file, OnnxModel::parse(builder.bytes(), "relu.onnx"));
    return file.declared({});
  };
  expect_error(declared(Shape(9, -1)), ErrorKind::invalid_argument, {"\"x\"", "(9)"});
  expect_error(declared({int64_t{1} << 62, 8, -1}), ErrorKind::invalid_argument, {"\"x\""});
}

// --- Bad files -----------------------------------------------------------------------------------

TEST(OnnxImportErrors, MissingFile) {
  expect_error(import_onnx("/no/such/model.onnx"), ErrorKind::io, {"/no/such/model.onnx"});
}

TEST(OnnxImportErrors, WrongMagic) {
  expect_error(import_onnx_bytes("\x89PNG\r\n\x1a\n and more", "picture.onnx"),
               ErrorKind::invalid_argument, {"\"picture.onnx\"", "not an ONNX model"});
  expect_error(import_onnx_bytes("", "empty.onnx"), ErrorKind::invalid_argument,
               {"\"empty.onnx\" (0 bytes)"});
}

TEST(OnnxImportErrors, TruncatedFileAtEveryByte) {
  OnnxBuilder builder = relu_model();
  builder.weights("w", {4});
  const std::string bytes = builder.bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Result<Model> model = import_onnx_bytes(bytes.substr(0, size), "cut.onnx");
    EXPECT_FALSE(model.has_value()) << size;
  }
}

TEST(OnnxImportErrors, CyclicGraph) {
  OnnxBuilder builder;
  builder.input("x", {4});
  builder.node("Add", {"x", "b"}, {"a"});
  builder.node("Relu", {"a"}, {"b"});
  builder.output("b");
  expect_error(import(builder), ErrorKind::invalid_argument,
               {"built.onnx", "\"a_node\" (Add)", "cycle"});
}

TEST(OnnxImportErrors, HugeAndNegativeDimensions) {
  OnnxBuilder builder;
  builder.input("x", {int64_t{1} << 40, int64_t{1} << 40});
  builder.node("Relu", {"x"}, {"y"});
  builder.output("y");
  expect_error(import(builder), ErrorKind::invalid_argument, {"1099511627776", "\"x\""});

  OnnxBuilder negative = relu_model();
  auto* shape = negative.proto().mutable_graph()->mutable_input(0)->mutable_type();
  shape->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_value(-2);
  expect_error(import(negative), ErrorKind::invalid_argument, {"-2", "\"x\""});
}

TEST(OnnxImportErrors, TensorDataThatDoesNotFitItsShape) {
  OnnxBuilder builder = relu_model();
  builder.weights("w", {4});
  auto* tensor = builder.proto().mutable_graph()->mutable_initializer(0);
  tensor->set_dims(0, 1 << 30);
  expect_error(import(builder), ErrorKind::invalid_argument, {"\"w\"", "16 bytes", "4294967296"});
  tensor->set_dims(0, -4);
  expect_error(import(builder), ErrorKind::invalid_argument, {"\"w\"", "-4"});
}

TEST(OnnxImportErrors, MoreDimensionsThanTheLimit) {
  OnnxBuilder builder;
  builder.input("x", {1, 1, 1, 1, 1, 1, 1, 1, 1});
  builder.node("Relu", {"x"}, {"y"});
  builder.output("y");
  expect_error(import(builder), ErrorKind::invalid_argument, {"\"x\"", "(9)", "(8)"});
}

TEST(OnnxImportErrors, ValuesThatAreMissingOrDefinedTwice) {
  OnnxBuilder missing = relu_model();
  missing.node("Add", {"y", "nothing"}, {"z"});
  expect_error(import(missing), ErrorKind::invalid_argument, {"\"nothing\"", "z_node"});

  OnnxBuilder twice = relu_model();
  twice.node("Abs", {"x"}, {"y"});
  expect_error(import(twice), ErrorKind::invalid_argument, {"\"y\"", "defined twice"});

  OnnxBuilder output = relu_model();
  output.output("nowhere");
  expect_error(import(output), ErrorKind::invalid_argument, {"Output \"nowhere\""});
}

TEST(OnnxImportErrors, UnknownOperatorNamesNodeOperatorAndVersion) {
  OnnxBuilder builder = relu_model();
  builder.node("Frobnicate", {"y"}, {"z"});
  ImportFailure failure;
  expect_error(import(builder, {}, &failure), ErrorKind::unsupported,
               {"Frobnicate", "\"z_node\"", "opset 13", "built.onnx"});
  EXPECT_EQ(failure.op, "Frobnicate");
  EXPECT_EQ(failure.node, "z_node");
}

TEST(OnnxImportErrors, OperatorsAndOpsetsOutsideTheirVersions) {
  OnnxBuilder builder(9);
  builder.input("x", {4});
  builder.node("Gelu", {"x"}, {"y"});
  builder.output("y");
  expect_error(import(builder), ErrorKind::unsupported, {"Gelu", "version 20", "opset 9"});

  OnnxBuilder future(900);
  future.input("x", {4});
  future.node("Relu", {"x"}, {"y"});
  future.output("y");
  expect_error(import(future), ErrorKind::unsupported, {"900"});

  for (const int64_t version : {-3, 0}) {
    OnnxBuilder negative = relu_model();
    auto* other = negative.proto().add_opset_import();
    other->set_domain("ai.onnx.ml");
    other->set_version(version);
    expect_error(import(negative), ErrorKind::invalid_argument,
                 {"(" + std::to_string(version) + ")", "ai.onnx.ml", "(1)"});
  }

  OnnxBuilder none = relu_model();
  none.proto().clear_opset_import();
  expect_error(import(none), ErrorKind::invalid_argument, {"y_node", "version"});
}

TEST(OnnxImportErrors, WrongNumberOfInputs) {
  OnnxBuilder few;
  few.input("x", {4});
  few.node("Add", {"x"}, {"y"});
  few.output("y");
  expect_error(import(few), ErrorKind::invalid_argument, {"Input 1 of Add is missing", "y_node"});

  OnnxBuilder many;
  many.input("x", {4});
  many.node("Relu", {"x", "x"}, {"y"});
  many.output("y");
  expect_error(import(many), ErrorKind::invalid_argument, {"Relu has 2 inputs (limit 1)"});
}

TEST(OnnxImportErrors, AttributesOfAWrongTypeOrUnknown) {
  OnnxBuilder wrong = relu_model();
  wrong.node("Flatten", {"y"}, {"z"}).set("axis", 1.0f);
  expect_error(import(wrong), ErrorKind::invalid_argument, {"\"axis\"", "FLOAT", "INT", "z_node"});

  OnnxBuilder unknown = relu_model();
  unknown.node("Flatten", {"y"}, {"z"}).set("colour", 1);
  expect_error(import(unknown), ErrorKind::unsupported, {"\"colour\"", "Flatten"});
}

TEST(OnnxImportErrors, TypesThatAreNotComputed) {
  OnnxBuilder rounded = relu_model();
  rounded.node("Cast", {"y"}, {"z"})
      .set("to", static_cast<int>(onnx::TensorProto::FLOAT8E8M0))
      .set("round_mode", "down");
  expect_error(import(rounded), ErrorKind::unsupported, {"round_mode", "\"z_node\""});

  OnnxBuilder text;
  text.input("x", {4}, onnx::TensorProto::STRING);
  text.node("Identity", {"x"}, {"y"});
  text.output("y");
  expect_error(import(text), ErrorKind::unsupported, {"string", "\"x\""});

  OnnxBuilder sequence = relu_model();
  sequence.proto().mutable_graph()->mutable_input(0)->mutable_type()->mutable_sequence_type();
  expect_error(import(sequence), ErrorKind::unsupported, {"\"x\"", "not a tensor"});
}

TEST(OnnxImportErrors, ShapesThatDoNotFit) {
  OnnxBuilder builder;
  builder.input("x", {1, 3, 8, 8});
  builder.weights("w", {4, 5, 3, 3});
  builder.node("Conv", {"x", "w"}, {"y"});
  builder.output("y");
  expect_error(import(builder), ErrorKind::invalid_argument, {"y_node", "Conv", "built.onnx"});
}

TEST(OnnxImport, FillingStaysWithinItsLimit) {
  OnnxBuilder builder;
  builder.constant("shape", std::vector<int64_t>{30000, 30000});
  builder.node("ConstantOfShape", {"shape"}, {"y"});
  builder.output("y");
  const Result<Model> model = import(builder, {.fill_bytes_max = 1 << 20});
  ASSERT_TRUE(model.has_value()) << model.error().message();
  EXPECT_EQ(model->graph.tensors[model->outputs[0].tensor].constant, nullptr);
}

}  // namespace
}  // namespace leat
