// ONNX element-by-element operators. Source: ONNX operator schemas. Before opset 7 broadcasting had
// to be asked for, with an axis at which the second operand's dimensions begin.
#include <fmt/format.h>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

template <ScalarOp op>
Result<TensorId> unary(OnnxNode& node) {
  return ops::unary(node.graph(), node.name(), op, node.input(0));
}

/// Operand 1 with the dimensions that the old attribute `axis` asks for.
Result<TensorId> second_operand(OnnxNode& node) {
  if (node.opset() >= 7) return node.input(1);
  const bool broadcast = node.integer("broadcast", 0) != 0;
  const int64_t axis = node.integer("axis", node.rank(0) - node.rank(1));
  const int64_t trailing = node.rank(0) - axis - node.rank(1);
  if (!broadcast || trailing <= 0) return node.input(1);
  Ints axes;
  for (int64_t i = 0; i < trailing; ++i) axes.push_back(node.rank(1) + i);
  return ops::unsqueeze(node.graph(), node.name() + "/broadcast", node.input(1), axes);
}

template <ScalarOp op>
Result<TensorId> binary(OnnxNode& node) {
  TRY_ASSIGN(const TensorId second, second_operand(node));
  return ops::binary(node.graph(), node.name(), op, node.input(0), second);
}

template <ops::Comparison comparison>
Result<TensorId> compare(OnnxNode& node) {
  TRY_ASSIGN(const TensorId second, second_operand(node));
  return ops::compare(node.graph(), node.name(), comparison, node.input(0), second);
}

template <ops::Variadic kind>
Result<TensorId> variadic(OnnxNode& node) {
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (node.has_input(i)) continue;
    return Error(ErrorKind::invalid_argument, fmt::format("Input {} is left out.", i));
  }
  return ops::variadic(node.graph(), node.name(), kind, node.inputs());
}

Result<TensorId> import_pow(OnnxNode& node) {
  TRY_ASSIGN(const TensorId exponent, second_operand(node));
  return ops::pow(node.graph(), node.name(), node.input(0), exponent);
}

Result<TensorId> import_mod(OnnxNode& node) {
  const bool fmod = node.integer("fmod", 0) != 0;
  return ops::mod(node.graph(), node.name(), node.input(0), node.input(1), fmod);
}

Result<TensorId> import_bit_shift(OnnxNode& node) {
  const std::string direction = node.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"direction\" (\"{}\") is not LEFT or RIGHT.", direction));
  }
  const ScalarOp op = direction == "LEFT" ? ScalarOp::shift_left : ScalarOp::shift_right;
  return ops::binary(node.graph(), node.name(), op, node.input(0), node.input(1));
}

Result<TensorId> import_bit_not(OnnxNode& node) {
  return ops::bit_not(node.graph(), node.name(), node.input(0));
}

Result<TensorId> import_where(OnnxNode& node) {
  return ops::where(node.graph(), node.name(), node.input(0), node.input(1), node.input(2));
}

Result<TensorId> import_clip(OnnxNode& node) {
  if (node.opset() >= 11) {
    return ops::clip(node.graph(), node.name(), node.input(0), node.input(1), node.input(2));
  }
  if (node.input_count() > 1) {
    node.fail(ErrorKind::invalid_argument, "Clip has limits as inputs from opset version 11 on.");
  }
  std::optional<double> low, high;
  if (node.has_attribute("min")) low = node.number("min", 0);
  if (node.has_attribute("max")) high = node.number("max", 0);
  return ops::clip_to(node.graph(), node.name(), node.input(0), low, high);
}

Result<TensorId> import_is_nan(OnnxNode& node) {
  return ops::is_nan(node.graph(), node.name(), node.input(0));
}

Result<TensorId> import_is_inf(OnnxNode& node) {
  const bool positive = node.integer("detect_positive", 1) != 0;
  const bool negative = node.integer("detect_negative", 1) != 0;
  return ops::is_inf(node.graph(), node.name(), node.input(0), positive, negative);
}

/// Of small floats only; others ignore both attributes.
bool saturates(OnnxNode& node) {
  if (node.text("round_mode", "up") != "up") {
    node.fail(ErrorKind::unsupported, "Cast with a round_mode other than \"up\" is not supported.");
  }
  return node.flag("saturate", true);
}

Result<TensorId> import_cast(OnnxNode& node) {
  const bool saturate = saturates(node);
  node.required_integer("to");
  const DType dtype = node.element_type("to", DType::f32);
  return ops::cast(node.graph(), node.name(), node.input(0), dtype, saturate);
}

Result<TensorId> import_cast_like(OnnxNode& node) {
  return ops::cast(node.graph(), node.name(), node.input(0), node.dtype(1), saturates(node));
}

Result<TensorId> import_identity(OnnxNode& node) {
  return ops::identity(node.graph(), node.name(), node.input(0));
}

/// In inference: a copy, and a mask of ones.
Result<TensorId> import_rotary_embedding(OnnxNode& node) {
  const ops::RotaryTables tables = {
      .cosine = node.input(1), .sine = node.input(2), .positions = node.input(3)};
  const ops::RotaryOptions options = {.heads = node.integer("num_heads", 0),
                                      .rotated = node.integer("rotary_embedding_dim", 0),
                                      .interleaved = node.flag("interleaved", false)};
  return ops::rotary_embedding(node.graph(), node.name(), node.input(0), tables, options);
}

