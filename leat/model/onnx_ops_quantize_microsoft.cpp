// Operators of quantised numbers that ONNX Runtime's quantisation writes, in its domain
// com.microsoft. Those that compute with floats between are that here too: numbers are widened,
// computed with and quantised again, in one kernel. Source: ONNX Runtime, "Contrib Operators".
#include <fmt/format.h>

#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"
#include "leat/tensor/ops_quantize.h"

namespace leat::onnx_ops {
namespace {

/// The axis counts where scale and zero point are lists.
ops::QuantizeOptions read_axis(OnnxNode& node) {
  ops::QuantizeOptions options;
  options.axis = node.integer("axis", 1);
  return options;
}

Result<TensorId> import_quantize(OnnxNode& node) {
  const DType dtype = node.has_input(2) ? node.dtype(2) : DType::u8;
  return ops::quantize(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                       dtype, read_axis(node));
}

Result<TensorId> import_dequantize(OnnxNode& node) {
  return ops::dequantize(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                         node.dtype(1), read_axis(node));
}

/// Inputs `first`, + 1 (scale), + 2 (zero point) as f32.
Result<TensorId> widened(OnnxNode& node, size_t first) {
  if (!node.has_input(first) || !node.has_input(first + 1)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input {} or its scale, {}, is left out.", first, first + 1));
  }
  return ops::dequantize(node.graph(), fmt::format("{}/{}", node.name(), first), node.input(first),
                         node.input(first + 1), node.input(first + 2), DType::f32, {});
}

/// `y` as input 0 is quantised, with scale and zero point in inputs `first` and + 1.
Result<TensorId> narrowed(OnnxNode& node, TensorId y, size_t first) {
  if (!node.has_input(first)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input {}, the result's scale, is left out.", first));
  }
  const DType dtype = node.has_input(first + 1) ? node.dtype(first + 1) : node.dtype(0);
  return ops::quantize(node.graph(), node.name(), y, node.input(first), node.input(first + 1),
                       dtype, {});
}

std::string between(const OnnxNode& node) { return node.name() + "/float"; }

template <ScalarOp op>
Result<TensorId> binary(OnnxNode& node) {
  TRY_ASSIGN(const TensorId a, widened(node, 0));
  TRY_ASSIGN(const TensorId b, widened(node, 3));
  TRY_ASSIGN(const TensorId y, ops::binary(node.graph(), between(node), op, a, b));
  return narrowed(node, y, 6);
}

Result<TensorId> import_sigmoid(OnnxNode& node) {
  TRY_ASSIGN(const TensorId x, widened(node, 0));
  TRY_ASSIGN(const TensorId y,
             ops::activation(node.graph(), between(node), ops::Activation::sigmoid, x));
  return narrowed(node, y, 3);
}

Result<TensorId> import_leaky_relu(OnnxNode& node) {
  TRY_ASSIGN(const TensorId x, widened(node, 0));
  ops::ActivationOptions options;
  options.alpha = node.number("alpha", 0.01);
  TRY_ASSIGN(const TensorId y,
             ops::activation(node.graph(), between(node), ops::Activation::leaky_relu, x, options));
  return narrowed(node, y, 3);
}

Result<TensorId> import_softmax(OnnxNode& node) {
  TRY_ASSIGN(const TensorId x, widened(node, 0));
  ops::SoftmaxOptions options;
  options.axis = node.integer("axis", -1);
  options.flatten = node.required_integer("opset") < 13;
  TRY_ASSIGN(const TensorId y, ops::softmax(node.graph(), between(node), x, options));
  return narrowed(node, y, 3);
}

Result<TensorId> import_concat(OnnxNode& node) {
  if (node.input_count() < 5 || node.input_count() % 3 != 2) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("QLinearConcat has {} inputs, which are not the result's scale and zero "
                          "point and three for each tensor.",
                          node.input_count()));
    return *node.failure();
  }
  std::vector<TensorId> parts;
  for (size_t first = 2; first < node.input_count(); first += 3) {
    TRY_ASSIGN(const TensorId part, widened(node, first));
    parts.push_back(part);
  }
  const int64_t axis = node.required_integer("axis");
  TRY_ASSIGN(const TensorId y, ops::concat(node.graph(), between(node), parts, axis));
  return ops::quantize(node.graph(), node.name(), y, node.input(0), node.input(1), node.dtype(1),
                       {});
}

