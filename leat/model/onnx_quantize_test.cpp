// Operators of quantised numbers as files state them: which input is which, and what is refused.
#include <gtest/gtest.h>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

HostTensor tensor_of(const Shape& shape, const std::vector<double>& values, DType dtype) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) tensor.set_number(static_cast<int64_t>(i), values[i]);
  return tensor;
}

/// A model of one node whose input 0 is fed: four u8.
class Microsoft {
 public:
  explicit Microsoft(const Shape& shape = {4}) : builder(19), shape_(shape) {
    auto* domain = builder.proto().add_opset_import();
    domain->set_domain("com.microsoft");
    domain->set_version(1);
    builder.input("x", shape, onnx::TensorProto::UINT8);
    builder.output("y");
    builder.constant("half", tensor_of({}, {0.5}, DType::f32));
    builder.constant("one", tensor_of({}, {1}, DType::f32));
    builder.constant("z2", tensor_of({}, {2}, DType::u8));
    builder.constant("z10", tensor_of({}, {10}, DType::u8));
  }
  OnnxNodeBuilder node(const std::string& op, const std::vector<std::string>& inputs) {
    OnnxNodeBuilder made = builder.node(op, inputs, {"y"});
    made.proto().set_domain("com.microsoft");
    return made;
  }
  Result<std::vector<double>> run(const std::vector<double>& x = {0, 2, 6, 254}) {
    TRY_ASSIGN(const Model model, import_onnx_bytes(builder.bytes(), "built.onnx"));
    const HostTensor fed = tensor_of(shape_, x, DType::u8);
    TRY_ASSIGN(const std::vector<HostTensor> outputs, evaluate(model.graph, {&fed, 1}));
    std::vector<double> values;
    for (int64_t i = 0; i < element_count(outputs[0].shape); ++i) {
      values.push_back(outputs[0].number(i));
    }
    return values;
  }

  OnnxBuilder builder;

 private:
  Shape shape_;
};

void expect(const Result<std::vector<double>>& actual, const std::vector<double>& values) {
  ASSERT_TRUE(actual) << actual.error().message();
  EXPECT_EQ(*actual, values);
}

void expect_refused(const Result<std::vector<double>>& actual, const std::string& part) {
  ASSERT_FALSE(actual);
  EXPECT_NE(actual.error().message().find(part), std::string::npos) << actual.error().message();
}

TEST(MicrosoftQuantised, ElementByElement) {
  // x stands for -1, 0, 2, 126.
  Microsoft add;
  add.node("QLinearAdd", {"x", "half", "z2", "x", "half", "z2", "one", "z10"});
  expect(add.run(), {8, 10, 14, 255});
  Microsoft mul;
  mul.node("QLinearMul", {"x", "half", "z2", "x", "half", "", "one", "z10"});
  expect(mul.run(), {10, 10, 16, 255});
  Microsoft leaky;
  leaky.node("QLinearLeakyRelu", {"x", "half", "z2", "half", "z10"}).set("alpha", 2.0f);
  expect(leaky.run(), {6, 10, 14, 255});
  Microsoft sigmoid;
  sigmoid.builder.constant("fine", tensor_of({}, {1.0 / 256}, DType::f32));
  sigmoid.node("QLinearSigmoid", {"x", "half", "z2", "fine", ""});
  expect(sigmoid.run(), {69, 128, 225, 255});
  Microsoft concat;
  concat.node("QLinearConcat", {"one", "z10", "x", "half", "z2", "x", "one", "z2"}).set("axis", 0);
  expect(concat.run(), {9, 10, 12, 136, 8, 10, 14, 255});
  Microsoft pool({1, 2, 2, 1});
  pool.node("QLinearGlobalAveragePool", {"x", "half", "z2", "half", "z10"}).set("channels_last", 1);
  expect(pool.run({2, 4, 6, 8}), {13});
  Microsoft softmax;
  softmax.builder.constant("fine", tensor_of({}, {1.0 / 256}, DType::f32));
  softmax.node("QLinearSoftmax", {"x", "half", "z2", "fine", ""}).set("opset", 13);
  expect(softmax.run({2, 2, 2, 2}), {64, 64, 64, 64});
}

TEST(MicrosoftQuantised, Products) {
  Microsoft gemm({2, 2});
  gemm.builder.constant("b", tensor_of({2, 2}, {1, 2, -3, 4}, DType::i8));
  gemm.builder.constant("zero", tensor_of({}, {0}, DType::i8));
  gemm.builder.constant("c", tensor_of({2}, {5, -5}, DType::i32));
  gemm.node("QGemm", {"x", "half", "z2", "b", "one", "zero", "c", "half", "z10"}).set("transB", 1);
  expect(gemm.run({2, 3, 4, 5}), {17, 9, 23, 11});
  Microsoft floats({2, 2});
  floats.builder.constant("b", tensor_of({2, 2}, {1, 2, -3, 4}, DType::i8));
  floats.builder.constant("bias", tensor_of({2}, {0.25, 8}, DType::f32));
  floats.node("MatMulIntegerToFloat", {"x", "b", "half", "one", "z2", "", "bias"});
  expect(floats.run({2, 3, 4, 5}), {-1.25, 10, -3.25, 16});
}

TEST(MicrosoftQuantised, Refusals) {
  Microsoft concat;
  concat.node("QLinearConcat", {"one", "z10", "x", "half", "z2", "x"}).set("axis", 0);
  expect_refused(concat.run(), "has 6 inputs");
  Microsoft add;
  add.node("QLinearAdd", {"x", "half", "z2", "x", "", "z2", "one", "z10"});
  expect_refused(add.run(), "Input 3 or its scale, 4, is left out");
  Microsoft softmax;
  softmax.node("QLinearSoftmax", {"x", "half", "z2", "half", ""});
  expect_refused(softmax.run(), "\"opset\"");
  Microsoft gemm;
  gemm.node("QGemm", {"x", "half", "z2", "x", "half", "z2"});
  expect_refused(gemm.run(), "not matrices");
  Microsoft unknown;
  unknown.node("QLinearAdd", {"x", "half", "z2", "x", "half", "z2", "one", "z10"}).set("what", 1);
  expect_refused(unknown.run(), "\"what\"");
  Microsoft blocked;
  blocked.node("MatMulNBits", {"x", "x", "one", "", "x"})
      .set("K", 1)
      .set("N", 1)
      .set("block_size", 16);
  expect_refused(blocked.run(), "g_idx");
}

}  // namespace
}  // namespace leat