constexpr OnnxOperator kOperators[] = {
    {"Abs", 6, 1, 1, 1, "float, int", unary<ScalarOp::abs>},
    {"Neg", 6, 1, 1, 1, "float, int", unary<ScalarOp::neg>},
    {"Ceil", 6, 1, 1, 1, "float", unary<ScalarOp::ceil>},
    {"Floor", 6, 1, 1, 1, "float", unary<ScalarOp::floor>},
    {"Round", 11, 1, 1, 1, "float", unary<ScalarOp::round_even>},
    {"Sqrt", 6, 1, 1, 1, "float", unary<ScalarOp::sqrt>},
    {"Exp", 6, 1, 1, 1, "float", unary<ScalarOp::exp>},
    {"Log", 6, 1, 1, 1, "float", unary<ScalarOp::log>},
    {"Erf", 9, 1, 1, 1, "float", unary<ScalarOp::erf>},
    {"Sin", 7, 1, 1, 1, "float", unary<ScalarOp::sin>},
    {"Cos", 7, 1, 1, 1, "float", unary<ScalarOp::cos>},
    {"Tan", 7, 1, 1, 1, "float", unary<ScalarOp::tan>},
    {"Asin", 7, 1, 1, 1, "float", unary<ScalarOp::asin>},
    {"Acos", 7, 1, 1, 1, "float", unary<ScalarOp::acos>},
    {"Atan", 7, 1, 1, 1, "float", unary<ScalarOp::atan>},
    {"Sinh", 9, 1, 1, 1, "float", unary<ScalarOp::sinh>},
    {"Cosh", 9, 1, 1, 1, "float", unary<ScalarOp::cosh>},
    {"Tanh", 6, 1, 1, 1, "float", unary<ScalarOp::tanh>},
    {"Asinh", 9, 1, 1, 1, "float", unary<ScalarOp::asinh>},
    {"Acosh", 9, 1, 1, 1, "float", unary<ScalarOp::acosh>},
    {"Atanh", 9, 1, 1, 1, "float", unary<ScalarOp::atanh>},
    {"Not", 1, 1, 1, 1, "bool", unary<ScalarOp::logical_not>},
    {"Add", 6, 2, 2, 1, "float, int", binary<ScalarOp::add>},
    {"Sub", 6, 2, 2, 1, "float, int", binary<ScalarOp::sub>},
    {"Mul", 6, 2, 2, 1, "float, int", binary<ScalarOp::mul>},
    {"Div", 6, 2, 2, 1, "float, int", binary<ScalarOp::div>},
    {"And", 6, 2, 2, 1, "bool", binary<ScalarOp::logical_and>},
    {"Or", 6, 2, 2, 1, "bool", binary<ScalarOp::logical_or>},
    {"Xor", 6, 2, 2, 1, "bool", binary<ScalarOp::logical_xor>},
    {"BitwiseAnd", 18, 2, 2, 1, "int", binary<ScalarOp::bit_and>},
    {"BitwiseOr", 18, 2, 2, 1, "int", binary<ScalarOp::bit_or>},
    {"BitwiseXor", 18, 2, 2, 1, "int", binary<ScalarOp::bit_xor>},
    {"BitwiseNot", 18, 1, 1, 1, "int", import_bit_not},
    {"BitShift", 11, 2, 2, 1, "int", import_bit_shift},
    {"Equal", 6, 2, 2, 1, "float, int, bool", compare<ops::Comparison::equal>},
    {"Less", 6, 2, 2, 1, "float, int", compare<ops::Comparison::less>},
    {"LessOrEqual", 12, 2, 2, 1, "float, int", compare<ops::Comparison::less_equal>},
    {"Greater", 6, 2, 2, 1, "float, int", compare<ops::Comparison::greater>},
    {"GreaterOrEqual", 12, 2, 2, 1, "float, int", compare<ops::Comparison::greater_equal>},
    {"Where", 9, 3, 3, 1, "all", import_where},
    {"Pow", 6, 2, 2, 1, "float, int", import_pow},
    {"Mod", 10, 2, 2, 1, "float, int", import_mod},
    {"Clip", 6, 1, 3, 1, "float, int", import_clip},
    {"Sum", 6, 1, kAnyNumber, 1, "float", variadic<ops::Variadic::sum>},
    {"Mean", 6, 1, kAnyNumber, 1, "float", variadic<ops::Variadic::mean>},
    {"Min", 6, 1, kAnyNumber, 1, "float, int", variadic<ops::Variadic::min>},
    {"Max", 6, 1, kAnyNumber, 1, "float, int", variadic<ops::Variadic::max>},
    {"IsNaN", 9, 1, 1, 1, "float", import_is_nan},
    {"IsInf", 10, 1, 1, 1, "float", import_is_inf},
    {"Cast", 6, 1, 1, 1, "all", import_cast, "f8e8m0 rounds up"},
    {"CastLike", 15, 2, 2, 1, "all", import_cast_like, "f8e8m0 rounds up"},
    {"Identity", 6, 1, 1, 1, "all", import_identity},
    {"RotaryEmbedding", 23, 3, 4, 1, "float", import_rotary_embedding},
};

}  // namespace

std::span<const OnnxOperator> elementwise_operators() { return kOperators; }

}  // namespace leat::onnx_ops
