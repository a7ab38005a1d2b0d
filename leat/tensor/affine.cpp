// See affine.h.
#include "leat/tensor/affine.h"

namespace leat {

Affine affine_axis(size_t axis_count, size_t axis) {
  Affine form = {0, std::vector<int64_t>(axis_count, 0)};
  form.coefficients[axis] = 1;
  return form;
}

std::vector<Affine> affine_axes(size_t axis_count) {
  std::vector<Affine> forms;
  for (size_t axis = 0; axis < axis_count; ++axis) forms.push_back(affine_axis(axis_count, axis));
  return forms;
}

Affine compose(const Affine& form, std::span<const Affine> axes) {
  CHECK(form.coefficients.size() == axes.size());
  Affine composed = {form.constant, {}};
  for (size_t i = 0; i < axes.size(); ++i) add_multiple(composed, form.coefficients[i], axes[i]);
  return composed;
}

Range range_of(const Affine& form, const Shape& extents) {
  CHECK(form.coefficients.size() == extents.size());
  Range range = {form.constant, form.constant};
  for (size_t i = 0; i < extents.size(); ++i) {
    const int64_t reach = form.coefficients[i] * (extents[i] - 1);
    (reach < 0 ? range.low : range.high) += reach;
  }
  return range;
}

std::optional<Affine> affine_of(const ExprTree& tree, ExprId id, size_t axis_count) {
  return form_of<int64_t>(tree, id, axis_count,
                          [&](ExprId constant) { return tree.node(constant).integer; });
}

ExprId expr_of(ExprTree& tree, const Affine& form) {
  ExprId sum = tree.constant_int(0);
  for (uint32_t axis = 0; axis < form.coefficients.size(); ++axis) {
    if (form.coefficients[axis] == 0) continue;
    const ExprId factor = tree.constant_int(form.coefficients[axis]);
    const ExprId term = tree.apply(ScalarOp::mul, tree.axis(axis), factor);
    sum = tree.apply(ScalarOp::add, sum, term);
  }
  return tree.apply(ScalarOp::add, sum, tree.constant_int(form.constant));
}

}  // namespace leat
