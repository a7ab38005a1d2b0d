// ONNX operators that sum products: convolutions, matrix products.
// Source: ONNX operator schemas Conv 1/11/22, ConvTranspose 1/11/22, Gemm 6/7/9/11/13, MatMul
// 1/9/13.
#include <fmt/format.h>

#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"

namespace leat::onnx_ops {

ops::Window read_window(OnnxNode& node) {
  ops::Window window;
  window.kernel = node.integers("kernel_shape");
  window.strides = node.integers("strides");
  window.dilations = node.integers("dilations");
  window.pads = node.integers("pads");
  const std::string mode = node.text("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER") {
    window.auto_pad = ops::AutoPad::same_upper;
  } else if (mode == "SAME_LOWER") {
    window.auto_pad = ops::AutoPad::same_lower;
  } else if (mode == "VALID") {
    window.auto_pad = ops::AutoPad::valid;
  } else if (mode != "NOTSET" && !mode.empty()) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"auto_pad\" (\"{}\") is not a known mode.", mode));
  }
  return window;
}

namespace {

Result<TensorId> import_conv(OnnxNode& node) {
  ops::ConvOptions options;
  options.window = read_window(node);
  options.groups = node.integer("group", 1);
  return ops::conv(node.graph(), node.name(), node.input(0), node.input(1), node.input(2), options);
}

Result<TensorId> import_conv_transpose(OnnxNode& node) {
  ops::ConvTransposeOptions options;
  options.window = read_window(node);
  options.groups = node.integer("group", 1);
  options.output_padding = node.integers("output_padding");
  options.output_shape = node.integers("output_shape");
  return ops::conv_transpose(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                             options);
}

Result<TensorId> import_matmul(OnnxNode& node) {
  return ops::matmul(node.graph(), node.name(), node.input(0), node.input(1));
}

Result<TensorId> import_gemm(OnnxNode& node) {
  ops::GemmOptions options;
  options.alpha = node.number("alpha", 1);
  options.beta = node.number("beta", 1);
  options.transpose_a = node.integer("transA", 0) != 0;
  options.transpose_b = node.integer("transB", 0) != 0;
  if (node.opset() < 7) node.ignore({"broadcast"});  // broadcasting is always on
  return ops::gemm(node.graph(), node.name(), node.input(0), node.input(1), node.input(2), options);
}

constexpr OnnxOperator kOperators[] = {
    {"Conv", 6, 2, 3, 1, "float", import_conv, "any number of spatial dimensions, groups"},
    {"ConvTranspose", 6, 2, 3, 1, "float", import_conv_transpose},
    {"MatMul", 6, 2, 2, 1, "float, int", import_matmul},
    {"Gemm", 6, 2, 3, 1, "float, int", import_gemm},
};

}  // namespace

std::span<const OnnxOperator> contraction_operators() { return kOperators; }

}  // namespace leat::onnx_ops
