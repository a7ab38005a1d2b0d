// See copy_node.h.
#include "leat/schedule/copy_node.h"

#include <utility>

namespace leat {

Node copy_node(Graph& graph, TensorId input, DType dtype) {
  const Tensor source = graph.tensors[input];
  const bool is_as_it_was = source.dtype == dtype;
  Node copy;
  copy.name = (is_as_it_was ? "copy_of_" : "rounded_") + source.name;
  copy.op = is_as_it_was ? "Identity" : "Cast";
  copy.inputs = {input};
  copy.extents = source.shape;
  std::vector<ExprId> axes;
  for (uint32_t d = 0; d < source.shape.size(); ++d) axes.push_back(copy.exprs.axis(d));
  const ExprId value = copy.exprs.load(0, scalar_type_of(source.dtype), std::move(axes));
  const TensorId made =
      graph.add_tensor(is_as_it_was ? source.name : copy.name, dtype, source.shape);
  copy.results.push_back({made, value, affine_axes(source.shape.size())});
  return copy;
}

}  // namespace leat
