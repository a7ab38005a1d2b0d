// See join_concats.h.
#include "leat/schedule/join_concats.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "leat/tensor/contraction.h"

namespace leat {

namespace {

/// Of a tensor that is put together of more, the parts are not taken apart further; nor when the
/// parts of all are so many for each node: work and memory stay linear in what a file says.
constexpr size_t kPartsMax = 512, kPartsPerNode = 16;
/// Larger tensors with a part that are looked at.
constexpr size_t kWholesMax = 8;
/// Extents and offsets keep so many elements of alignment: what a vector of 16-bit elements has.
constexpr int64_t kAligned = 8;

/// `tensor` lies in another one from `offset` on.
struct Part {
  TensorId tensor = kNoTensor;
  Shape offset;
};

/// How a node that only copies its one input into a region of its output does that.
std::optional<Part> copied_part(const Graph& graph, const Node& node) {
  const bool fits =
      is_map(node) && !node.reshape && node.results.size() == 1 && node.inputs.size() == 1 &&
      graph.tensors[node.inputs[0]].shape == node.extents &&
      graph.tensors[node.inputs[0]].dtype == graph.tensors[node.results[0].output].dtype;
  if (!fits) return std::nullopt;
  const NodeResult& result = node.results[0];
  const size_t rank = node.extents.size();
  const ExprNode& load = node.exprs.node(result.value);
  if (load.kind != ExprKind::load || load.mask != kNoExpr || load.indices.size() != rank ||
      result.index.size() != rank) {
    return std::nullopt;
  }
  Part part = {node.inputs[0], {}};
  for (size_t d = 0; d < rank; ++d) {
    const auto read = affine_of(node.exprs, load.indices[d], rank);
    if (!read || *read != affine_axis(rank, d)) return std::nullopt;
    if (result.index[d].coefficients != affine_axis(rank, d).coefficients) return std::nullopt;
    part.offset.push_back(result.index[d].constant);
  }
  return part;
}

Shape sum_of(const Shape& a, const Shape& b) {
  Shape sum = a;
  for (size_t d = 0; d < sum.size(); ++d) sum[d] += b[d];
  return sum;
}

int64_t alignment_of(int64_t extent) {
  int64_t aligned = 1;
  while (aligned < kAligned && extent % (2 * aligned) == 0) aligned *= 2;
  return aligned;
}

/// `reader` with its loads of `from` turned into loads of `to`, where `from` lies from `offset` on.
Node redirected(const Node& reader, TensorId from, TensorId to, const Shape& offset) {
  Node moved = reader;
  moved.exprs = {};
  std::erase(moved.inputs, from);
  if (std::ranges::find(moved.inputs, to) == moved.inputs.end()) moved.inputs.push_back(to);
  const auto number_of = [&](TensorId input) {
    return static_cast<uint32_t>(std::ranges::find(moved.inputs, input) - moved.inputs.begin());
  };
  ExprSubstitution substitution;
  for (TensorId input : reader.inputs) {
    substitution.inputs.push_back(number_of(input == from ? to : input));
  }
  ExprTree& tree = moved.exprs;
  substitution.load = [&](const ExprNode& load, const std::vector<ExprId>& indices, ExprId mask) {
    if (reader.inputs[load.index] != from) return kNoExpr;
    std::vector<ExprId> places = indices;
    for (size_t d = 0; d < places.size(); ++d) {
      places[d] = tree.apply(ScalarOp::add, places[d], tree.constant_int(offset[d]));
    }
    return tree.load_as(load, number_of(to), std::move(places), mask);
  };
  moved.element = copy_expr(reader.exprs, reader.element, tree, substitution);
  for (NodeResult& result : moved.results) {
    result.value = copy_expr(reader.exprs, result.value, tree, substitution);
  }
  return moved;
}

class Joining {
 public:
  explicit Joining(Graph& graph) : graph_(graph), uses_(graph.tensors.size()) {
    for (TensorId output : graph.outputs) uses_[output].stays = true;
    for (TensorId input : graph.inputs) uses_[input].stays = true;
    for (const IndexCheck& check : graph.checks) {
      for (TensorId id : {check.guarded, check.position, check.index}) uses_[id].stays = true;
    }
    for (size_t n = 0; n < graph.nodes.size(); ++n) note(n);
  }

