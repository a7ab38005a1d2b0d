// Batch normalisation by the statistics of the batch itself, as in training (ops_norm.cpp).
// Source: ONNX operator schemas BatchNormalization 14/15.
#pragma once

#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

struct BatchNormTraining {
  double epsilon = 1e-5;
  double momentum = 0.9;  // what stays of the running statistics
};

struct BatchNormTrained {
  TensorId y = kNoTensor;
  TensorId mean = kNoTensor;      // running: inputs.mean * momentum + that of x * (1 - momentum)
  TensorId variance = kNoTensor;  // the same of the variance, which is divided by the number of all
};

/// x (N, C, spatial...); mean and variance of each channel are those of x, kept in f32.
Result<BatchNormTrained> batch_norm_training(Graph& graph, std::string_view name, TensorId x,
                                             const BatchNormInputs& inputs,
                                             const BatchNormTraining& options);

}  // namespace leat::ops
