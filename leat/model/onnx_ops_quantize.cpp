// ONNX operators of quantised numbers. Source: ONNX operator schemas QuantizeLinear and
// DequantizeLinear 10/13/19/21/23/24/25, DynamicQuantizeLinear 11, MatMulInteger 10, ConvInteger
// 10, QLinearMatMul 10/21, QLinearConv 10. Those of domain com.microsoft stand in
// onnx_ops_quantize_microsoft.cpp.
#include <fmt/format.h>

#include "leat/model/onnx_file.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"
#include "leat/tensor/ops_quantize.h"

namespace leat::onnx_ops {
namespace {

/// An attribute that names a type, 0 where it is left out.
Result<DType> type_attribute(OnnxNode& node, std::string_view attribute, DType fallback) {
  const int64_t code = node.integer(attribute, 0);
  if (code == 0) return fallback;
  return dtype_of_onnx(code > 0 && code < 1000 ? static_cast<int>(code) : -1);
}

ops::QuantizeOptions read_options(OnnxNode& node) {
  ops::QuantizeOptions options;
  options.axis = node.integer("axis", 1);
  options.block_size = node.integer("block_size", 0);
  return options;
}

Result<TensorId> import_quantize(OnnxNode& node) {
  ops::QuantizeOptions options = read_options(node);
  options.saturate = node.flag("saturate", true);
  TRY_ASSIGN(options.precision, type_attribute(node, "precision", node.dtype(1)));
  const DType implied = node.has_input(2) ? node.dtype(2) : DType::u8;
  TRY_ASSIGN(const DType dtype, type_attribute(node, "output_dtype", implied));
  return ops::quantize(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                       dtype, options);
}

Result<TensorId> import_dequantize(OnnxNode& node) {
  TRY_ASSIGN(const DType dtype, type_attribute(node, "output_dtype", node.dtype(1)));
  return ops::dequantize(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                         dtype, read_options(node));
}

Result<TensorId> import_dynamic_quantize(OnnxNode& node) {
  TRY_ASSIGN(const ops::Quantized y,
             ops::dynamic_quantize(node.graph(), node.name(), node.input(0)));
  node.set_output(1, y.scale);
  node.set_output(2, y.zero_point);
  return y.values;
}

Result<TensorId> import_matmul_integer(OnnxNode& node) {
  return ops::matmul_integer(node.graph(), node.name(), {node.input(0), kNoTensor, node.input(2)},
                             {node.input(1), kNoTensor, node.input(3)});
}

ops::ConvOptions read_conv(OnnxNode& node) {
  ops::ConvOptions options;
  options.window = read_window(node);
  options.groups = node.integer("group", 1);
  return options;
}

Result<TensorId> import_conv_integer(OnnxNode& node) {
  return ops::conv_integer(node.graph(), node.name(), {node.input(0), kNoTensor, node.input(2)},
                           {node.input(1), kNoTensor, node.input(3)}, kNoTensor, read_conv(node));
}

Result<TensorId> import_quantized_matmul(OnnxNode& node) {
  return ops::quantized_matmul(
      node.graph(), node.name(), {node.input(0), node.input(1), node.input(2)},
      {node.input(3), node.input(4), node.input(5)}, {node.input(6), node.input(7), node.dtype(7)});
}

Result<TensorId> import_quantized_conv(OnnxNode& node) {
  return ops::quantized_conv(node.graph(), node.name(),
                             {node.input(0), node.input(1), node.input(2)},
                             {node.input(3), node.input(4), node.input(5)}, node.input(8),
                             {node.input(6), node.input(7), node.dtype(7)}, read_conv(node));
}

constexpr OnnxOperator kOperators[] = {
    {"QuantizeLinear", 10, 2, 3, 1, "float to int of 2 to 16 bits, float8, float4",
     import_quantize},
    {"DequantizeLinear", 10, 2, 3, 1, "int of 2 to 16 bits, int32, float8, float4 to float",
     import_dequantize},
    {"DynamicQuantizeLinear", 11, 1, 1, 3, "float", import_dynamic_quantize},
    {"MatMulInteger", 10, 2, 4, 1, "int8", import_matmul_integer},
    {"ConvInteger", 10, 2, 4, 1, "int8", import_conv_integer},
    {"QLinearMatMul", 10, 8, 8, 1, "int8", import_quantized_matmul},
    {"QLinearConv", 10, 8, 9, 1, "int8", import_quantized_conv},
};

}  // namespace

std::span<const OnnxOperator> quantize_operators() { return kOperators; }

}  // namespace leat::onnx_ops
