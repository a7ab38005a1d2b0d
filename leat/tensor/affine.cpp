// See affine.h.
#include "leat/tensor/affine.h"

#include <algorithm>

#include "leat/base/check.h"

namespace leat {

namespace {

bool is_constant(const Affine& form) {
  return std::ranges::all_of(form.coefficients, [](int64_t c) { return c == 0; });
}

}  // namespace

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

void add_multiple(Affine& sum, int64_t factor, const Affine& term) {
  if (sum.coefficients.size() < term.coefficients.size()) {
    sum.coefficients.resize(term.coefficients.size(), 0);
  }
  sum.constant += factor * term.constant;
  for (size_t i = 0; i < term.coefficients.size(); ++i) {
    sum.coefficients[i] += factor * term.coefficients[i];
  }
}

Affine compose(const Affine& form, std::span<const Affine> axes) {
  CHECK(form.coefficients.size() == axes.size());
  Affine composed = {form.constant, {}};
  for (size_t i = 0; i < axes.size(); ++i) add_multiple(composed, form.coefficients[i], axes[i]);
  return composed;
}

Affine address_of(const std::vector<int64_t>& strides, const std::vector<Affine>& index,
                  size_t axis_count) {
  CHECK(strides.size() == index.size());
  Affine address = {0, std::vector<int64_t>(axis_count, 0)};
  for (size_t d = 0; d < index.size(); ++d) add_multiple(address, strides[d], index[d]);
  return address;
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
  const ExprNode& node = tree.node(id);
  if (node.type != ScalarType::i32) return std::nullopt;
  if (node.kind == ExprKind::constant) {
    return Affine{static_cast<int64_t>(node.number), std::vector<int64_t>(axis_count, 0)};
  }
  if (node.kind == ExprKind::axis) {
    CHECK(node.index < axis_count);
    return affine_axis(axis_count, node.index);
  }
  if (node.kind != ExprKind::apply) return std::nullopt;
  if (node.op != ScalarOp::add && node.op != ScalarOp::sub && node.op != ScalarOp::mul) {
    return std::nullopt;
  }
  std::optional<Affine> a = affine_of(tree, node.arguments[0], axis_count);
  std::optional<Affine> b = affine_of(tree, node.arguments[1], axis_count);
  if (!a || !b) return std::nullopt;
  if (node.op != ScalarOp::mul) {
    add_multiple(*a, node.op == ScalarOp::add ? 1 : -1, *b);
    return a;
  }
  if (!is_constant(*a)) std::swap(a, b);
  if (!is_constant(*a)) return std::nullopt;
  Affine product = {0, std::vector<int64_t>(axis_count, 0)};
  add_multiple(product, a->constant, *b);
  return product;
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
