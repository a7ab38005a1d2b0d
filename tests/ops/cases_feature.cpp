// Rows of classical models on rows of features, and of steps of training.
#include <limits>
#include <string>

#include "leat/tensor/ops_feature.h"
#include "leat/tensor/ops_optimizer.h"
#include "leat/tensor/ops_tree.h"
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

void add_row_cases(OpCases& cases) {
  cases.push_back({"binarize", [](OpGraph& g) {
                     return binarize(g.graph, "y", g.feed({5, 7}), 0.25);
                   }});
  cases.push_back({"scale_features", [](OpGraph& g) {
                     const TensorId x = g.feed({5, 3}, DType::i64, -9, 9);
                     return scale_features(g.graph, "y", x, {{1, 2, 3}, {0.5}});
                   }});
  for (RowNorm norm : {RowNorm::max, RowNorm::l1, RowNorm::l2}) {
    cases.push_back(
        {"normalize_rows_" + std::to_string(static_cast<int>(norm)), [norm](OpGraph& g) {
           return normalize_rows(g.graph, "y", g.feed({5, 7}), norm);
         }});
  }
  cases.push_back({"impute", [](OpGraph& g) {
                     const double nan = std::numeric_limits<double>::quiet_NaN();
                     const TensorId x = g.feed_values({2, 3}, {1, nan, 2, nan, 3, nan});
                     return impute(g.graph, "y", x, {nan, {7, 8, 9}});
                   }});
  cases.push_back({"encode_labels", [](OpGraph& g) {
                     const TensorId x = g.feed({40}, DType::i64, -3, 7);
                     LabelTable table = {.keys = HostTensor::zeros(DType::i64, {5}),
                                         .values = HostTensor::zeros(DType::f32, {5}),
                                         .fallback = HostTensor::zeros(DType::f32, {})};
                     for (int64_t i = 0; i < 5; ++i) {
                       table.keys.set_integer(i, i * i % 5);
                       table.values.set_number(i, static_cast<double>(i) + 0.5);
                     }
                     return encode_labels(g.graph, "y", x, table);
                   }});
  const std::pair<std::string, ScoreTransform> transforms[] = {
      {"softmax_zero", ScoreTransform::softmax_zero}, {"probit", ScoreTransform::probit}};
  for (const auto& [name, each_transform] : transforms) {
    cases.push_back({"scores_" + name,
                     [transform = each_transform](OpGraph& g) {
                       const TensorId x = g.feed({6, 5}, DType::f32, 0.1, 0.9);
                       return transform_scores(g.graph, "y", x, transform);
                     },
                     1e-5});
  }
  cases.push_back({"svm_regress",
                   [](OpGraph& g) {
                     const SvmOptions options = {.kernel = SvmKernel::rbf,
                                                 .gamma = 0.5,
                                                 .supports = 2,
                                                 .vectors = {0.5, -0.5, 1, 0.25, -1, 0.75},
                                                 .coefficients = {2, -1},
                                                 .rho = 0.5};
                     return svm_regress(g.graph, "y", g.feed({9, 3}), options);
                   },
                   4e-6});
  cases.push_back({"count_grams", [](OpGraph& g) {
                     const GramOptions options = {.shortest = 1,
                                                  .longest = 2,
                                                  .skips_max = 3,
                                                  .pool = {1, 3, 1, 2, 2, 2},
                                                  .starts = {0, 2},
                                                  .positions = {4, 0, 1, 3},
                                                  .weights = {1, 2, 3, 4},
                                                  .weight = GramWeight::tfidf};
                     return count_grams(g.graph, "y", g.feed({3, 20}, DType::i64, 0, 4), options);
                   }});
}

/// A tree of four levels for each feature, with every test.
Trees sample_trees(TreeAggregate aggregate) {
  Trees trees = {.targets = 2, .aggregate = aggregate, .base = {0.5, -0.5}};
  for (int64_t tree = 0; tree < 3; ++tree) {
    const int64_t root = static_cast<int64_t>(trees.nodes.size());
    trees.roots.push_back(root);
    for (int64_t i = 0; i < 31; ++i) {
      TreeNode node = {.test = static_cast<TreeTest>(i % 6),
                       .feature = (tree + i) % 3,
                       .threshold = static_cast<double>(i % 5) * 0.3 - 0.6,
                       .nan_is_yes = i % 7 == 0,
                       .yes = root + 2 * i + 1,
                       .no = root + 2 * i + 2};
      if (i >= 15) {
        node.test = TreeTest::leaf;
        trees.votes.push_back(
            {root + i, i % 2, static_cast<double>(i) / 4 - static_cast<double>(tree)});
        if (i % 3 == 0) trees.votes.push_back({root + i, 0, 1});
      }
      trees.nodes.push_back(node);
    }
  }
  return trees;
}

void add_optimizer_cases(OpCases& cases) {
  const auto inputs_of = [](OpGraph& g) {
    return OptimizerInputs{.rate = g.feed_values({}, {0.1}),
                           .count = g.feed_values({}, {3}, DType::i64),
                           .x = g.feed({3, 4}),
                           .gradient = g.feed({3, 4}),
                           .momentum = g.feed({3, 4}),
                           .squares = g.feed({3, 4}, DType::f32, 0.1, 2)};
  };
  cases.push_back(
      {"adagrad", [=](OpGraph& g) -> Result<TensorId> {
         TRY_ASSIGN(const OptimizerResult step, adagrad(g.graph, "y", inputs_of(g), {0.1, 0.1}));
         g.graph.outputs.push_back(step.squares);
         return step.x;
       }});
  cases.push_back({"adam",
                   [=](OpGraph& g) -> Result<TensorId> {
                     TRY_ASSIGN(const OptimizerResult step,
                                adam(g.graph, "y", inputs_of(g), {.norm = 0.1}));
                     g.graph.outputs = {step.momentum, step.squares};
                     return step.x;
                   },
                   4e-6});
  cases.push_back({"momentum", [=](OpGraph& g) -> Result<TensorId> {
                     TRY_ASSIGN(const OptimizerResult step,
                                momentum(g.graph, "y", inputs_of(g), {0.1, 0.9, 0.5, true}));
                     g.graph.outputs.push_back(step.momentum);
                     return step.x;
                   }});
}

}  // namespace

void add_feature_cases(OpCases& cases) {
  add_row_cases(cases);
  const std::pair<std::string, TreeAggregate> aggregates[] = {{"sum", TreeAggregate::sum},
                                                              {"min", TreeAggregate::min}};
  for (const auto& [name, each_aggregate] : aggregates) {
    cases.push_back({"tree_scores_" + name, [aggregate = each_aggregate](OpGraph& g) {
                       return tree_scores(g.graph, "y", g.feed({20, 3}), sample_trees(aggregate));
                     }});
  }
  add_optimizer_cases(cases);
}

}  // namespace leat
