// ONNX operators that make tensors from nothing, and the old ones that scale pictures. Source: ONNX
// operator schemas Constant 1/9/11/12/13, ConstantOfShape 9, Range 11, EyeLike 9/22; experimental
// opset 1: ImageScaler, Affine.
#include <fmt/format.h>

#include <cstring>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

HostTensor vector_of(DType dtype, size_t count) {
  return HostTensor::zeros(dtype, {static_cast<int64_t>(count)});
}

std::optional<HostTensor> constant_value(OnnxNode& node) {
  if (node.has_attribute("value_float")) {
    HostTensor value = HostTensor::zeros(DType::f32, {});
    value.set_number(0, node.number("value_float", 0));
    return value;
  }
  if (node.has_attribute("value_int")) {
    HostTensor value = HostTensor::zeros(DType::i64, {});
    value.set_integer(0, node.integer("value_int", 0));
    return value;
  }
  if (node.has_attribute("value_floats")) {
    const std::vector<double> numbers = node.numbers("value_floats");
    HostTensor value = vector_of(DType::f32, numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      value.set_number(static_cast<int64_t>(i), numbers[i]);
    }
    return value;
  }
  if (node.has_attribute("value_ints")) {
    const Ints integers = node.integers("value_ints");
    HostTensor value = vector_of(DType::i64, integers.size());
    for (size_t i = 0; i < integers.size(); ++i) {
      value.set_integer(static_cast<int64_t>(i), integers[i]);
    }
    return value;
  }
  node.fail(ErrorKind::unsupported, "Constant has no value that is a number or a dense tensor.");
  return std::nullopt;
}

Result<TensorId> import_constant(OnnxNode& node) {
  if (node.has_attribute("value")) return node.constant_of("value");
  std::optional<HostTensor> value = constant_value(node);
  if (node.failure()) return *node.failure();
  return node.graph().add_constant(node.name(), std::move(*value));
}

Result<TensorId> import_constant_of_shape(OnnxNode& node) {
  const Ints shape = node.constant_integers(0, "shape");
  HostTensor value = HostTensor::zeros(DType::f32, {1});
  if (node.has_attribute("value")) value = node.tensor("value").value_or(value);
  if (node.failure()) return *node.failure();
  TRY(check_shape(shape));
  const int64_t size_bytes = element_count(shape) * size_bytes_of(value.dtype);
  if (element_count(value.shape) != 1 || !node.may_fill(size_bytes)) {
    return ops::constant_of_shape(node.graph(), node.name(), shape, value);
  }
  HostTensor filled = HostTensor::zeros(value.dtype, shape);
  for (size_t at = 0; at < filled.bytes.size(); at += value.bytes.size()) {
    std::memcpy(filled.bytes.data() + at, value.bytes.data(), value.bytes.size());
  }
  return node.graph().add_constant(node.name(), std::move(filled));
}

Result<TensorId> import_range(OnnxNode& node) {
  const HostTensor* start = node.constant(0, "start");
  const HostTensor* limit = node.constant(1, "limit");
  const HostTensor* delta = node.constant(2, "delta");
  if (node.failure()) return *node.failure();
  return ops::range(node.graph(), node.name(), *start, *limit, *delta);
}

Result<TensorId> import_eye_like(OnnxNode& node) {
  const DType dtype = node.element_type("dtype", node.dtype(0));
  const int64_t k = node.integer("k", 0);
  return ops::eye_like(node.graph(), node.name(), node.shape(0), dtype, k);
}

Result<TensorId> import_image_scaler(OnnxNode& node) {
  const double scale = node.number("scale", 1);
  const std::vector<float> bias = node.floats("bias");
  return ops::image_scaler(node.graph(), node.name(), node.input(0), scale, bias);
}

Result<TensorId> import_affine(OnnxNode& node) {
  const double alpha = node.number("alpha", 1);
  const double beta = node.number("beta", 0);
  return ops::affine(node.graph(), node.name(), node.input(0), alpha, beta);
}

constexpr OnnxOperator kOperators[] = {
    {"Constant", 6, 0, 0, 1, "all", import_constant, "no strings, no sparse tensors"},
    {"ConstantOfShape", 9, 1, 1, 1, "all", import_constant_of_shape, "constant shape"},
    {"Range", 11, 3, 3, 1, "float, int", import_range, "constant bounds"},
    {"EyeLike", 9, 1, 1, 1, "float, int, bool", import_eye_like},
    {"ImageScaler", 6, 1, 1, 1, "float", import_image_scaler, "experimental in opset 1"},
    {"Affine", 6, 1, 1, 1, "float", import_affine, "experimental in opset 1"},
};

}  // namespace

std::span<const OnnxOperator> create_operators() { return kOperators; }

}  // namespace leat::onnx_ops
