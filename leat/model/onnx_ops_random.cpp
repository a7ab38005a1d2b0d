// ONNX operators that draw random numbers; the same ones in every run, see ops_random.h. Source:
// ONNX operator schemas RandomUniform, RandomNormal, RandomUniformLike, RandomNormalLike,
// Multinomial 1/22 (7/22), Bernoulli 15/22, Dropout 6/7/10/12/13/22.
#include "leat/tensor/ops_random.h"

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

uint64_t read_key(OnnxNode& node) {
  std::optional<float> seed;
  if (node.has_attribute("seed")) seed = static_cast<float>(node.number("seed", 0));
  return ops::random_key(seed, node.name());
}

Result<TensorId> add_uniform(OnnxNode& node, const Shape& shape, DType dtype) {
  const ops::UniformRange range = {.low = node.number("low", 0), .high = node.number("high", 1)};
  const ops::RandomOptions options = {.dtype = dtype, .key = read_key(node)};
  return ops::random_uniform(node.graph(), node.name(), shape, range, options);
}

Result<TensorId> add_normal(OnnxNode& node, const Shape& shape, DType dtype) {
  const ops::NormalShape normal = {.mean = node.number("mean", 0),
                                   .scale = node.number("scale", 1)};
  const ops::RandomOptions options = {.dtype = dtype, .key = read_key(node)};
  return ops::random_normal(node.graph(), node.name(), shape, normal, options);
}

Shape read_shape(OnnxNode& node) {
  if (!node.has_attribute("shape")) {
    node.fail(ErrorKind::invalid_argument, "Attribute \"shape\" is missing.");
  }
  return node.integers("shape");
}

Result<TensorId> import_uniform(OnnxNode& node) {
  return add_uniform(node, read_shape(node), node.element_type("dtype", DType::f32));
}

Result<TensorId> import_normal(OnnxNode& node) {
  return add_normal(node, read_shape(node), node.element_type("dtype", DType::f32));
}

Result<TensorId> import_uniform_like(OnnxNode& node) {
  return add_uniform(node, node.shape(0), node.element_type("dtype", node.dtype(0)));
}

Result<TensorId> import_normal_like(OnnxNode& node) {
  return add_normal(node, node.shape(0), node.element_type("dtype", node.dtype(0)));
}

Result<TensorId> import_bernoulli(OnnxNode& node) {
  const ops::RandomOptions options = {.dtype = node.element_type("dtype", node.dtype(0)),
                                      .key = read_key(node)};
  return ops::bernoulli(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_multinomial(OnnxNode& node) {
  const ops::RandomOptions options = {.dtype = node.element_type("dtype", DType::i32),
                                      .key = read_key(node)};
  const int64_t samples = node.integer("sample_size", 1);
  return ops::multinomial(node.graph(), node.name(), node.input(0), samples, options);
}

/// In inference: a copy, and a mask that is whole.
Result<TensorId> keep_all(OnnxNode& node) {
  if (node.wants_output(1)) {
    HostTensor one = HostTensor::zeros(node.opset() >= 10 ? DType::boolean : node.dtype(0), {});
    one.set_integer(0, 1);
    TRY_ASSIGN(const TensorId mask,
               ops::constant_of_shape(node.graph(), node.name() + "/mask", node.shape(0), one));
    node.set_output(1, mask);
  }
  return ops::identity(node.graph(), node.name(), node.input(0));
}

Result<TensorId> import_dropout(OnnxNode& node) {
  node.ignore({"ratio", "is_test"});  // before opset 12 there is no training
  std::optional<float> seed;
  if (node.has_attribute("seed")) seed = static_cast<float>(node.integer("seed", 0));
  if (node.constant_integer(2, "training_mode", 0) == 0) return keep_all(node);
  TensorId ratio = node.input(1);
  if (ratio == kNoTensor)
    ratio = ops::scalar(node.graph(), node.name() + "/ratio", DType::f32, 0.5);
  TRY_ASSIGN(const ops::DropoutResult result,
             ops::dropout(node.graph(), node.name(), node.input(0), ratio,
                          {.key = ops::random_key(seed, node.name())}));
  node.set_output(1, result.mask);
  return result.y;
}

constexpr std::string_view kSeed = "Philox; without a seed a fixed one";

constexpr OnnxOperator kOperators[] = {
    {"RandomUniform", 6, 0, 0, 1, "float", import_uniform, kSeed, "", false, true},
    {"RandomNormal", 6, 0, 0, 1, "float", import_normal, kSeed, "", false, true},
    {"RandomUniformLike", 6, 1, 1, 1, "float", import_uniform_like, kSeed, "", false, true},
    {"RandomNormalLike", 6, 1, 1, 1, "float", import_normal_like, kSeed, "", false, true},
    {"Bernoulli", 15, 1, 1, 1, "float", import_bernoulli, kSeed, "", false, true},
    {"Multinomial", 7, 1, 1, 1, "float", import_multinomial, kSeed, "", false, true},
    {"Dropout", 6, 1, 3, 2, "float", import_dropout, "constant training_mode"},
};

}  // namespace

std::span<const OnnxOperator> random_operators() { return kOperators; }

}  // namespace leat::onnx_ops
