// Ensembles of trees against a walk from node to node.
#include "leat/tensor/ops_tree.h"

#include <cmath>
#include <functional>
#include <limits>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

bool passes(const TreeNode& node, double value) {
  if (std::isnan(value) && node.nan_is_yes) return true;
  switch (node.test) {
    case TreeTest::less_equal: return value <= node.threshold;
    case TreeTest::less: return value < node.threshold;
    case TreeTest::greater_equal: return value >= node.threshold;
    case TreeTest::greater: return value > node.threshold;
    case TreeTest::equal: return value == node.threshold;
    case TreeTest::not_equal: return value != node.threshold;
    case TreeTest::leaf: break;
  }
  return false;
}

Numbers walked(const Trees& trees, const Numbers& row) {
  const double infinity = std::numeric_limits<double>::infinity();
  const bool is_min = trees.aggregate == TreeAggregate::min;
  const bool is_max = trees.aggregate == TreeAggregate::max;
  Numbers scores(static_cast<size_t>(trees.targets), is_min ? infinity : is_max ? -infinity : 0);
  for (int64_t at : trees.roots) {
    const auto node = [&]() -> const TreeNode& { return trees.nodes[static_cast<size_t>(at)]; };
    while (node().test != TreeTest::leaf) {
      at = passes(node(), row[static_cast<size_t>(node().feature)]) ? node().yes : node().no;
    }
    for (const TreeVote& vote : trees.votes) {
      if (vote.leaf != at) continue;
      double& score = scores[static_cast<size_t>(vote.target)];
      score = is_min   ? std::min(score, vote.weight)
              : is_max ? std::max(score, vote.weight)
                       : score + vote.weight;
    }
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isinf(scores[i])) scores[i] = 0;
    if (trees.aggregate == TreeAggregate::average) {
      scores[i] /= static_cast<double>(trees.roots.size());
    }
    if (!trees.base.empty()) scores[i] += trees.base[i];
  }
  return scores;
}

/// Two trees: one of all six tests in a chain, one that is a leaf.
Trees sample_trees() {
  Trees trees = {.nodes = {},
                 .roots = {0, 13},
                 .votes = {},
                 .targets = 3,
                 .aggregate = TreeAggregate::sum,
                 .base = {1, 2, 3}};
  for (int64_t i = 0; i < 6; ++i) {
    trees.nodes.push_back({.test = static_cast<TreeTest>(i),
                           .feature = i % 2,
                           .threshold = static_cast<double>(i % 3) - 1,
                           .nan_is_yes = i == 4,
                           .yes = i < 5 ? i + 1 : 12,
                           .no = 6 + i});
  }
  trees.nodes.resize(14);
  for (int64_t leaf = 6; leaf < 14; ++leaf) {
    trees.votes.push_back({leaf, leaf % 2, static_cast<double>(leaf) / 2});
    if (leaf % 3 == 0) trees.votes.push_back({leaf, 0, -static_cast<double>(leaf)});
  }
  return trees;
}

TEST(Trees, AllTestsAggregatesAndTypes) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Numbers rows;
  for (double a : {-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, nan}) {
    for (double b : {-2.0, -1.0, 0.0, 1.0, 3.0, nan}) rows.insert(rows.end(), {a, b});
  }
  Trees trees = sample_trees();
  const int64_t count = static_cast<int64_t>(rows.size() / 2);
  for (TreeAggregate aggregate :
       {TreeAggregate::average, TreeAggregate::sum, TreeAggregate::min, TreeAggregate::max}) {
    trees.aggregate = aggregate;
    Numbers expected;
    for (size_t i = 0; i < rows.size(); i += 2) {
      const Numbers scores = walked(trees, {rows[i], rows[i + 1]});
      expected.insert(expected.end(), scores.begin(), scores.end());
    }
    Probe probe;
    for (DType dtype : {DType::f32, DType::f64, DType::f16}) {
      const TensorId x = probe.feed({count, 2}, rows, dtype);
      expect_close(probe.numbers(tree_scores(probe.graph, "", x, trees)), expected, kRounding);
    }
  }
}

TEST(Trees, DeepOnesAreChainsOfNodes) {
  Trees trees;
  for (int64_t i = 0; i < 100; ++i) {
    trees.nodes.push_back({.test = TreeTest::less,
                           .threshold = static_cast<double>(i),
                           .yes = 100,
                           .no = i < 99 ? i + 1 : 101});
  }
  trees.nodes.resize(102);
  trees.roots = {0};
  trees.votes = {{100, 0, 1}, {101, 0, 2}};
  Probe probe;
  const TensorId x = probe.feed({3, 1}, {50, 98.5, 99});
  EXPECT_EQ(probe.numbers(tree_scores(probe.graph, "", x, trees)), (Numbers{1, 1, 2}));
  trees.nodes.insert(trees.nodes.begin(), 200, TreeNode{});
  for (size_t i = 0; i < 200; ++i) {
    trees.nodes[i] = {.test = TreeTest::less,
                      .yes = static_cast<int64_t>(i) + 1,
                      .no = static_cast<int64_t>(i) + 1};
  }
  for (size_t i = 200; i < 300; ++i) {
    trees.nodes[i].yes += 200;
    trees.nodes[i].no += 200;
  }
  trees.votes = {};
  const auto deep = tree_scores(probe.graph, "t", x, trees);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().kind(), ErrorKind::unsupported);
}

TEST(Trees, RefusesWhatIsNoTree) {
  Probe probe;
  const TensorId x = probe.feed({1, 2}, Numbers(2));
  const auto refused = [&](const std::function<void(Trees&)>& spoil, const std::string& part) {
    Trees bad = sample_trees();
    spoil(bad);
    expect_error(tree_scores(probe.graph, "t", x, bad), part);
  };
  refused([](Trees& t) { t.nodes[5].no = 0; }, "circle");
  refused([](Trees& t) { t.nodes[2].yes = 2; }, "circle");
  refused([](Trees& t) { t.nodes[0].feature = 2; }, "feature (2)");
  refused([](Trees& t) { t.nodes[0].yes = 14; }, "branch (14)");
  refused([](Trees& t) { t.roots = {-1}; }, "root (-1)");
  refused([](Trees& t) { t.roots = {}; }, "0 trees");
  refused([](Trees& t) { t.votes[0].target = 3; }, "target (3)");
  refused([](Trees& t) { t.votes[0].leaf = 0; }, "(0)");
  refused([](Trees& t) { t.base = {1}; }, "(1)");
  refused([](Trees& t) { t.votes.resize(5000, t.votes[0]), t.nodes.resize(100000); }, "many votes");
  refused([](Trees& t) { t.votes.resize(500'000, t.votes[0]), t.nodes.resize(120); }, "many votes");
  expect_error(tree_scores(probe.graph, "t", probe.feed({2}, Numbers(2)), sample_trees()), "(2)");
}

}  // namespace
}  // namespace leat::ops
