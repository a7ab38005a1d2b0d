// See move_views.h.
#include "leat/schedule/move_views.h"

#include <algorithm>
#include <vector>

#include "leat/schedule/fuse.h"

namespace leat {

namespace {

/// The load that the node is; it reads its only input.
const ExprNode& load_of(const Node& move) { return move.exprs.node(move.results[0].value); }

/// The load's indices as forms over the node's axes; none where one is no form, or there is a mask.
std::vector<Affine> forms_of(const Node& move) {
  const ExprNode& load = load_of(move);
  std::vector<Affine> forms;
  if (load.mask != kNoExpr) return forms;
  for (const ExprId index : load.indices) {
    const auto form = affine_of(move.exprs, index, move.extents.size());
    if (!form) return {};
    forms.push_back(*form);
  }
  return forms;
}

/// Whether element i of the result, in row-major order, is element i of the input, and all are.
bool keeps_row_major(const Graph& graph, const Node& move) {
  if (!moves_only(move) || !is_whole(graph, move, move.results[0])) return false;
  const Shape& from = graph.tensors[move.inputs[0]].shape;
  const std::vector<Affine> forms = forms_of(move);
  if (forms.size() != from.size() || from.empty()) return false;
  if (element_count(from) != element_count(move.extents) || element_count(from) == 0) return false;
  const Affine place = address_of(row_major_strides(from), forms, move.extents.size());
  const std::vector<int64_t> strides = row_major_strides(move.extents);
  if (place.constant != 0) return false;
  for (size_t d = 0; d < strides.size(); ++d) {
    if (move.extents[d] > 1 && place.coefficients[d] != strides[d]) return false;
  }
  return true;
}

class Moves {
 public:
  explicit Moves(Graph& graph)
      : graph_(graph), writers_(graph.tensors.size(), 0), readers_(graph.tensors.size()) {
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      const Node& node = graph.nodes[n];
      for (const NodeResult& result : node.results) ++writers_[result.output];
      for (const TensorId input : node.inputs) {
        std::vector<size_t>& readers = readers_[input];
        if (readers.empty() || readers.back() != n) readers.push_back(n);
      }
    }
    for (const TensorId output : graph.outputs) writers_[output] += 2;  // never seen through
  }

  void run() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      Node& node = graph_.nodes[n];
      if (keeps_row_major(graph_, node)) node.reshape = true;
      if (is_view(node)) spread(n);
    }
    std::erase_if(graph_.nodes, [](const Node& node) { return node.results.empty(); });
  }

 private:
  bool is_view(const Node& node) const {
    return moves_only(node) && !node.reshape && writers_[node.results[0].output] == 1 &&
           is_whole(graph_, node, node.results[0]);
  }

  /// A copy of elements, or a reshape that only adds and leaves out axes of one element.
  bool reads_through(const Node& reader) const {
    return moves_only(reader) && (!reader.reshape || !forms_of(reader).empty());
  }

  /// Where a reshape reads it, that is a copy afterwards: one for the view's own.
  void spread(size_t n) {
    const TensorId tensor = graph_.nodes[n].results[0].output;
    const std::vector<size_t>& readers = readers_[tensor];  // behind it: none has changed yet
    const auto is_reshape = [&](size_t r) { return graph_.nodes[r].reshape; };
    const auto reshapes = std::ranges::count_if(readers, is_reshape);
    if (readers.empty() || reshapes > 1 || (readers.size() == 1 && reshapes == 0)) return;
    const Node view = graph_.nodes[n];
    const bool is_read_through = std::ranges::all_of(readers, [&](size_t r) {
      return reads_through(graph_.nodes[r]) && may_substitute(graph_.nodes[r], view, tensor);
    });
    if (!is_read_through) return;
    for (const size_t r : readers) {
      Node& reader = graph_.nodes[r];
      substitute(reader, view, tensor);
      reader.reshape = false;
    }
    graph_.nodes[n].results.clear();
  }

  Graph& graph_;
  std::vector<size_t> writers_;
  std::vector<std::vector<size_t>> readers_;  // as there were
};

}  // namespace

void see_through_moves(Graph& graph) { Moves(graph).run(); }

}  // namespace leat