  void run() {
    std::vector<TensorId> found;
    for (TensorId id = 0; id < uses_.size(); ++id) {
      if (is_assembled(id)) found.push_back(id);
    }
    if (found.size() < 2) return;
    parts_left_ = kPartsPerNode * graph_.nodes.size();
    for (TensorId id : found) flatten(id);
    std::ranges::stable_sort(found, std::ranges::greater{},
                             [&](TensorId id) { return element_count(graph_.tensors[id].shape); });
    for (TensorId id : found) {
      if (!uses_[id].stays) place(id);
    }
    if (!places_.empty()) rewrite();
  }

 private:
  struct Uses {
    std::vector<size_t> writers, readers;  // each once
    std::vector<Part> parts;               // of what is put together, taken apart
    int64_t largest = 0;                   // elements of one of them
    bool stays = false;                    // the graph's own, or read as a whole
  };

  void note(size_t n) {
    const Node& node = graph_.nodes[n];
    for (TensorId input : node.inputs) {
      std::vector<size_t>& readers = uses_[input].readers;
      if (readers.empty() || readers.back() != n) readers.push_back(n);
      if (node.program || node.reshape) uses_[input].stays = true;
    }
    for (const NodeResult& result : node.results) {
      uses_[result.output].writers.push_back(n);
      if (node.program || node.reshape) uses_[result.output].stays = true;
    }
    copies_.push_back(copied_part(graph_, node));
  }

  bool is_assembled(TensorId id) const {
    const Uses& uses = uses_[id];
    return !uses.stays && uses.writers.size() >= 2 && uses.writers.size() <= kPartsMax &&
           std::ranges::all_of(uses.writers, [&](size_t w) { return copies_[w].has_value(); });
  }

  void flatten(TensorId id) {
    Uses& uses = uses_[id];
    for (size_t w : uses.writers) {
      const Part& part = *copies_[w];
      const std::vector<Part>& inner = uses_[part.tensor].parts;
      const size_t count = std::max<size_t>(inner.size(), 1);
      if (inner.empty() || uses.parts.size() + count > kPartsMax || count > parts_left_) {
        if (is_assembled(part.tensor)) uses_[part.tensor].stays = true;  // it is read as it is
        uses.parts.push_back(part);
      } else {
        parts_left_ -= count;
        for (const Part& leaf : inner) {
          uses.parts.push_back({leaf.tensor, sum_of(leaf.offset, part.offset)});
        }
      }
    }
    for (const Part& part : uses.parts) {
      uses.largest = std::max(uses.largest, element_count(graph_.tensors[part.tensor].shape));
    }
  }

  /// In a larger one, if there is one that has all its parts as they lie here; else it may be one
  /// for those that come. Not where most of the larger one is a part that comes later: it would
  /// take up memory all the while.
  void place(TensorId id) {
    for (TensorId whole : wholes_[uses_[id].parts.front().tensor]) {
      if (uses_[whole].largest > element_count(graph_.tensors[id].shape)) continue;
      const auto offset = offset_in(id, whole);
      if (!offset || !can_move(id, whole, *offset)) continue;
      places_[id] = {whole, *offset};
      return;
    }
    for (const Part& part : uses_[id].parts) {
      std::vector<TensorId>& wholes = wholes_[part.tensor];
      if (wholes.size() < kWholesMax) wholes.push_back(id);
    }
  }

  std::optional<Shape> offset_in(TensorId id, TensorId whole) const {
    const std::vector<Part>&parts = uses_[id].parts, &all = uses_[whole].parts;
    if (graph_.tensors[id].shape.size() != graph_.tensors[whole].shape.size()) return std::nullopt;
    const auto start = std::ranges::find(all, parts[0].tensor, &Part::tensor);
    if (start == all.end() || all.end() - start < std::ssize(parts)) return std::nullopt;
    Shape offset = start->offset;
    for (size_t d = 0; d < offset.size(); ++d) offset[d] -= parts[0].offset[d];
    for (size_t i = 0; i < parts.size(); ++i) {
      const Part& there = start[static_cast<std::ptrdiff_t>(i)];
      if (there.tensor != parts[i].tensor || there.offset != sum_of(parts[i].offset, offset)) {
        return std::nullopt;
      }
    }
    return offset;
  }

