// ONNX ensembles of decision trees. Source: ONNX operator schemas of ai.onnx.ml: TreeEnsemble 5,
// TreeEnsembleClassifier and TreeEnsembleRegressor 1/3/5, whose nodes are named by tree and number.
#include "leat/tensor/ops_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_scores.h"

namespace leat::onnx_ops {
namespace {

using ops::Reals;
using ops::Trees;
using ops::TreeTest;

Reals numbers_of(const std::optional<HostTensor>& tensor) {
  Reals values;
  if (!tensor) return values;
  for (int64_t i = 0; i < element_count(tensor->shape); ++i) values.push_back(tensor->number(i));
  return values;
}

/// A list of floats, or of doubles as a tensor.
Reals read_numbers(OnnxNode& node, const std::string& attribute) {
  if (node.has_attribute(attribute)) return node.numbers(attribute);
  return numbers_of(node.tensor(attribute + "_as_tensor"));
}

using NodeName = std::pair<int64_t, int64_t>;  // tree, number in it

struct NamedNodes {
  std::vector<NodeName> names;
  std::map<NodeName, int64_t> positions;
};

Result<int64_t> position_of(const NamedNodes& nodes, const NodeName& name) {
  const auto found = nodes.positions.find(name);
  if (found != nodes.positions.end()) return found->second;
  return invalid(fmt::format("Tree {} has no node {}.", name.first, name.second));
}

Result<NamedNodes> read_names(OnnxNode& node) {
  const Ints trees = node.integers("nodes_treeids"), numbers = node.integers("nodes_nodeids");
  if (trees.size() != numbers.size()) {
    return invalid(fmt::format("There are {} tree ids of {} nodes.", trees.size(), numbers.size()));
  }
  NamedNodes nodes;
  for (size_t i = 0; i < trees.size(); ++i) {
    nodes.names.emplace_back(trees[i], numbers[i]);
    if (nodes.positions.emplace(nodes.names.back(), static_cast<int64_t>(i)).second) continue;
    return invalid(fmt::format("Tree {} has node {} twice.", trees[i], numbers[i]));
  }
  return nodes;
}

Result<TreeTest> test_named(const std::string& mode) {
  constexpr std::string_view kNames[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                         "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
  const auto* found = std::ranges::find(kNames, mode);
  if (found != std::end(kNames)) return static_cast<TreeTest>(found - kNames);
  return invalid(fmt::format("The mode \"{}\" of a node is not a known one.", mode));
}

/// The nodes of the two older operators.
Result<Trees> read_named_trees(OnnxNode& node, const NamedNodes& named) {
  node.ignore({"nodes_hitrates", "nodes_hitrates_as_tensor"});
  const size_t count = named.names.size();
  const Ints features = node.integers("nodes_featureids"), yes = node.integers("nodes_truenodeids"),
             no = node.integers("nodes_falsenodeids"),
             tracks = node.integers("nodes_missing_value_tracks_true");
  const std::vector<std::string> modes = node.texts("nodes_modes");
  const Reals thresholds = read_numbers(node, "nodes_values");
  if (features.size() != count || yes.size() != count || no.size() != count ||
      modes.size() != count || thresholds.size() != count ||
      (!tracks.empty() && tracks.size() != count)) {
    return invalid(fmt::format("The lists of the nodes do not all have {} entries.", count));
  }
  Trees trees;
  std::vector<bool> is_reached(count, false);
  for (size_t i = 0; i < count; ++i) {
    ops::TreeNode entry = {.feature = features[i],
                           .threshold = thresholds[i],
                           .nan_is_yes = !tracks.empty() && tracks[i] != 0};
    TRY_ASSIGN(entry.test, test_named(modes[i]));
    if (entry.test != TreeTest::leaf) {
      const int64_t tree = named.names[i].first;
      TRY_ASSIGN(entry.yes, position_of(named, {tree, yes[i]}));
      TRY_ASSIGN(entry.no, position_of(named, {tree, no[i]}));
      is_reached[static_cast<size_t>(entry.yes)] = true;
      is_reached[static_cast<size_t>(entry.no)] = true;
    }
    trees.nodes.push_back(entry);
  }
  std::set<int64_t> rooted;
  for (size_t i = 0; i < count; ++i) {
    if (is_reached[i]) continue;
    trees.roots.push_back(static_cast<int64_t>(i));
    if (rooted.insert(named.names[i].first).second) continue;
    return invalid(fmt::format("Tree {} has two roots.", named.names[i].first));
  }
  return trees;
}

/// The leaves' votes from the lists "PART_treeids", "PART_nodeids", "PART_ids", "PART_weights".
Result<std::vector<ops::TreeVote>> read_votes(OnnxNode& node, const std::string& part,
                                              const NamedNodes& named) {
  const Ints trees = node.integers(part + "_treeids"), numbers = node.integers(part + "_nodeids"),
             targets = node.integers(part + "_ids");
  const Reals weights = read_numbers(node, part + "_weights");
  if (numbers.size() != trees.size() || targets.size() != trees.size() ||
      weights.size() != trees.size()) {
    return invalid(fmt::format("The lists of the votes do not all have {} entries.", trees.size()));
  }
  std::vector<ops::TreeVote> votes;
  for (size_t i = 0; i < trees.size(); ++i) {
    TRY_ASSIGN(const int64_t leaf, position_of(named, {trees[i], numbers[i]}));
    votes.push_back({leaf, targets[i], weights[i]});
  }
  return votes;
}

ops::TreeAggregate read_aggregate(OnnxNode& node) {
  constexpr std::string_view kNames[] = {"AVERAGE", "SUM", "MIN", "MAX"};
  const std::string name = node.text("aggregate_function", "SUM");
  const auto* found = std::ranges::find(kNames, name);
  if (found != std::end(kNames)) return static_cast<ops::TreeAggregate>(found - kNames);
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"aggregate_function\" (\"{}\") is not a known one.", name));
  return ops::TreeAggregate::sum;
}

/// Both older operators give f32.
Result<TensorId> add_scores(OnnxNode& node, const std::string& name, const Trees& trees) {
  TRY_ASSIGN(const TensorId scores,
             ops::tree_scores(node.graph(), name + "/trees", node.input(0), trees));
  return ops::cast(node.graph(), name + "/f32", scores, DType::f32);
}

Result<TensorId> import_regressor(OnnxNode& node) {
  TRY_ASSIGN(const NamedNodes named, read_names(node));
  TRY_ASSIGN(Trees trees, read_named_trees(node, named));
  TRY_ASSIGN(trees.votes, read_votes(node, "target", named));
  trees.targets = node.integer("n_targets", 1);
  trees.aggregate = read_aggregate(node);
  trees.base = read_numbers(node, "base_values");
  const ops::ScoreTransform transform = read_transform(node);
  TRY_ASSIGN(const TensorId scores, add_scores(node, node.name(), trees));
  return ops::transform_scores(node.graph(), node.name(), scores, transform);
}

/// Of two classes all leaves may vote for one, the second: its score alone decides.
Result<TensorId> add_single_score(OnnxNode& node, Trees& trees, ops::ScoreTransform transform) {
  bool any_negative = false;
  for (ops::TreeVote& vote : trees.votes) {
    vote.target = 0;
    any_negative = any_negative || vote.weight < 0;
  }
  trees.targets = 1;
  if (trees.base.size() == 2) trees.base.erase(trees.base.begin());
  const bool is_plain =
      transform == ops::ScoreTransform::none || transform == ops::ScoreTransform::probit;
  TRY_ASSIGN(const TensorId score, add_scores(node, node.name(), trees));
  return both_scores(node, score, is_plain && !any_negative);
}

Result<TensorId> import_classifier(OnnxNode& node) {
  refuse_strings(node, {"classlabels_strings"});
  const Ints labels = node.integers("classlabels_int64s");
  TRY_ASSIGN(const NamedNodes named, read_names(node));
  TRY_ASSIGN(Trees trees, read_named_trees(node, named));
  TRY_ASSIGN(trees.votes, read_votes(node, "class", named));
  trees.targets = static_cast<int64_t>(labels.size());
  trees.base = read_numbers(node, "base_values");
  const ops::ScoreTransform transform = read_transform(node);
  if (labels.size() < 2) {
    node.fail(ErrorKind::unsupported, "TreeEnsembleClassifier with less than 2 labels.");
  }
  if (node.failure()) return *node.failure();
  const bool is_single = labels.size() == 2 && !trees.votes.empty() &&
                         std::ranges::all_of(trees.votes, [&](const ops::TreeVote& vote) {
                           return vote.target == trees.votes[0].target;
                         });
  TRY_ASSIGN(TensorId scores, is_single ? add_single_score(node, trees, transform)
                                        : add_scores(node, node.name(), trees));
  TRY_ASSIGN(scores,
             ops::transform_scores(node.graph(), node.name() + "/scores", scores, transform));
  node.set_output(1, scores);
  return add_labels(node, scores, labels);
}

// --- TreeEnsemble
// ---------------------------------------------------------------------------------

/// Sets, each ended by NaN.
std::vector<Reals> split_sets(const Reals& values) {
  std::vector<Reals> sets(1);
  for (double value : values) {
    if (std::isnan(value)) {
      sets.emplace_back();
    } else {
      sets.back().push_back(value);
    }
  }
  return sets;
}

/// A test of membership becomes a chain of tests of equality, the first in its place.
void expand_membership(Trees& trees, size_t at, const Reals& set) {
  ops::TreeNode test = trees.nodes[at];
  test.test = TreeTest::equal;
  test.threshold = set.empty() ? std::nan("") : set[0];
  const ops::TreeNode whole = test;
  trees.nodes[at] = test;
  for (size_t i = 1; i < set.size(); ++i) {
    trees.nodes[at].no = static_cast<int64_t>(trees.nodes.size());
    at = trees.nodes.size();
    test = whole;
    test.threshold = set[i];
    test.nan_is_yes = false;  // the first has asked
    trees.nodes.push_back(test);
  }
}

struct BranchLists {
  Ints ids;
  Ints leaf_flags;
};

/// Leaves stand behind the inner nodes.
Result<int64_t> branch_of(const BranchLists& lists, size_t i, int64_t leaves) {
  const int64_t inner = static_cast<int64_t>(lists.ids.size()), id = lists.ids[i];
  const bool is_leaf = lists.leaf_flags[i] != 0;
  const int64_t limit = is_leaf ? leaves : inner;
  if (id >= 0 && id < limit) return is_leaf ? inner + id : id;
  return invalid(
      fmt::format("The branch ({}) of node {} is not between 0 and {}.", id, i, limit - 1));
}

constexpr double kMember = 6;  // of nodes_modes; those before are TreeTest's

/// Adds the inner nodes; the leaves follow, then what membership takes.
Result<void> read_inner_nodes(OnnxNode& node, Trees& trees, int64_t leaves) {
  const BranchLists yes = {node.integers("nodes_truenodeids"), node.integers("nodes_trueleafs")};
  const BranchLists no = {node.integers("nodes_falsenodeids"), node.integers("nodes_falseleafs")};
  const Ints features = node.integers("nodes_featureids"),
             tracks = node.integers("nodes_missing_value_tracks_true");
  const Reals modes = numbers_of(node.tensor("nodes_modes")),
              splits = numbers_of(node.tensor("nodes_splits"));
  const std::vector<Reals> sets = split_sets(numbers_of(node.tensor("membership_values")));
  const size_t count = features.size();
  for (size_t size : {yes.ids.size(), yes.leaf_flags.size(), no.ids.size(), no.leaf_flags.size(),
                      modes.size(), splits.size(), tracks.empty() ? count : tracks.size()}) {
    if (size == count) continue;
    return invalid(fmt::format("The lists of the nodes have {} and {} entries.", count, size));
  }
  for (size_t i = 0; i < count; ++i) {
    if (!(modes[i] >= 0 && modes[i] <= kMember)) {
      return invalid(fmt::format("The mode ({}) of node {} is not a known one.", modes[i], i));
    }
    ops::TreeNode entry = {.test = static_cast<TreeTest>(static_cast<int>(modes[i])),
                           .feature = features[i],
                           .threshold = splits[i],
                           .nan_is_yes = !tracks.empty() && tracks[i] != 0};
    TRY_ASSIGN(entry.yes, branch_of(yes, i, leaves));
    TRY_ASSIGN(entry.no, branch_of(no, i, leaves));
    trees.nodes.push_back(entry);
  }
  trees.nodes.resize(count + static_cast<size_t>(leaves));
  size_t next = 0;
  for (size_t i = 0; i < count; ++i) {
    if (modes[i] != kMember) continue;
    if (next >= sets.size()) {
      return invalid(fmt::format("There are {} sets, less than tests of membership.", sets.size()));
    }
    expand_membership(trees, i, sets[next++]);
  }
  return {};
}

Result<TensorId> import_ensemble(OnnxNode& node) {
  node.ignore({"nodes_hitrates"});
  const Ints targets = node.integers("leaf_targetids");
  const Reals weights = numbers_of(node.tensor("leaf_weights"));
  if (targets.size() != weights.size()) {
    return invalid(
        fmt::format("There are {} targets of {} leaves.", targets.size(), weights.size()));
  }
  const int64_t inner = static_cast<int64_t>(node.integers("nodes_featureids").size());
  Trees trees;
  TRY(read_inner_nodes(node, trees, static_cast<int64_t>(targets.size())));
  for (size_t i = 0; i < targets.size(); ++i) {
    trees.votes.push_back({inner + static_cast<int64_t>(i), targets[i], weights[i]});
  }
  trees.roots = node.integers("tree_roots");
  trees.targets = node.integer("n_targets", 1);
  const int64_t aggregate = node.integer("aggregate_function", 1);
  const int64_t transform = node.integer("post_transform", 0);
  if (aggregate < 0 || aggregate > 3 || transform < 0 || transform > 4) {
    return invalid(
        fmt::format("The aggregate function ({}) or the transform ({}) is not a known "
                    "one.",
                    aggregate, transform));
  }
  trees.aggregate = static_cast<ops::TreeAggregate>(aggregate);
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(TensorId scores,
             ops::tree_scores(node.graph(), node.name() + "/trees", node.input(0), trees));
  TRY_ASSIGN(scores, ops::cast(node.graph(), node.name() + "/cast", scores, node.dtype(0)));
  return ops::transform_scores(node.graph(), node.name(), scores,
                               static_cast<ops::ScoreTransform>(transform));
}

constexpr std::string_view kDomain = "ai.onnx.ml";

constexpr OnnxOperator kOperators[] = {
    {"TreeEnsemble", 5, 1, 1, 1, "float", import_ensemble, "depth up to 256", kDomain},
    {"TreeEnsembleRegressor", 1, 1, 1, 1, "float, int", import_regressor, "depth up to 256",
     kDomain},
    {"TreeEnsembleClassifier", 1, 1, 1, 2, "float, int", import_classifier,
     "labels are whole numbers; depth up to 256", kDomain},
};

}  // namespace

std::span<const OnnxOperator> tree_operators() { return kOperators; }

}  // namespace leat::onnx_ops
