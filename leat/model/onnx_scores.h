// What the classifiers and regressors of ai.onnx.ml share.
#pragma once

#include <initializer_list>
#include <string_view>

#include "leat/model/onnx_node.h"
#include "leat/tensor/ops_feature.h"

namespace leat::onnx_ops {

/// Fails with `unsupported` where one of the attributes is there.
void refuse_strings(OnnxNode& node, std::initializer_list<std::string_view> attributes);

/// The attribute post_transform, a name.
ops::ScoreTransform read_transform(OnnxNode& node);

/// The label of the largest of each row of scores (N, labels), i64 (N).
Result<TensorId> add_labels(OnnxNode& node, TensorId scores, const Ints& labels);

/// (N, 2) of one score (N, 1): before it its negative, or what it lacks to 1 (`is_share`).
Result<TensorId> both_scores(OnnxNode& node, TensorId score, bool is_share);

}  // namespace leat::onnx_ops
