// See idle_inputs.h.
#include "leat/schedule/idle_inputs.h"

namespace leat {

void drop_idle_inputs(Node& node) {
  const Node old = node;
  ExprSubstitution renumbered;
  renumbered.inputs.assign(old.inputs.size(), 0);
  node.inputs.clear();
  for (uint32_t i = 0; i < old.inputs.size(); ++i) {
    if (load_count(old, i) == 0) continue;
    renumbered.inputs[i] = static_cast<uint32_t>(node.inputs.size());
    node.inputs.push_back(old.inputs[i]);
  }
  node.exprs = {};
  for (NodeResult& result : node.results) {
    result.value = copy_expr(old.exprs, result.value, node.exprs, renumbered);
  }
  node.element = copy_expr(old.exprs, old.element, node.exprs, renumbered);
}

}  // namespace leat
