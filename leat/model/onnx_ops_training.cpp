// ONNX steps of training. Source: ONNX operator schemas of ai.onnx.preview.training 1: Adagrad,
// Adam, Momentum. Inputs and outputs come in groups: all tensors, all gradients, ...
#include <fmt/format.h>

#include <functional>

#include "leat/model/onnx_ops.h"
#include "leat/tensor/ops_optimizer.h"

namespace leat::onnx_ops {
namespace {

using Step = std::function<Result<ops::OptimizerResult>(const std::string& name,
                                                        const ops::OptimizerInputs& inputs)>;

/// What a method keeps of each tensor between steps.
struct Kept {
  bool momentum = false;
  bool squares = false;

  size_t count() const { return (momentum ? 1u : 0u) + (squares ? 1u : 0u); }
};

Result<TensorId> import_steps(OnnxNode& node, const Kept& kept, const Step& step) {
  const size_t groups = 2 + kept.count();  // tensors, gradients, what is kept
  const size_t given = node.input_count() - 2;
  const size_t tensors = given / groups;
  if (given % groups != 0 || node.output_count() > tensors * (1 + kept.count())) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{} inputs and {} outputs are not {} groups of one size.",
                             node.input_count(), node.output_count(), groups));
  }
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (node.has_input(i)) continue;
    return Error(ErrorKind::invalid_argument, fmt::format("Input {} is left out.", i));
  }
  TensorId first = kNoTensor;
  for (size_t i = 0; i < tensors; ++i) {
    const auto input = [&](size_t group) { return node.input(2 + group * tensors + i); };
    ops::OptimizerInputs inputs = {
        .rate = node.input(0), .count = node.input(1), .x = input(0), .gradient = input(1)};
    if (kept.momentum) inputs.momentum = input(2);
    if (kept.squares) inputs.squares = input(1 + kept.count());
    const std::string name = i == 0 ? node.name() : fmt::format("{}/{}", node.name(), i);
    TRY_ASSIGN(const ops::OptimizerResult result, step(name, inputs));
    node.set_output(i, result.x);
    if (kept.momentum) node.set_output(tensors + i, result.momentum);
    if (kept.squares) node.set_output(kept.count() * tensors + i, result.squares);
    if (i == 0) first = result.x;
  }
  return first;
}

Result<TensorId> import_adagrad(OnnxNode& node) {
  const ops::AdagradOptions options = {.norm = node.number("norm_coefficient", 0),
                                       .decay = node.number("decay_factor", 0),
                                       .epsilon = node.number("epsilon", 1e-6)};
  return import_steps(node, {.squares = true}, [&](const auto& name, const auto& inputs) {
    return ops::adagrad(node.graph(), name, inputs, options);
  });
}

Result<TensorId> import_adam(OnnxNode& node) {
  const ops::AdamOptions options = {.norm = node.number("norm_coefficient", 0),
                                    .norm_post = node.number("norm_coefficient_post", 0),
                                    .alpha = node.number("alpha", 0.9),
                                    .beta = node.number("beta", 0.999),
                                    .epsilon = node.number("epsilon", 1e-6)};
  const Kept kept = {.momentum = true, .squares = true};
  return import_steps(node, kept, [&](const auto& name, const auto& inputs) {
    return ops::adam(node.graph(), name, inputs, options);
  });
}

Result<TensorId> import_momentum(OnnxNode& node) {
  const std::string mode = node.text("mode", "");
  if (mode != "standard" && mode != "nesterov") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"mode\" (\"{}\") is not standard or nesterov.", mode));
  }
  const ops::MomentumOptions options = {.norm = node.number("norm_coefficient", 0),
                                        .alpha = node.number("alpha", 0),
                                        .beta = node.number("beta", 0),
                                        .nesterov = mode == "nesterov"};
  return import_steps(node, {.momentum = true}, [&](const auto& name, const auto& inputs) {
    return ops::momentum(node.graph(), name, inputs, options);
  });
}

constexpr std::string_view kDomain = "ai.onnx.preview.training";

constexpr OnnxOperator kOperators[] = {
    {"Adagrad", 1, 5, kAnyNumber, kAnyNumber, "float", import_adagrad, "", kDomain},
    {"Adam", 1, 6, kAnyNumber, kAnyNumber, "float", import_adam, "", kDomain},
    {"Momentum", 1, 5, kAnyNumber, kAnyNumber, "float", import_momentum, "", kDomain},
};

}  // namespace

std::span<const OnnxOperator> training_operators() { return kOperators; }

}  // namespace leat::onnx_ops
