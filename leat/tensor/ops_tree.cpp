// See ops_tree.h. The walk is a chain of nodes of kStepsPerNode steps each, whose state is the
// number of the tree's node where a row stands.
#include "leat/tensor/ops_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/tensor/node_writer.h"

namespace leat::ops {
namespace {

constexpr int64_t kStepsPerNode = 4;
/// Entries of the table of votes, which has as many for each node as for the leaf of most: so many
/// in any case, and so many for each node and vote. Leaves that all vote for all classes need two.
constexpr int64_t kVoteTableFree = 1 << 20;
constexpr int64_t kVoteTableEach = 8;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Error beyond(const Place& place, std::string_view what, int64_t value, int64_t limit) {
  return place.error(fmt::format("The {} ({}) is not between 0 and {}.", what, value, limit - 1));
}

Result<void> check_trees(const Place& place, const Trees& trees, int64_t features) {
  const int64_t nodes = static_cast<int64_t>(trees.nodes.size());
  const auto is_in = [](int64_t value, int64_t limit) { return value >= 0 && value < limit; };
  if (nodes > kElementsMax || trees.roots.empty() || trees.targets < 1 ||
      trees.targets > kElementsMax) {
    return place.error(fmt::format("{} nodes, {} trees and {} targets are no ensemble.", nodes,
                                   trees.roots.size(), trees.targets));
  }
  for (int64_t root : trees.roots) {
    if (!is_in(root, nodes)) return beyond(place, "root", root, nodes);
  }
  for (const TreeNode& node : trees.nodes) {
    if (node.test == TreeTest::leaf) continue;
    if (!is_in(node.feature, features)) return beyond(place, "feature", node.feature, features);
    for (int64_t next : {node.yes, node.no}) {
      if (!is_in(next, nodes)) return beyond(place, "branch", next, nodes);
    }
  }
  for (const TreeVote& vote : trees.votes) {
    if (!is_in(vote.target, trees.targets)) {
      return beyond(place, "target", vote.target, trees.targets);
    }
    const bool is_leaf = is_in(vote.leaf, nodes) &&
                         trees.nodes[static_cast<size_t>(vote.leaf)].test == TreeTest::leaf;
    if (!is_leaf) return place.error(fmt::format("The node ({}) votes and is no leaf.", vote.leaf));
  }
  if (trees.base.empty() || static_cast<int64_t>(trees.base.size()) == trees.targets) return {};
  return place.error(fmt::format("The number of base values ({}) is not that of targets ({}).",
                                 trees.base.size(), trees.targets));
}

/// Steps to the farthest leaf. Each node's are known once all behind it are; a walk that meets a
/// node that is still open goes in a circle.
Result<int64_t> depth_of(const Place& place, const Trees& trees) {
  constexpr int64_t kUnseen = -1, kOpen = -2;
  std::vector<int64_t> steps(trees.nodes.size(), kUnseen);
  int64_t depth = 0;
  for (int64_t root : trees.roots) {
    std::vector<int64_t> path = {root};
    while (!path.empty()) {
      const size_t at = static_cast<size_t>(path.back());
      const TreeNode& node = trees.nodes[at];
      if (node.test == TreeTest::leaf) steps[at] = 0;
      int64_t open = kUnseen;
      if (steps[at] < 0) {
        steps[at] = kOpen;
        for (int64_t next : {node.yes, node.no}) {
          if (steps[static_cast<size_t>(next)] == kOpen) {
            return place.error(fmt::format("The branch to node ({}) closes a circle.", next));
          }
          if (steps[static_cast<size_t>(next)] == kUnseen) open = next;
        }
      }
      if (open != kUnseen) {
        path.push_back(open);
        continue;
      }
      if (steps[at] < 0) {
        steps[at] =
            1 + std::max(steps[static_cast<size_t>(node.yes)], steps[static_cast<size_t>(node.no)]);
      }
      path.pop_back();
    }
    depth = std::max(depth, steps[static_cast<size_t>(root)]);
  }
  if (depth <= kTreeDepthMax) return depth;
  return Error(ErrorKind::unsupported,
               fmt::format("The trees' depth ({}) is larger than {}.", depth, kTreeDepthMax))
      .during(fmt::format("adding {} \"{}\"", place.op, place.name));
}

/// The nodes as constants; kNoTensor where all have the same.
struct NodeTables {
  TensorId feature, yes, no, threshold;
  TensorId test = kNoTensor;
  TensorId nan_is_yes = kNoTensor;
  std::vector<TreeTest> tests;  // that occur, but leaf
};

NodeTables node_tables(Graph& graph, const Place& place, const Trees& trees, DType dtype) {
  const int64_t count = static_cast<int64_t>(trees.nodes.size());
  NodeTables tables;
  const auto table = [&](std::string_view what, auto&& entry_of) {
    Ints values;
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(entry_of(trees.nodes[static_cast<size_t>(i)], i));
    }
    return add_table_i32(graph, fmt::format("{}/{}", place.name, what), {count}, values);
  };
  const auto leads = [](const TreeNode& node, int64_t self, int64_t next) {
    return node.test == TreeTest::leaf ? self : next;
  };
  tables.feature = table("feature", [](const TreeNode& node, int64_t) {
    return node.test == TreeTest::leaf ? 0 : node.feature;
  });
  tables.yes =
      table("yes", [&](const TreeNode& node, int64_t i) { return leads(node, i, node.yes); });
  tables.no = table("no", [&](const TreeNode& node, int64_t i) { return leads(node, i, node.no); });
  HostTensor thresholds = HostTensor::zeros(dtype, {count});
  bool any_nan = false;
  for (int64_t i = 0; i < count; ++i) {
    const TreeNode& node = trees.nodes[static_cast<size_t>(i)];
    thresholds.set_number(i, node.threshold);
    any_nan = any_nan || node.nan_is_yes;
    if (node.test == TreeTest::leaf) continue;
    if (std::ranges::find(tables.tests, node.test) == tables.tests.end()) {
      tables.tests.push_back(node.test);
    }
  }
  tables.threshold = graph.add_constant(place.name + "/threshold", std::move(thresholds));
  if (tables.tests.size() > 1) {
    tables.test = table(
        "test", [](const TreeNode& node, int64_t) { return static_cast<int64_t>(node.test); });
  }
  if (any_nan) {
    tables.nan_is_yes = table(
        "nan", [](const TreeNode& node, int64_t) { return int64_t{node.nan_is_yes ? 1 : 0}; });
  }
  return tables;
}

Term passes(TreeTest test, Term value, Term threshold) {
  switch (test) {
    case TreeTest::less_equal: return value <= threshold;
    case TreeTest::less: return value < threshold;
    case TreeTest::greater_equal: return threshold <= value;
    case TreeTest::greater: return threshold < value;
    case TreeTest::equal: return equal(value, threshold);
    case TreeTest::not_equal: return negate(equal(value, threshold));
    case TreeTest::leaf: break;
  }
  return value < value;  // a leaf makes no test
}

/// From the node `state` to the next for row axis(0).
Term next_state(NodeWriter& writer, TensorId x, const NodeTables& tables, Term state) {
  const Term value = writer.load(x, {writer.axis(0), writer.load(tables.feature, {state})});
  const Term threshold = writer.load(tables.threshold, {state});
  Term is_yes = writer.truth(true);
  for (size_t i = 0; i < tables.tests.size(); ++i) {
    const Term passed = passes(tables.tests[i], value, threshold);
    if (i == 0) {
      is_yes = passed;
      continue;
    }
    const double code = static_cast<double>(tables.tests[i]);
    const Term is_its = equal(writer.load(tables.test, {state}), code);
    is_yes = either(both(is_its, passed), both(negate(is_its), is_yes));
  }
  if (tables.nan_is_yes != kNoTensor) {
    const Term tracks = equal(writer.load(tables.nan_is_yes, {state}), 1);
    is_yes = either(is_yes, both(negate(equal(value, value)), tracks));
  }
  const Term no = writer.load(tables.no, {state});
  return select(is_yes, writer.load(tables.yes, {state}), no);
}

/// (N, trees): the leaf of each row in each tree.
Result<TensorId> write_walk(Graph& graph, const Place& place, TensorId x, const Trees& trees,
                            int64_t depth) {
  const NodeTables tables = node_tables(graph, place, trees, dtype_of(graph, x));
  const int64_t count = static_cast<int64_t>(trees.roots.size());
  const Shape shape = {shape_of(graph, x)[0], count};
  TRY(require_shape(place, shape));
  const TensorId roots = add_table_i32(graph, place.name + "/roots", {count}, trees.roots);
  TensorId walked = kNoTensor;
  for (int64_t step = 0; step == 0 || step < depth; step += kStepsPerNode) {
    NodeWriter writer(graph, place, fmt::format("/steps_{}", step));
    Term state = walked == kNoTensor ? writer.load(roots, {writer.axis(1)})
                                     : writer.load(walked, writer.axes(2));
    for (int64_t i = step; i < std::min(step + kStepsPerNode, depth); ++i) {
      state = next_state(writer, x, tables, state);
    }
    TRY_ASSIGN(walked, writer.map(DType::i32, shape, state));
  }
  return walked;
}

/// (nodes, votes of a leaf at most): whom a leaf votes for, -1 for nobody, and with what weight.
struct VoteTables {
  TensorId target, weight;
  int64_t width = 1;
};

Result<VoteTables> vote_tables(Graph& graph, const Place& place, const Trees& trees, DType dtype) {
  const int64_t nodes = static_cast<int64_t>(trees.nodes.size());
  Ints counts(trees.nodes.size(), 0);
  VoteTables tables;
  for (const TreeVote& vote : trees.votes) {
    tables.width = std::max(tables.width, ++counts[static_cast<size_t>(vote.leaf)]);
  }
  const Shape shape = {nodes, tables.width};
  // One leaf of many votes among many leaves of few: not much more memory than theirs.
  const int64_t given = nodes + static_cast<int64_t>(trees.votes.size());
  if (nodes * tables.width > std::max(kVoteTableFree, kVoteTableEach * given)) {
    return place.error(fmt::format("One leaf has many votes ({}) for an ensemble of {} nodes.",
                                   tables.width, nodes));
  }
  TRY(require_shape(place, shape));
  HostTensor targets = HostTensor::zeros(DType::i32, shape);
  for (int64_t at = 0; at < nodes * tables.width; ++at) targets.set_integer(at, -1);
  HostTensor weights = HostTensor::zeros(dtype, shape);
  std::ranges::fill(counts, 0);
  for (const TreeVote& vote : trees.votes) {
    const int64_t at = vote.leaf * tables.width + counts[static_cast<size_t>(vote.leaf)]++;
    targets.set_integer(at, vote.target);
    weights.set_number(at, vote.weight);
  }
  tables.target = graph.add_constant(place.name + "/target", std::move(targets));
  tables.weight = graph.add_constant(place.name + "/weight", std::move(weights));
  return tables;
}

Result<TensorId> write_votes(Graph& graph, const Place& place, TensorId leaves, const Trees& trees,
                             DType dtype) {
  TRY_ASSIGN(const VoteTables tables, vote_tables(graph, place, trees, dtype));
  const Shape out = {shape_of(graph, leaves)[0], trees.targets};
  TRY(require_shape(place, out));
  const bool is_min = trees.aggregate == TreeAggregate::min;
  const bool is_ordered = is_min || trees.aggregate == TreeAggregate::max;
  const double none = is_min ? kInfinity : is_ordered ? -kInfinity : 0;
  NodeWriter writer(graph, place);
  const Term leaf = writer.load(leaves, {writer.axis(0), writer.axis(2)});
  const Term is_its = equal(writer.load(tables.target, {leaf, writer.axis(3)}), writer.axis(1));
  const Term element = select(is_its, writer.load(tables.weight, {leaf, writer.axis(3)}), none);
  Term value = writer.accumulator(element.type());
  if (is_ordered) value = select(equal(value, none), 0, value);
  if (trees.aggregate == TreeAggregate::average) {
    value = value / static_cast<double>(trees.roots.size());
  }
  if (!trees.base.empty()) {
    HostTensor base = HostTensor::zeros(dtype, {trees.targets});
    for (size_t i = 0; i < trees.base.size(); ++i) {
      base.set_number(static_cast<int64_t>(i), trees.base[i]);
    }
    const TensorId table = graph.add_constant(place.name + "/base", std::move(base));
    value = value + writer.load(table, {writer.axis(1)});
  }
  const ReduceOp op = is_min ? ReduceOp::min : is_ordered ? ReduceOp::max : ReduceOp::sum;
  const int64_t count = static_cast<int64_t>(trees.roots.size());
  return writer.reduce(dtype, out, {op, {count, tables.width}, element}, value);
}

}  // namespace

Result<TensorId> tree_scores(Graph& graph, std::string_view name, TensorId x, const Trees& trees) {
  const Place place(graph, "TreeEnsemble", name);
  const DType given = dtype_of(graph, x);
  const Shape shape = shape_of(graph, x);
  if (shape.size() != 2 || !(is_float(given) || is_whole_number(given))) {
    return place.error(fmt::format("The input {} {} is not (rows, features) of numbers.",
                                   name_of(given), to_string(shape)));
  }
  TRY(check_trees(place, trees, shape[1]));
  TRY_ASSIGN(const int64_t depth, depth_of(place, trees));
  const DType dtype = given == DType::f64 ? given : DType::f32;
  TensorId rows = x;
  if (given != dtype) {
    TRY_ASSIGN(rows, cast(graph, place.name + "/wide", x, dtype));
  }
  TRY_ASSIGN(const TensorId leaves, write_walk(graph, place, rows, trees, depth));
  return write_votes(graph, place, leaves, trees, dtype);
}

}  // namespace leat::ops
