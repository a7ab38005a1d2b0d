// See whole_sums.h.
#include "leat/schedule/whole_sums.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "leat/base/target_facts.h"
#include "leat/schedule/fuse.h"
#include "leat/tensor/contraction.h"

namespace leat {

namespace {

/// The innermost k are whole groups of what a dot product takes. Others would be put together byte
/// by byte, four loads and their shifts for each word of a row, and with few columns that costs
/// more than the multiply-adds of floats that it saves.
constexpr int64_t kGroup = 4;

/// A float that is `whole`, an i32 of bytes, times what stands still while k moves.
struct Scaled {
  ExprId whole = kNoExpr;
  ExprId scale = kNoExpr;
};

std::optional<Scaled> scaled(const ExprTree& tree, ExprId id) {
  const ExprNode& product = tree.node(id);
  if (product.kind != ExprKind::apply || product.op != ScalarOp::mul) return std::nullopt;
  const ExprNode& number = tree.node(product.arguments[0]);
  if (number.kind != ExprKind::apply || number.op != ScalarOp::to_f32) return std::nullopt;
  const ExprId whole = number.arguments[0];
  if (tree.type(whole) != ScalarType::i32) return std::nullopt;
  return Scaled{whole, product.arguments[1]};
}

bool is_byte(DType dtype) { return dtype == DType::i8 || dtype == DType::u8; }

/// The input that the node's only result is a dequantisation of, if it is one.
std::optional<uint32_t> dequantised_input(const Graph& graph, const Node& node) {
  if (!is_map(node) || node.results.size() != 1 || !is_whole(graph, node, node.results[0])) {
    return std::nullopt;
  }
  if (graph.tensors[node.results[0].output].dtype != DType::f32) return std::nullopt;
  const ExprTree& tree = node.exprs;
  const auto value = scaled(tree, node.results[0].value);
  if (!value) return std::nullopt;
  const ExprNode& whole = tree.node(value->whole);
  const bool is_less = whole.kind == ExprKind::apply && whole.op == ScalarOp::sub;
  const ExprNode& load = is_less ? tree.node(whole.arguments[0]) : whole;
  if (load.kind != ExprKind::load || load.mask != kNoExpr) return std::nullopt;
  if (!is_byte(graph.tensors[node.inputs[load.index]].dtype)) return std::nullopt;
  return load.index;
}

/// Whether no reduced axis moves it, and what is masked is at the same place for all axes: it is
/// computed behind the sum, where no mask holds.
bool stands_still(const Node& node, ExprId id) {
  const ExprNode& expr = node.exprs.node(id);
  switch (expr.kind) {
    case ExprKind::constant: return true;
    case ExprKind::axis: return expr.index < node.extents.size();
    case ExprKind::accumulator: return false;
    case ExprKind::load:
      return std::ranges::all_of(expr.indices, [&](ExprId index) {
        const bool is_one_place = node.exprs.node(index).kind == ExprKind::constant;
        return is_one_place || (expr.mask == kNoExpr && stands_still(node, index));
      });
    case ExprKind::apply:
      return std::ranges::all_of(expr.arguments, [&](ExprId argument) {
        return argument == kNoExpr || stands_still(node, argument);
      });
  }
  return false;
}

/// The largest magnitude of a factor.
double reach_of(const Graph& graph, const Node& node, ExprId whole) {
  const ExprNode& top = node.exprs.node(whole);
  const bool is_less = top.kind == ExprKind::apply;
  const ExprNode& load = is_less ? node.exprs.node(top.arguments[0]) : top;
  const bool has_sign = graph.tensors[node.inputs[load.index]].dtype == DType::i8;
  const double low = has_sign ? -128 : 0, high = has_sign ? 127 : 255;
  if (!is_less) return std::max(-low, high);
  const ExprNode& less = node.exprs.node(top.arguments[1]);
  if (less.kind != ExprKind::constant) return high - low;
  const auto shift = static_cast<double>(less.integer);
  return std::max(std::abs(low - shift), std::abs(high - shift));
}

class WholeSums {
 public:
  WholeSums(Graph& graph, const Target& target) : graph_(graph), target_(target) {
    makers_.resize(graph.tensors.size(), nullptr);
    views_.resize(graph.tensors.size(), nullptr);
    for (const Node& node : graph.nodes) {
      if (dequantised_input(graph, node)) makers_[node.results[0].output] = &node;
      const bool is_view =
          moves_only(node) && !node.reshape && is_whole(graph, node, node.results[0]);
      if (is_view) views_[node.results[0].output] = &node;
    }
  }

