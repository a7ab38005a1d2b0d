// Activation functions of one tensor: each is one map node. Forms are chosen so that no
// intermediate overflows to NaN: exponentials get arguments that are not positive, or their
// overflow to infinity ends in the right limit.
#include <fmt/format.h>

#include <numbers>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

std::string_view name_of(Activation kind) {
  constexpr std::string_view kNames[] = {
      "Relu",       "LeakyRelu", "Elu",  "Selu", "Celu", "Sigmoid", "HardSigmoid",     "HardSwish",
      "Softplus",   "Softsign",  "Gelu", "Gelu", "Mish", "Swish",   "ThresholdedRelu", "Shrink",
      "Reciprocal", "Sign"};
  return kNames[static_cast<size_t>(kind)];
}

bool takes_whole_numbers(Activation kind) {
  return kind == Activation::relu || kind == Activation::shrink || kind == Activation::sign;
}

Term sigmoid(Term x) { return 1.0 / (1.0 + exp(-x)); }

/// log(1 + e^x) without overflow.
Term softplus(Term x) { return max(x, 0) + log1p(exp(-abs(x))); }

/// x * tanh(softplus(x)), written in u = e^-|x| <= 1: tanh(log(1 + e^x)) is
/// (1 + 2u) / (1 + 2u + 2u^2) for x >= 0 and (u^2 + 2u) / (u^2 + 2u + 2) for x < 0.
Term mish(Term x) {
  const Term u = exp(-abs(x));
  const Term square = u * u;
  const Term numerator = select(x < 0, square + 2.0 * u, 1.0 + 2.0 * u);
  return x * numerator / (numerator + select(x < 0, x.constant(2), 2.0 * square));
}

Term gelu_erf(Term x) {
  return 0.5 * x * (1.0 + apply(ScalarOp::erf, x * (1 / std::numbers::sqrt2)));
}

/// Source: ONNX Gelu, approximate = "tanh".
Term gelu_tanh(Term x) {
  const double factor = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;  // sqrt(2 / pi)
  return 0.5 * x * (1.0 + apply(ScalarOp::tanh, factor * (x + 0.044715 * x * x * x)));
}

Term hard_sigmoid(Term x, double alpha, double beta) { return max(min(alpha * x + beta, 1), 0); }

Term shrink(Term x, double lambd, double bias) {
  return select(x < -lambd, x + bias, select(lambd < x, x - bias, 0));
}

/// One row per function.
Term activate(Activation kind, Term x, double alpha, double beta) {
  switch (kind) {
    case Activation::relu: return max(x, 0);
    case Activation::leaky_relu: return select(x < 0, alpha * x, x);
    case Activation::elu: return select(x < 0, alpha * expm1(min(x, 0)), x);
    case Activation::selu: return beta * select(x < 0, alpha * expm1(min(x, 0)), x);
    case Activation::celu: return max(x, 0) + min(alpha * expm1(min(x / alpha, 0)), 0);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::hard_sigmoid: return hard_sigmoid(x, alpha, beta);
    case Activation::hard_swish: return x * hard_sigmoid(x, 1.0 / 6, 0.5);
    case Activation::softplus: return softplus(x);
    case Activation::softsign: return x / (1.0 + abs(x));
    case Activation::gelu_erf: return gelu_erf(x);
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::mish: return mish(x);
    case Activation::swish: return x * sigmoid(alpha * x);
    case Activation::thresholded_relu: return select(alpha < x, x, 0);
    case Activation::shrink: return shrink(x, alpha, beta);
    case Activation::reciprocal: return 1.0 / x;
    case Activation::sign: return select(0 < x, 1, select(x < 0, -1, x));
  }
  return x;
}

}  // namespace

ActivationOptions default_options(Activation kind) {
  switch (kind) {
    case Activation::leaky_relu: return {.alpha = 0.01};
    case Activation::elu:
    case Activation::celu:
    case Activation::swish:
    case Activation::thresholded_relu: return {.alpha = 1};
    // Source: ONNX Selu, the f32 values nearest to the paper's.
    case Activation::selu: return {.alpha = 1.67326319217681884765625, .beta = 1.05070102214813232};
    case Activation::hard_sigmoid: return {.alpha = 0.2, .beta = 0.5};
    case Activation::shrink: return {.alpha = 0.5, .beta = 0};
    case Activation::relu:
    case Activation::sigmoid:
    case Activation::hard_swish:
    case Activation::softplus:
    case Activation::softsign:
    case Activation::gelu_erf:
    case Activation::gelu_tanh:
    case Activation::mish:
    case Activation::reciprocal:
    case Activation::sign: return {};
  }
  return {};
}

Result<TensorId> activation(Graph& graph, std::string_view name, Activation kind, TensorId x,
                            ActivationOptions options) {
  const Place place(graph, name_of(kind), name);
  const DType dtype = dtype_of(graph, x);
  if (dtype == DType::boolean || !takes_whole_numbers(kind)) TRY(require_float(graph, place, x));
  const Shape shape = shape_of(graph, x);
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  // Parameters of whole-number tensors act on floats.
  const bool through_float = kind == Activation::shrink && !is_float(dtype);
  Term result = activate(kind, through_float ? convert(value, ScalarType::f32) : value,
                         options.alpha, options.beta);
  if (through_float) result = wrap_to(convert(result, scalar_type_of(dtype)), dtype);
  return writer.map(dtype, shape, result);
}

Result<TensorId> activation(Graph& graph, std::string_view name, Activation kind, TensorId x) {
  return activation(graph, name, kind, x, default_options(kind));
}

}  // namespace leat::ops
