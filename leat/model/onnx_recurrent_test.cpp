// How layers along a sequence are read; what they compute is tested beside ops_recurrent.cpp.
#include <gtest/gtest.h>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

/// Two directions of one unit that forgets: its outputs are its activations of x = -1, 3.
OnnxBuilder two_ways(const std::vector<std::string>& activations, const std::vector<float>& alphas,
                     const std::vector<float>& betas) {
  OnnxBuilder builder(22);
  HostTensor x = HostTensor::zeros(DType::f32, {2, 1, 1});
  x.set_number(0, -1);
  x.set_number(1, 3);
  HostTensor w = HostTensor::zeros(DType::f32, {2, 1, 1});
  w.set_number(0, 1);
  w.set_number(1, 1);
  builder.constant("x", x);
  builder.constant("w", w);
  builder.constant("r", HostTensor::zeros(DType::f32, {2, 1, 1}));
  OnnxNodeBuilder node = builder.node("RNN", {"x", "w", "r"}, {"y"});
  node.set("direction", "bidirectional").set("hidden_size", 1);
  if (!alphas.empty()) node.set("activation_alpha", alphas);
  if (!betas.empty()) node.set("activation_beta", betas);
  onnx::AttributeProto* names = node.proto().add_attribute();
  names->set_name("activations");
  names->set_type(onnx::AttributeProto::STRINGS);
  for (const std::string& name : activations) names->add_strings(name);
  builder.output("y");
  return builder;
}

Result<std::vector<double>> run(const OnnxBuilder& builder) {
  TRY_ASSIGN(const Model model, import_onnx_bytes(builder.bytes(), "built.onnx"));
  TRY_ASSIGN(const std::vector<HostTensor> outputs, evaluate(model.graph, {}));
  std::vector<double> numbers;
  for (int64_t i = 0; i < element_count(outputs[0].shape); ++i) {
    numbers.push_back(outputs[0].number(i));
  }
  return numbers;
}

void expect_error(const OnnxBuilder& builder, const std::string& part) {
  const auto result = run(builder);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message().find(part), std::string::npos) << result.error().message();
}

TEST(OnnxRecurrent, ParametersGoToThoseThatHaveThem) {
  const auto first = run(two_ways({"LeakyRelu", "Affine"}, {0.5f, 2}, {1}));
  ASSERT_TRUE(first.has_value()) << first.error().message();
  EXPECT_EQ(*first, (std::vector<double>{-0.5, -1, 3, 7}));
  const auto second = run(two_ways({"Relu", "ThresholdedRelu"}, {3.5f}, {}));
  ASSERT_TRUE(second.has_value()) << second.error().message();
  EXPECT_EQ(*second, (std::vector<double>{0, 0, 3, 0}));
}

TEST(OnnxRecurrent, Refuses) {
  expect_error(two_ways({"Tanh", "Mish"}, {}, {}), "\"Mish\"");
  expect_error(two_ways({"Tanh"}, {}, {}), "(1) is not (1) for each of (2)");
  expect_error(two_ways({"Affine", "Tanh"}, {1}, {}), "no alpha or beta");
  OnnxBuilder wrong = two_ways({"Tanh", "Tanh"}, {}, {});
  for (auto& attribute : *wrong.proto().mutable_graph()->mutable_node(0)->mutable_attribute()) {
    if (attribute.name() == "hidden_size") attribute.set_i(3);
    if (attribute.name() == "direction") attribute.set_s("both");
  }
  expect_error(wrong, "(both)");
}

// --- Weights of 8 bits ---------------------------------------------------------------------------

/// Numbers that differ, from -100 on.
HostTensor counted(DType dtype, Shape shape, int64_t step) {
  HostTensor tensor = HostTensor::zeros(dtype, std::move(shape));
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) {
    tensor.set_integer(i, (i * step) % 201 - 100);
  }
  return tensor;
}

HostTensor quarters(Shape shape, int64_t step) {
  HostTensor tensor = HostTensor::zeros(DType::f32, std::move(shape));
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) {
    tensor.set_number(i, static_cast<double>(i * step % 9 - 4) / 4);
  }
  return tensor;
}

constexpr int64_t kWays = 2, kRead = 3, kUnits = 2;

