// Ensembles of decision trees: tables in memory, and one walk of a fixed number of steps for all
// trees and rows, in which a leaf leads to itself. Source: ONNX operator schemas of the domain
// ai.onnx.ml: TreeEnsemble 5, TreeEnsembleClassifier and TreeEnsembleRegressor 1/3/5.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

enum class TreeTest : uint8_t { less_equal, less, greater_equal, greater, equal, not_equal, leaf };

struct TreeNode {
  TreeTest test = TreeTest::leaf;
  int64_t feature = 0;
  double threshold = 0;
  bool nan_is_yes = false;
  int64_t yes = 0;  // node numbers; of a leaf they are not read
  int64_t no = 0;
};

/// What a leaf adds to a target.
struct TreeVote {
  int64_t leaf = 0;
  int64_t target = 0;
  double weight = 0;
};

enum class TreeAggregate : uint8_t { average, sum, min, max };

struct Trees {
  std::vector<TreeNode> nodes;
  Ints roots;  // one a tree
  std::vector<TreeVote> votes;
  int64_t targets = 1;
  TreeAggregate aggregate = TreeAggregate::sum;
  std::vector<double> base;  // added to each target; empty: zeros
};

/// Steps from a root to the farthest leaf.
inline constexpr int64_t kTreeDepthMax = 256;

/// x (N, F), numbers: (N, targets), f64 where x is, else f32. min and max are over the trees that
/// vote for a target, 0 where none does.
/// Errors: invalid_argument, when a number leaves its range or a walk does not end; unsupported,
/// when trees are deeper than kTreeDepthMax.
Result<TensorId> tree_scores(Graph& graph, std::string_view name, TensorId x, const Trees& trees);

}  // namespace leat::ops