  /// Whether readers of `id` lose nothing in the larger one: products of matrices stay such,
  /// vectors fit as before, and what adds it to something else still goes into what computes that
  /// (fuse.h), for which all of a tensor has to be written.
  bool can_move(TensorId id, TensorId whole, const Shape& offset) const {
    const Shape &small = graph_.tensors[id].shape, &large = graph_.tensors[whole].shape;
    for (size_t d = 0; d < small.size(); ++d) {
      if (small[d] == large[d]) continue;
      const int64_t aligned = alignment_of(small[d]);
      if (large[d] % aligned != 0 || offset[d] % aligned != 0) return false;
    }
    return std::ranges::all_of(uses_[id].readers, [&](size_t r) {
      const Node& reader = graph_.nodes[r];
      const auto computed = std::ranges::count_if(
          reader.inputs, [&](TensorId input) { return !uses_[input].writers.empty(); });
      if (is_map(reader) && computed > 1) return false;
      return !find_contraction(graph_, reader) ||
             find_contraction(graph_, redirected(reader, id, whole, offset));
    });
  }

  /// Parts that others read too are read where they lie in the larger one.
  void place_leaves(const std::vector<bool>& is_whole) {
    std::map<TensorId, size_t> tries;
    for (TensorId whole = 0; whole < is_whole.size(); ++whole) {
      if (!is_whole[whole]) continue;
      for (const Part& part : uses_[whole].parts) {
        const Uses& uses = uses_[part.tensor];
        const bool is_moved = places_.contains(part.tensor) || is_whole[part.tensor];
        if (uses.stays || uses.writers.empty() || is_moved) continue;
        if (++tries[part.tensor] > kWholesMax) continue;
        if (can_move(part.tensor, whole, part.offset)) {
          places_[part.tensor] = {whole, part.offset};
        }
      }
    }
  }

  void rewrite() {
    std::vector<bool> is_whole(uses_.size(), false);
    for (const auto& [id, place] : places_) is_whole[place.tensor] = true;
    std::vector<bool> is_gone = is_whole;  // what was copied there is not, any more
    for (const auto& [id, place] : places_) is_gone[id] = true;
    place_leaves(is_whole);
    std::vector<std::vector<Node>> behind(graph_.nodes.size());
    std::vector<Node> front;
    for (TensorId whole = 0; whole < is_whole.size(); ++whole) {
      if (!is_whole[whole]) continue;
      for (size_t p = 0; p < uses_[whole].parts.size(); ++p) {
        const Part& part = uses_[whole].parts[p];
        const std::vector<size_t>& writers = uses_[part.tensor].writers;
        Node copy = copy_into(whole, part, p);
        (writers.empty() ? front : behind[std::ranges::max(writers)]).push_back(std::move(copy));
      }
    }
    std::vector<Node> nodes = std::move(front);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      Node& node = graph_.nodes[n];
      const bool is_dropped = copies_[n] && is_gone[node.results[0].output];
      if (!is_dropped) nodes.push_back(moved(std::move(node)));
      for (Node& copy : behind[n]) nodes.push_back(std::move(copy));
    }
    graph_.nodes = std::move(nodes);
  }

  Node moved(Node node) const {
    const std::vector<TensorId> inputs = node.inputs;
    for (TensorId input : inputs) {
      const auto place = places_.find(input);
      if (place == places_.end()) continue;
      node = redirected(node, input, place->second.tensor, place->second.offset);
    }
    return node;
  }

  Node copy_into(TensorId whole, const Part& part, size_t number) const {
    const Shape& extents = graph_.tensors[part.tensor].shape;
    Node copy;
    copy.name = graph_.tensors[whole].name + "/" + std::to_string(number);
    copy.op = "Concat";
    copy.inputs = {part.tensor};
    copy.extents = extents;
    std::vector<ExprId> axes;
    std::vector<Affine> index = affine_axes(extents.size());
    for (uint32_t d = 0; d < extents.size(); ++d) {
      axes.push_back(copy.exprs.axis(d));
      index[d].constant = part.offset[d];
    }
    const ScalarType type = scalar_type_of(graph_.tensors[whole].dtype);
    copy.results.push_back({whole, copy.exprs.load(0, type, std::move(axes)), std::move(index)});
    return copy;
  }

  Graph& graph_;
  std::vector<Uses> uses_;
  std::vector<std::optional<Part>> copies_;           // by node
  std::map<TensorId, std::vector<TensorId>> wholes_;  // by part
  size_t parts_left_ = 0;
  std::map<TensorId, Part> places_;  // what lies in a larger one, and where
};

}  // namespace

void join_concats(Graph& graph) { Joining(graph).run(); }

}  // namespace leat