/// Scales of either a direction or each column of it.
HostTensor scales(bool is_column_wise) {
  HostTensor scale =
      HostTensor::zeros(DType::f32, is_column_wise ? Shape{kWays, 4 * kUnits} : Shape{kWays});
  for (int64_t i = 0; i < element_count(scale.shape); ++i) {
    scale.set_number(i, 0.001 * static_cast<double>(i + 1));
  }
  return scale;
}

OnnxBuilder narrow_lstm(bool is_column_wise) {
  OnnxBuilder builder(17);
  onnx::OperatorSetIdProto* contrib = builder.proto().add_opset_import();
  contrib->set_domain("com.microsoft");
  contrib->set_version(1);
  const HostTensor scale = scales(is_column_wise);
  builder.constant("x", quarters({4, 1, kRead}, 2));
  builder.constant("w", counted(DType::i8, {kWays, kRead, 4 * kUnits}, 37));
  builder.constant("r", counted(DType::i8, {kWays, kUnits, 4 * kUnits}, 53));
  builder.constant("b", quarters({kWays, 8 * kUnits}, 1));
  builder.constant("scale", scale);
  builder.constant("zero", counted(DType::i8, scale.shape, 7));
  OnnxNodeBuilder node =
      builder.node("DynamicQuantizeLSTM",
                   {"x", "w", "r", "b", "", "", "", "", "scale", "zero", "scale", "zero"}, {"y"});
  node.set("direction", "bidirectional").set("hidden_size", kUnits);
  node.proto().set_domain("com.microsoft");
  builder.output("y");
  return builder;
}

/// (value - zero point) * scale with each column a row, as LSTM takes it.
HostTensor widened(const HostTensor& narrow, const HostTensor& scale, const HostTensor& zero) {
  const int64_t rows = narrow.shape[1], columns = narrow.shape[2];
  HostTensor wide = HostTensor::zeros(DType::f32, {kWays, columns, rows});
  for (int64_t i = 0; i < element_count(wide.shape); ++i) {
    const int64_t way = i / (rows * columns), column = i / rows % columns, row = i % rows;
    const int64_t at = scale.shape.size() == 1 ? way : way * columns + column;
    const int64_t value = narrow.integer((way * rows + row) * columns + column);
    wide.set_number(i, static_cast<double>(value - zero.integer(at)) * scale.number(at));
  }
  return wide;
}

OnnxBuilder wide_lstm(bool is_column_wise) {
  OnnxBuilder builder(17);
  const HostTensor scale = scales(is_column_wise);
  const HostTensor zero = counted(DType::i8, scale.shape, 7);
  builder.constant("x", quarters({4, 1, kRead}, 2));
  builder.constant("w", widened(counted(DType::i8, {kWays, kRead, 4 * kUnits}, 37), scale, zero));
  builder.constant("r", widened(counted(DType::i8, {kWays, kUnits, 4 * kUnits}, 53), scale, zero));
  builder.constant("b", quarters({kWays, 8 * kUnits}, 1));
  builder.node("LSTM", {"x", "w", "r", "b"}, {"y"})
      .set("direction", "bidirectional")
      .set("hidden_size", kUnits);
  builder.output("y");
  return builder;
}

TEST(OnnxRecurrent, WeightsOfEightBits) {
  for (const bool is_column_wise : {false, true}) {
    const auto got = run(narrow_lstm(is_column_wise));
    const auto want = run(wide_lstm(is_column_wise));
    ASSERT_TRUE(got.has_value()) << got.error().message();
    ASSERT_TRUE(want.has_value()) << want.error().message();
    ASSERT_EQ(got->size(), want->size());
    for (size_t i = 0; i < want->size(); ++i) EXPECT_NEAR((*got)[i], (*want)[i], 1e-6) << i;
  }
}

TEST(OnnxRecurrent, WeightsOfEightBitsAreRefused) {
  OnnxBuilder left_out = narrow_lstm(false);
  left_out.proto().mutable_graph()->mutable_node(0)->set_input(9, "");
  expect_error(left_out, "Input 8 (scale) or 9 (zero point) is left out");
  OnnxBuilder unlike = narrow_lstm(false);
  unlike.proto().mutable_graph()->mutable_node(0)->set_input(8, "b");
  expect_error(unlike, "do not fit each other");
  OnnxBuilder flat = narrow_lstm(false);
  flat.proto().mutable_graph()->mutable_node(0)->set_input(1, "zero");
  expect_error(flat, "do not fit each other");
}

}  // namespace
}  // namespace leat
