// ONNX normalisations. Source: ONNX operator schemas BatchNormalization 6/7/9/14/15,
// InstanceNormalization 6/22, LayerNormalization 17, GroupNormalization 18/21, RMSNormalization 23,
// LRN 1/13, LpNormalization 1/22, MeanVarianceNormalization 9/13.
#include <fmt/format.h>

#include <iterator>

#include "leat/model/onnx_ops.h"
#include "leat/tensor/ops_norm_training.h"

namespace leat::onnx_ops {
namespace {

/// One mean for each element of an item (spatial 0 before opset 9): an element is a channel then.
Result<TensorId> batch_norm_per_element(OnnxNode& node, ops::BatchNormInputs inputs,
                                        double epsilon) {
  Graph& graph = node.graph();
  const Shape shape = node.shape(0);
  if (shape.size() < 2) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input 0 of BatchNormalization has shape {}, without channels.",
                             to_string(shape)));
  }
  const Shape item(shape.begin() + 1, shape.end());
  const int64_t count = element_count(item);
  TensorId* const parameters[] = {&inputs.scale, &inputs.bias, &inputs.mean, &inputs.variance};
  for (size_t i = 0; i < std::size(parameters); ++i) {
    if (node.shape(i + 1) != item) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Input {} of BatchNormalization has shape {} instead of {}.", i + 1,
                               to_string(node.shape(i + 1)), to_string(item)));
    }
    TRY_ASSIGN(*parameters[i], ops::reshape(graph, fmt::format("{}/{}", node.name(), i + 1),
                                            *parameters[i], {count}));
  }
  TRY_ASSIGN(const TensorId rows,
             ops::reshape(graph, node.name() + "/rows", node.input(0), {shape[0], count}, true));
  TRY_ASSIGN(const TensorId y,
             ops::batch_norm(graph, node.name() + "/norm", rows, inputs, epsilon));
  return ops::reshape(graph, node.name(), y, shape, true);
}

Result<TensorId> batch_norm_in_training(OnnxNode& node, const ops::BatchNormInputs& inputs,
                                        const ops::BatchNormTraining& options) {
  TRY_ASSIGN(const ops::BatchNormTrained trained,
             ops::batch_norm_training(node.graph(), node.name(), node.input(0), inputs, options));
  node.set_output(1, trained.mean);
  node.set_output(2, trained.variance);
  return trained.y;
}

Result<TensorId> import_batch_norm(OnnxNode& node) {
  const double momentum = node.number("momentum", 0.9);
  const double epsilon = node.number("epsilon", 1e-5);
  const bool training =
      node.opset() < 7 ? node.integer("is_test", 0) == 0 : node.integer("training_mode", 0) != 0;
  if (training && node.opset() < 14) {
    node.fail(ErrorKind::unsupported,
              "BatchNormalization in training mode is not supported before opset 14.");
  }
  const bool per_element = node.opset() < 9 && node.integer("spatial", 1) == 0;
  const ops::BatchNormInputs inputs = {.scale = node.input(1),
                                       .bias = node.input(2),
                                       .mean = node.input(3),
                                       .variance = node.input(4)};
  if (training) return batch_norm_in_training(node, inputs, {epsilon, momentum});
  if (per_element) return batch_norm_per_element(node, inputs, epsilon);
  return ops::batch_norm(node.graph(), node.name(), node.input(0), inputs, epsilon);
}

Result<TensorId> import_instance_norm(OnnxNode& node) {
  const double epsilon = node.number("epsilon", 1e-5);
  return ops::instance_norm(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                            epsilon);
}

/// Statistics are always kept in f32, which is what stash_type 1 asks for.
void check_stash_type(OnnxNode& node) {
  const int64_t type = node.integer("stash_type", 1);
  if (type == 1) return;
  node.fail(ErrorKind::unsupported,
            fmt::format("Attribute \"stash_type\" ({}) other than 1 is not supported.", type));
}

Result<TensorId> import_layer_norm(OnnxNode& node) {
  check_stash_type(node);
  const int64_t axis = node.integer("axis", -1);
  const double epsilon = node.number("epsilon", 1e-5);
  TRY_ASSIGN(const ops::LayerNormResult result,
             ops::layer_norm(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                             axis, epsilon));
  node.set_output(1, result.mean);
  node.set_output(2, result.inverse_deviation);
  return result.y;
}

Result<TensorId> import_group_norm(OnnxNode& node) {
  check_stash_type(node);
  ops::GroupNormOptions options;
  options.groups = node.required_integer("num_groups");
  options.epsilon = node.number("epsilon", 1e-5);
  options.per_group = node.opset() < 21;
  return ops::group_norm(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                         options);
}

Result<TensorId> import_rms_norm(OnnxNode& node) {
  check_stash_type(node);
  const int64_t axis = node.integer("axis", -1);
  const double epsilon = node.number("epsilon", 1e-5);
  return ops::rms_norm(node.graph(), node.name(), node.input(0), node.input(1), axis, epsilon);
}

Result<TensorId> import_lrn(OnnxNode& node) {
  ops::LrnOptions options;
  options.size = node.required_integer("size");
  options.alpha = node.number("alpha", options.alpha);
  options.beta = node.number("beta", options.beta);
  options.bias = node.number("bias", options.bias);
  return ops::lrn(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_lp_norm(OnnxNode& node) {
  ops::LpNormOptions options;
  options.axis = node.integer("axis", -1);
  options.p = node.integer("p", 2);
  return ops::lp_norm(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_mean_variance_norm(OnnxNode& node) {
  Ints axes = node.integers("axes");
  if (axes.empty()) axes = {0, 2, 3};
  return ops::mean_variance_norm(node.graph(), node.name(), node.input(0), axes);
}

constexpr OnnxOperator kOperators[] = {
    {"BatchNormalization", 6, 5, 5, 5, "float", import_batch_norm, "training from opset 14 on"},
    {"InstanceNormalization", 6, 3, 3, 1, "float", import_instance_norm},
    // Before 17 ONNX Runtime wrote it so.
    {"LayerNormalization", 1, 2, 3, 3, "float", import_layer_norm},
    {"GroupNormalization", 18, 3, 3, 1, "float", import_group_norm},
    {"RMSNormalization", 23, 2, 2, 1, "float", import_rms_norm},
    {"LRN", 6, 1, 1, 1, "float", import_lrn},
    {"LpNormalization", 6, 1, 1, 1, "float", import_lp_norm},
    {"MeanVarianceNormalization", 9, 1, 1, 1, "float", import_mean_variance_norm},
};

}  // namespace

std::span<const OnnxOperator> norm_operators() { return kOperators; }

}  // namespace leat::onnx_ops
