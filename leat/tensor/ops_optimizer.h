// One step of training: new values of a tensor from its gradient and what earlier steps left.
// Source: ONNX operator schemas of the domain ai.onnx.preview.training 1: Adagrad, Adam, Momentum.
#pragma once

#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::ops {

struct OptimizerInputs {
  TensorId rate = kNoTensor;   // one element
  TensorId count = kNoTensor;  // one element, i64: the steps before this one
  TensorId x = kNoTensor;      // f32 or f64; those below have its shape and dtype
  TensorId gradient = kNoTensor;
  TensorId momentum = kNoTensor;  // Adam, Momentum: the running mean of gradients
  TensorId squares = kNoTensor;   // Adagrad, Adam: the sum or the running mean of their squares
};

/// What a step changes; kNoTensor where the method has no such thing.
struct OptimizerResult {
  TensorId x = kNoTensor;
  TensorId momentum = kNoTensor;
  TensorId squares = kNoTensor;
};

struct AdagradOptions {
  double norm = 0;  // the gradient is that plus norm * x
  double decay = 0;
  double epsilon = 1e-6;
};
Result<OptimizerResult> adagrad(Graph& graph, std::string_view name, const OptimizerInputs& inputs,
                                const AdagradOptions& options);

struct AdamOptions {
  double norm = 0;
  double norm_post = 0;  // the result is multiplied by 1 - norm_post
  double alpha = 0.9;
  double beta = 0.999;
  double epsilon = 1e-6;
};
Result<OptimizerResult> adam(Graph& graph, std::string_view name, const OptimizerInputs& inputs,
                             const AdamOptions& options);

struct MomentumOptions {
  double norm = 0;
  double alpha = 0;
  double beta = 0;  // 1 in the first step
  bool nesterov = false;
};
Result<OptimizerResult> momentum(Graph& graph, std::string_view name, const OptimizerInputs& inputs,
                                 const MomentumOptions& options);

}  // namespace leat::ops
