// See idle_inputs.h.
#include "leat/schedule/idle_inputs.h"

namespace leat {

void drop_idle_inputs(Node& node) {
  Node old = node;
  // The tree may hold what no result is made of any more, with loads of its own.
  old.exprs = {};
  for (NodeResult& result : old.results) {
    result.value = copy_expr(node.exprs, result.value, old.exprs, {});
  }
  old.element = copy_expr(node.exprs, node.element, old.exprs, {});
  ExprSubstitution renumbered;
  renumbered.inputs.assign(old.inputs.size(), 0);
  node.inputs.clear();
  for (uint32_t i = 0; i < old.inputs.size(); ++i) {
    if (load_count(old, i) == 0) continue;
    renumbered.inputs[i] = static_cast<uint32_t>(node.inputs.size());
    node.inputs.push_back(old.inputs[i]);
  }
  node.exprs = {};
  for (size_t i = 0; i < node.results.size(); ++i) {
    node.results[i].value = copy_expr(old.exprs, old.results[i].value, node.exprs, renumbered);
  }
  node.element = copy_expr(old.exprs, old.element, node.exprs, renumbered);
}

}  // namespace leat
