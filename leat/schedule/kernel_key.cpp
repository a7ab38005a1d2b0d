// Everything that lowering reads of a node and of the placements of its tensors, one after the
// other; lists carry their length, so that no two nodes give the same bytes.
#include "leat/schedule/kernel_key.h"

#include <algorithm>
#include <bit>

namespace leat {

namespace {

class KeyWriter {
 public:
  void add(int64_t value) { key_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void add(const std::vector<int64_t>& values) {
    add(static_cast<int64_t>(values.size()));
    for (int64_t value : values) add(value);
  }
  void add(const Affine& affine) {
    add(affine.constant);
    add(affine.coefficients);
  }
  void add(const ExprNode& expr) {
    add(static_cast<int64_t>(expr.kind));
    add(static_cast<int64_t>(expr.type));
    add(static_cast<int64_t>(expr.op));
    add(expr.index);
    add(std::bit_cast<int64_t>(expr.number));
    for (ExprId argument : expr.arguments) add(argument);
    add(static_cast<int64_t>(expr.indices.size()));
    for (ExprId index : expr.indices) add(index);
    add(expr.mask);
  }
  void add(const Placement& placement) {
    add(static_cast<int64_t>(placement.storage));
    add(placement.strides);
    add(placement.packed ? -1 : placement.element_count);
  }

  std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

}  // namespace

std::string kernel_key(const Schedule& schedule, const Node& node) {
  KeyWriter key;
  key.add(node.extents);
  key.add(node.reduce);
  key.add(static_cast<int64_t>(node.reduce_op));
  key.add(node.element);
  key.add(node.program ? 1 : 0);
  if (const auto& program = node.program) {
    key.add(static_cast<int64_t>(program->op));
    key.add(static_cast<int64_t>(program->axis));
    for (const bool flag : {program->exclusive, program->reverse, program->ascending}) {
      key.add(flag ? 1 : 0);
    }
  }
  key.add(static_cast<int64_t>(node.exprs.size()));
  for (ExprId id = 0; id < node.exprs.size(); ++id) key.add(node.exprs.node(id));
  key.add(static_cast<int64_t>(node.inputs.size()));
  for (TensorId input : node.inputs) {
    // A tensor that stands twice is one argument.
    key.add(std::ranges::find(node.inputs, input) - node.inputs.begin());
    key.add(schedule.graph.tensors[input].shape);
    key.add(schedule.placements[input]);
  }
  key.add(static_cast<int64_t>(node.results.size()));
  for (const NodeResult& result : node.results) {
    key.add(result.value);
    for (const Affine& index : result.index) key.add(index);
    key.add(schedule.graph.tensors[result.output].shape);
    key.add(schedule.placements[result.output]);
  }
  return key.take();
}

}  // namespace leat
