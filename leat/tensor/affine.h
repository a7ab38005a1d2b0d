// Affine forms over the loop axes of a node: what an index, an output coordinate or an address is
// where it is a sum of axes. The one place that takes expressions apart into them and puts them
// together again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "leat/base/check.h"
#include "leat/base/shape.h"
#include "leat/tensor/expr.h"

namespace leat {

/// constant + sum of coefficients[i] * axis i.
template <typename Number>
struct Form {
  Number constant = 0;
  std::vector<Number> coefficients;

  bool operator==(const Form&) const = default;
};
using Affine = Form<int64_t>;

/// The axis itself, over `axis_count` of them.
Affine affine_axis(size_t axis_count, size_t axis);
/// Axis 0, axis 1, ...
std::vector<Affine> affine_axes(size_t axis_count);
/// sum += factor * term.
template <typename Number>
void add_multiple(Form<Number>& sum, const Number& factor, const Form<Number>& term) {
  if (sum.coefficients.size() < term.coefficients.size()) {
    sum.coefficients.resize(term.coefficients.size(), 0);
  }
  sum.constant += factor * term.constant;
  for (size_t i = 0; i < term.coefficients.size(); ++i) {
    sum.coefficients[i] += factor * term.coefficients[i];
  }
}
/// The form at axes that are forms themselves.
Affine compose(const Affine& form, std::span<const Affine> axes);

/// sum over dimensions of strides[d] * index[d]: the element address as a form over the axes.
template <typename Number>
Form<Number> address_of(const std::vector<Number>& strides, const std::vector<Form<Number>>& index,
                        size_t axis_count) {
  CHECK(strides.size() == index.size());
  Form<Number> address = {0, std::vector<Number>(axis_count, 0)};
  for (size_t d = 0; d < index.size(); ++d) add_multiple(address, strides[d], index[d]);
  return address;
}

/// The smallest and the largest value over all axes, whose extents are at least 1.
struct Range {
  int64_t low = 0;
  int64_t high = 0;
};
Range range_of(const Affine& form, const Shape& extents);

/// The whole-number expression as a form over `axis_count` axes, if it is one. `constant_of` gives
/// the number of an expression that is a constant.
template <typename Number, typename ConstantOf>
std::optional<Form<Number>> form_of(const ExprTree& tree, ExprId id, size_t axis_count,
                                    const ConstantOf& constant_of) {
  const ExprNode& node = tree.node(id);
  if (node.type != ScalarType::i32) return std::nullopt;
  Form<Number> form = {0, std::vector<Number>(axis_count, 0)};
  if (node.kind == ExprKind::constant) {
    form.constant = constant_of(id);
    return form;
  }
  if (node.kind == ExprKind::axis) {
    CHECK(node.index < axis_count);
    form.coefficients[node.index] = 1;
    return form;
  }
  if (node.kind != ExprKind::apply) return std::nullopt;
  if (node.op != ScalarOp::add && node.op != ScalarOp::sub && node.op != ScalarOp::mul) {
    return std::nullopt;
  }
  auto a = form_of<Number>(tree, node.arguments[0], axis_count, constant_of);
  auto b = form_of<Number>(tree, node.arguments[1], axis_count, constant_of);
  if (!a || !b) return std::nullopt;
  if (node.op != ScalarOp::mul) {
    add_multiple(*a, Number(node.op == ScalarOp::add ? 1 : -1), *b);
    return a;
  }
  const auto is_constant = [](const Form<Number>& factor) {
    return std::ranges::all_of(factor.coefficients, [](const Number& c) { return c == 0; });
  };
  if (!is_constant(*a)) std::swap(a, b);
  if (!is_constant(*a)) return std::nullopt;
  add_multiple(form, a->constant, *b);
  return form;
}
std::optional<Affine> affine_of(const ExprTree& tree, ExprId id, size_t axis_count);
/// The form as an expression.
ExprId expr_of(ExprTree& tree, const Affine& form);

}  // namespace leat
