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

}  // namespace
}  // namespace leat