  bool run() {
    bool changed = false;
    for (Node& node : graph_.nodes) {
      std::optional<Node> whole = summed(node);
      if (!whole) continue;
      node = std::move(*whole);
      changed = true;
    }
    return changed;
  }

 private:
  std::optional<Node> summed(const Node& node) const {
    if (node.reduce_op != ReduceOp::sum) return std::nullopt;
    const auto floats = find_contraction(graph_, node);
    if (!floats || !may_be_whole(*floats)) return std::nullopt;
    const TensorId a = node.inputs[floats->a.input];
    TensorId b = node.inputs[floats->b.input];
    if (a == b || makers_[a] == nullptr) return std::nullopt;
    Node whole = node;
    // Weights may be turned first; they are packed in any case.
    for (; makers_[b] == nullptr && views_[b] != nullptr; b = views_[b]->inputs[0]) {
      substitute(whole, *views_[b], b);
    }
    if (makers_[b] == nullptr) return std::nullopt;
    const TensorId weights = makers_[b]->inputs[*dequantised_input(graph_, *makers_[b])];
    if (!graph_.tensors[weights].constant) return std::nullopt;
    substitute(whole, *makers_[a], a);
    substitute(whole, *makers_[b], b);
    if (whole.inputs.size() + 1 > target_.buffer_bindings_max) return std::nullopt;
    const auto product = find_contraction(graph_, whole);
    if (!product) return std::nullopt;
    return of_whole_numbers(whole, *product);
  }

  static bool may_be_whole(const Contraction& floats) {
    if (floats.type != ScalarType::f32 || !floats.a.is_plain() || !floats.b.is_plain())
      return false;
    if (floats.k.empty() || floats.k.back() % kGroup != 0) return false;
    const size_t last = floats.axes.size() - 1;  // its k are together inside or outside
    for (size_t d = 0; d < floats.a.index.size(); ++d) {
      if (floats.a.bounded[d] && floats.a.index[d].coefficients[last] != 0) return false;
    }
    return true;
  }

  std::optional<Node> of_whole_numbers(const Node& node, const Contraction& product) const {
    const auto a = scaled(node.exprs, product.a.value), b = scaled(node.exprs, product.b.value);
    if (!a || !b || product.b.inside != kNoExpr) return std::nullopt;
    if (!stands_still(node, a->scale) || !stands_still(node, b->scale)) return std::nullopt;
    const double reach = static_cast<double>(element_count(node.reduce)) *
                         reach_of(graph_, node, a->whole) * reach_of(graph_, node, b->whole);
    if (reach > std::numeric_limits<int32_t>::max()) return std::nullopt;
    Node result = node;
    ExprTree& tree = result.exprs;
    tree = {};
    ExprId a_whole = copy_expr(node.exprs, a->whole, tree, {});
    if (product.a.inside != kNoExpr) {
      const ExprId inside = copy_expr(node.exprs, product.a.inside, tree, {});
      a_whole = tree.apply(ScalarOp::select, inside, a_whole, tree.constant_int(0));
    }
    result.element = tree.apply(ScalarOp::mul, a_whole, copy_expr(node.exprs, b->whole, tree, {}));
    ExprSubstitution unmasked;
    unmasked.load = [&](const ExprNode& load, const std::vector<ExprId>& indices, ExprId) {
      return tree.load_as(load, load.index, indices, kNoExpr);
    };
    // The scales may be as large and as small as floats are, so each meets the sum by itself.
    ExprSubstitution ended;
    ended.accumulator = tree.apply(ScalarOp::to_f32, tree.accumulator(ScalarType::i32));
    for (const ExprId scale : {a->scale, b->scale}) {
      ended.accumulator = tree.apply(ScalarOp::mul, ended.accumulator,
                                     copy_expr(node.exprs, scale, tree, unmasked));
    }
    NodeResult& stored = result.results[0];
    stored.value = copy_expr(node.exprs, stored.value, tree, ended);
    return result;
  }

  Graph& graph_;
  const Target& target_;
  // By tensor: the dequantisation that makes it, or what only moves elements. A product is neither.
  std::vector<const Node*> makers_, views_;
};

}  // namespace

bool sum_whole_numbers(Graph& graph, const Target& target) {
  if (!facts_of(target).has_dot_us || !target.uniform_loads_broadcast) return false;
  return WholeSums(graph, target).run();
}

}  // namespace leat
