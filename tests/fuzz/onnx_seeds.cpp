// See onnx_seeds.h.
#include "tests/fuzz/onnx_seeds.h"

namespace leat {
namespace {

using Ints = std::vector<int64_t>;

OnnxBuilder network() {
  OnnxBuilder b(13);
  b.input("x", {1, 4, 8, 8});
  b.weights("w", {8, 2, 3, 3});
  for (const char* name : {"scale", "bias", "mean"}) b.weights(name, {8});
  b.constant("variance", HostTensor::zeros(DType::f32, {8}));
  b.weights("fc", {8, 5});
  b.node("Conv", {"x", "w"}, {"c"})
      .set("group", 2)
      .set("strides", Ints{1, 1})
      .set("dilations", Ints{1, 1})
      .set("pads", Ints{1, 1, 1, 1});
  b.node("BatchNormalization", {"c", "scale", "bias", "mean", "variance"}, {"n"})
      .set("epsilon", 1e-3f);
  b.node("LeakyRelu", {"n"}, {"r"}).set("alpha", 0.1f);
  b.node("MaxPool", {"r"}, {"p"})
      .set("kernel_shape", Ints{2, 2})
      .set("strides", Ints{2, 2})
      .set("auto_pad", "SAME_UPPER");
  b.node("GlobalAveragePool", {"p"}, {"g"});
  b.node("Flatten", {"g"}, {"f"}).set("axis", 1);
  b.node("Gemm", {"f", "fc"}, {"l"}).set("alpha", 0.5f).set("transB", 0);
  b.node("Softmax", {"l"}, {"y"}).set("axis", -1);
  b.output("y");
  return b;
}

OnnxBuilder shapes() {
  OnnxBuilder b(18);
  b.input("x", {2, 3, 4});
  b.constant("starts", Ints{1, -3});
  b.constant("ends", Ints{INT64_MAX, 4});
  b.constant("axes", Ints{1, 2});
  b.constant("pads", Ints{0, 1, 0, 1});
  b.constant("target", Ints{2, -1});
  b.constant("repeats", Ints{1, 2});
  b.constant("wide", Ints{3, 2, 1});
  b.constant("sizes", Ints{2, 3});
  b.node("Slice", {"x", "starts", "ends", "axes"}, {"s"});
  b.node("Pad", {"s", "pads", "", "axes"}, {"p"}).set("mode", "edge");
  b.node("Reshape", {"p", "target"}, {"r"}).set("allowzero", 0);
  b.node("Tile", {"r", "repeats"}, {"t"});
  b.node("Expand", {"t", "wide"}, {"e"});
  b.node("Transpose", {"e"}, {"tr"}).set("perm", Ints{2, 0, 1});
  b.node("Split", {"tr"}, {"a", "b"}).set("num_outputs", 2);
  b.node("Concat", {"b", "a"}, {"c"}).set("axis", 0);
  b.node("Resize", {"x", "", "", "sizes"}, {"z"}).set("axes", Ints{1, 2}).set("mode", "linear");
  b.output("c");
  b.output("z");
  return b;
}

OnnxBuilder reductions() {
  OnnxBuilder b(18);
  b.input("x", {3, 4});
  b.input("i", {2, 2}, onnx::TensorProto::INT64);
  b.constant("axes", Ints{-1});
  b.constant("depth", Ints{5});
  b.constant("axis", HostTensor::zeros(DType::i64, {}));
  b.weights("values", {2});
  b.node("ReduceMean", {"x", "axes"}, {"m"}).set("keepdims", 1);
  b.node("ArgMax", {"x"}, {"am"}).set("axis", 1);
  b.node("CumSum", {"x", "axis"}, {"cs"}).set("reverse", 1);
  b.node("Gather", {"x", "i"}, {"ga"}).set("axis", 0);
  b.node("OneHot", {"am", "depth", "values"}, {"oh"}).set("axis", -1);
  b.node("Cast", {"am"}, {"ca"}).set("to", 1);
  b.node("Shape", {"x"}, {"sh"}).set("start", 0);
  b.node("ConstantOfShape", {"sh"}, {"k"}).set("value", HostTensor::zeros(DType::f32, {1}));
  b.node("Where", {"wh", "k", "x"}, {"y"});
  b.node("Less", {"x", "m"}, {"wh"});
  for (const char* name : {"y", "cs", "ga", "oh", "ca"}) b.output(name);
  return b;
}

OnnxBuilder upscaler() {
  OnnxBuilder b(9);
  b.input("x", {1, 4, 3, 3}, onnx::TensorProto::FLOAT16);
  b.weights("w", {4, 2, 2, 2}, DType::f16);
  b.weights("g", {4}, DType::f16);
  b.node("ImageScaler", {"x"}, {"a"}).set("scale", 2.0f).set("bias", std::vector<float>(4, 1.0f));
  b.node("InstanceNormalization", {"a", "g", "g"}, {"n"}).set("epsilon", 1e-5f);
  b.node("ConvTranspose", {"n", "w"}, {"t"})
      .set("strides", Ints{2, 2})
      .set("group", 2)
      .set("output_padding", Ints{1, 1});
  b.node("Crop", {"t"}, {"c"}).set("border", Ints{1, 1, 0, 0});
  b.node("DepthToSpace", {"c"}, {"d"}).set("blocksize", 2);
  b.node("LRN", {"d"}, {"l"}).set("size", 3).set("beta", 0.5f);
  b.node("AveragePool", {"l"}, {"p"}).set("kernel_shape", Ints{3, 3}).set("pads", Ints{1, 1, 1, 1});
  b.node("Affine", {"p"}, {"y"}).set("alpha", 0.5f).set("beta", 1.0f);
  b.output("y");
  return b;
}

onnx::GraphProto loop_body() {
  OnnxBuilder b;
  b.input("turn", {}, onnx::TensorProto::INT64);
  b.input("going", {}, onnx::TensorProto::BOOL);
  b.input("sum", {3});
  b.node("Add", {"sum", "x"}, {"next"});
  b.node("Identity", {"next"}, {"row"});
  for (const char* name : {"going", "next", "row"}) b.output(name);
  return b.proto().graph();
}

onnx::GraphProto branch(const std::string& op) {
  OnnxBuilder b;
  b.node(op, {"last"}, {"chosen"});
  b.output("chosen");
  return b.proto().graph();
}

void add_function(OnnxBuilder& b) {
  b.proto().add_opset_import()->set_domain("mine");
  b.proto().mutable_opset_import(1)->set_version(1);
  onnx::FunctionProto& function = *b.proto().add_functions();
  function.set_domain("mine");
  function.set_name("F");
  function.add_input("a");
  function.add_output("b");
  function.add_attribute("slope");
  function.add_opset_import()->set_version(17);
  onnx::NodeProto& node = *function.add_node();
  node.set_op_type("LeakyRelu");
  node.add_input("a");
  node.add_output("b");
  OnnxNodeBuilder(node).refer("alpha", "slope", onnx::AttributeProto::FLOAT);
}

/// Graphs within the graph, a function, a sequence.
OnnxBuilder nested() {
  OnnxBuilder b(17);
  b.input("x", {3});
  b.input("c", {}, onnx::TensorProto::BOOL);
  b.weights("zero", {3});
  HostTensor turns = HostTensor::zeros(DType::i64, {});
  turns.set_integer(0, 3);
  b.constant("turns", turns);
  add_function(b);
  b.node("Loop", {"turns", "", "zero"}, {"last", "rows"}).set("body", loop_body());
  b.node("If", {"c"}, {"one"}).set("then_branch", branch("Neg")).set("else_branch", branch("Exp"));
  b.node("F", {"one"}, {"f"}).set("slope", 0.5f).proto().set_domain("mine");
  b.node("SplitToSequence", {"rows"}, {"parts"}).set("axis", 0);
  b.node("SequenceInsert", {"parts", "f"}, {"all"});
  b.node("SequenceAt", {"all", "turns"}, {"y"});
  b.output("y");
  return b;
}

onnx::GraphProto places_body() {
  OnnxBuilder b;
  b.input("turn", {}, onnx::TensorProto::INT64);
  b.input("going", {}, onnx::TensorProto::BOOL);
  b.input("v", {3});
  b.node("Abs", {"v"}, {"positive"});
  b.node("NonZero", {"positive"}, {"found"});
  b.node("ReduceSum", {"found"}, {"sum"}).set("keepdims", 0);
  b.node("Mul", {"v", "x"}, {"next"});
  for (const char* name : {"going", "next", "sum"}) b.output(name);
  return b.proto().graph();
}

/// Sizes that follow from values: of nodes, of turns of a Loop, of a branch.
OnnxBuilder sized() {
  OnnxBuilder b(17);
  b.input("x", {3});
  b.input("c", {}, onnx::TensorProto::BOOL);
  HostTensor turns = HostTensor::zeros(DType::i64, {});
  turns.set_integer(0, 2);
  b.constant("turns", turns);
  b.node("Loop", {"turns", "", "x"}, {"last", "sums"}).set("body", places_body());
  b.node("If", {"c"}, {"one"})
      .set("then_branch", branch("Neg"))
      .set("else_branch", branch("NonZero"));
  b.node("Unique", {"last"}, {"values", "", "inverse", ""}).set("axis", 0);
  b.node("Gather", {"values", "inverse"}, {"y"});
  for (const char* name : {"one", "sums", "y"}) b.output(name);
  return b;
}

}  // namespace

std::vector<OnnxBuilder> fuzz_seeds() {
  return {network(), shapes(), reductions(), upscaler(), nested(), sized()};
}

}  // namespace leat