/// Pooling has channels in dimension 1; the model has them last where `channels_last`.
Result<TensorId> moved_channels(OnnxNode& node, TensorId x, bool channels_last, bool to_last) {
  const auto rank = static_cast<int64_t>(node.graph().tensors[x].shape.size());
  if (!channels_last || rank < 3) return x;
  Ints order;
  for (int64_t d = 0; d < rank; ++d) order.push_back(d);
  const int64_t channels = to_last ? 1 : rank - 1;
  order.erase(order.begin() + channels);
  order.insert(order.begin() + (to_last ? rank - 1 : 1), channels);
  return ops::transpose(node.graph(), between(node) + (to_last ? "/last" : "/first"), x, order);
}

template <typename Pool>
Result<TensorId> pooled(OnnxNode& node, Pool pool) {
  const bool channels_last = node.flag("channels_last", false);
  TRY_ASSIGN(const TensorId x, widened(node, 0));
  TRY_ASSIGN(const TensorId first, moved_channels(node, x, channels_last, false));
  TRY_ASSIGN(const TensorId y, pool(first));
  TRY_ASSIGN(const TensorId last, moved_channels(node, y, channels_last, true));
  return narrowed(node, last, 3);
}

Result<TensorId> import_average_pool(OnnxNode& node) {
  ops::Window window = read_window(node);
  window.ceil_mode = node.flag("ceil_mode", false);
  const bool counts_pads = node.flag("count_include_pad", false);
  return pooled(node, [&](TensorId x) {
    return ops::average_pool(node.graph(), between(node), x, window, counts_pads);
  });
}

Result<TensorId> import_global_average_pool(OnnxNode& node) {
  return pooled(
      node, [&](TensorId x) { return ops::global_average_pool(node.graph(), between(node), x); });
}

// --- Products
// --------------------------------------------------------------------------------------

/// a * b of two scales, f32.
Result<TensorId> product_of_scales(OnnxNode& node, TensorId a, TensorId b) {
  return ops::binary(node.graph(), node.name() + "/scale", ScalarOp::mul, a, b);
}

/// Sums as f32, times the scale, plus a bias.
Result<TensorId> floats_of(OnnxNode& node, TensorId sums, TensorId scale, TensorId bias) {
  const std::string& name = node.name();
  TRY_ASSIGN(const TensorId wide,
             ops::cast(node.graph(), name + "/wide", sums, node.graph().tensors[scale].dtype));
  const std::string scaled_name = bias == kNoTensor ? name : name + "/scaled";
  TRY_ASSIGN(const TensorId scaled,
             ops::binary(node.graph(), scaled_name, ScalarOp::mul, wide, scale));
  if (bias == kNoTensor) return scaled;
  return ops::binary(node.graph(), name, ScalarOp::add, scaled, bias);
}

Result<TensorId> import_matmul_to_float(OnnxNode& node) {
  TRY_ASSIGN(const TensorId sums, ops::matmul_integer(node.graph(), node.name() + "/sums",
                                                      {node.input(0), kNoTensor, node.input(4)},
                                                      {node.input(1), kNoTensor, node.input(5)}));
  TRY_ASSIGN(const TensorId scale, product_of_scales(node, node.input(2), node.input(3)));
  return floats_of(node, sums, scale, node.input(6));
}

Result<TensorId> import_dynamic_matmul(OnnxNode& node) {
  TRY_ASSIGN(const ops::Quantized a,
             ops::dynamic_quantize(node.graph(), node.name() + "/a", node.input(0)));
  TRY_ASSIGN(const TensorId sums, ops::matmul_integer(node.graph(), node.name() + "/sums", a,
                                                      {node.input(1), kNoTensor, node.input(3)}));
  TRY_ASSIGN(const TensorId scale, product_of_scales(node, a.scale, node.input(2)));
  return floats_of(node, sums, scale, node.input(4));
}

Result<TensorId> transposed_if(OnnxNode& node, std::string_view attribute, size_t input) {
  if (!node.flag(attribute, false)) return node.input(input);
  return ops::transpose(node.graph(), fmt::format("{}/{}", node.name(), attribute),
                        node.input(input), {1, 0});
}

