// Losses of classifiers. Source: ONNX operator schemas NegativeLogLikelihoodLoss 12/13/22 and
// SoftmaxCrossEntropyLoss 12/13.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::ops {

enum class LossReduction : uint8_t { none, sum, mean };

struct LossOptions {
  LossReduction reduction = LossReduction::mean;
  std::optional<int64_t> ignore_index;  // a target that counts for nothing
};

/// -log_chances[n, target, d] * weights[target], its sum over all points, or that sum divided by
/// the sum of the weights. log_chances (N, classes, d...), target (N, d...) whole numbers, weights
/// (classes), which may be left out: ones. A target outside the classes counts for nothing.
Result<TensorId> negative_log_likelihood(Graph& graph, std::string_view name, TensorId log_chances,
                                         TensorId target, TensorId weights,
                                         const LossOptions& options);

struct CrossEntropyResult {
  TensorId loss = kNoTensor;
  TensorId log_chances = kNoTensor;  // log-soft-max of the scores along axis 1
};

/// negative_log_likelihood of the log-soft-max of scores (N, classes, d...).
Result<CrossEntropyResult> softmax_cross_entropy(Graph& graph, std::string_view name,
                                                 TensorId scores, TensorId target, TensorId weights,
                                                 const LossOptions& options);

}  // namespace leat::ops