Result<TensorId> import_gemm(OnnxNode& node) {
  if (node.rank(0) != 2 || node.rank(3) != 2) {
    return Error(ErrorKind::invalid_argument, "The factors are not matrices.");
  }
  TRY_ASSIGN(const TensorId a, transposed_if(node, "transA", 0));
  TRY_ASSIGN(const TensorId b, transposed_if(node, "transB", 3));
  TRY_ASSIGN(TensorId sums,
             ops::matmul_integer(node.graph(), node.name() + "/sums", {a, kNoTensor, node.input(2)},
                                 {b, kNoTensor, node.input(5)}));
  if (node.has_input(6)) {
    const Shape shape = node.graph().tensors[sums].shape;
    TRY_ASSIGN(sums, ops::binary(node.graph(), node.name() + "/biased", ScalarOp::add, sums,
                                 node.input(6)));
    if (node.graph().tensors[sums].shape != shape) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("The shape {} of C does not broadcast to {}.",
                               to_string(node.shape(6)), to_string(shape)));
    }
  }
  TRY_ASSIGN(TensorId scale, product_of_scales(node, node.input(1), node.input(4)));
  const double alpha = node.number("alpha", 1);
  if (alpha != 1) {
    const TensorId factor = ops::scalar(node.graph(), node.name() + "/alpha", DType::f32, alpha);
    TRY_ASSIGN(scale, ops::binary(node.graph(), node.name() + "/scale_alpha", ScalarOp::mul, scale,
                                  factor));
  }
  if (!node.has_input(7)) return floats_of(node, sums, scale, kNoTensor);
  TRY_ASSIGN(scale, ops::binary(node.graph(), node.name() + "/multiplier", ScalarOp::div, scale,
                                node.input(7)));
  const DType dtype = node.has_input(8) ? node.dtype(8) : node.dtype(0);
  return ops::requantize(node.graph(), node.name(), sums, scale,
                         {node.input(7), node.input(8), dtype});
}

Result<TensorId> import_matmul_blocked(OnnxNode& node) {
  node.ignore({"accuracy_level"});  // sums are f32, the best there is
  if (node.has_input(4)) {
    node.fail(ErrorKind::unsupported, "MatMulNBits with g_idx (input 4) is not supported.");
  }
  const ops::BlockedWeights weights = {.values = node.input(1),
                                       .scales = node.input(2),
                                       .zero_points = node.input(3),
                                       .k = node.required_integer("K"),
                                       .n = node.required_integer("N"),
                                       .bits = node.integer("bits", 4),
                                       .block_size = node.required_integer("block_size")};
  if (node.failure()) return *node.failure();
  return ops::matmul_blocked(node.graph(), node.name(), node.input(0), weights, node.input(5));
}

constexpr std::string_view kDomain = "com.microsoft";
constexpr std::string_view kRemark = "domain com.microsoft";

constexpr OnnxOperator row(std::string_view name, int inputs_min, int inputs_max,
                           std::string_view types, Result<TensorId> (*import)(OnnxNode&),
                           std::string_view remark = kRemark) {
  return {name, 1, inputs_min, inputs_max, 1, types, import, remark, kDomain};
}

constexpr OnnxOperator kOperators[] = {
    row("QuantizeLinear", 2, 3, "float to int of 4 to 16 bits", import_quantize),
    row("DequantizeLinear", 2, 3, "int of 4 to 16 bits, int32 to float", import_dequantize),
    row("QLinearAdd", 2, 8, "int8", binary<ScalarOp::add>),
    row("QLinearMul", 2, 8, "int8", binary<ScalarOp::mul>),
    row("QLinearSigmoid", 2, 5, "int8", import_sigmoid),
    row("QLinearLeakyRelu", 2, 5, "int8", import_leaky_relu),
    row("QLinearSoftmax", 2, 5, "int8", import_softmax),
    row("QLinearConcat", 5, kAnyNumber, "int8", import_concat),
    row("QLinearAveragePool", 2, 5, "int8", import_average_pool),
    row("QLinearGlobalAveragePool", 2, 5, "int8", import_global_average_pool),
    row("QGemm", 6, 9, "int8", import_gemm),
    row("MatMulIntegerToFloat", 4, 7, "int8 to float", import_matmul_to_float),
    row("DynamicQuantizeMatMul", 3, 5, "float and int8", import_dynamic_matmul),
    row("MatMulNBits", 3, 6, "float, weights of 2, 4 or 8 bits", import_matmul_blocked,
        "domain com.microsoft; without g_idx"),
};

}  // namespace

std::span<const OnnxOperator> quantize_microsoft_operators() { return kOperators; }

}  // namespace leat::onnx_ops
