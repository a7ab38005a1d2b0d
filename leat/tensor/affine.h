// Affine forms over the loop axes of a node: what an index, an output coordinate or an address is
// where it is a sum of axes. The one place that takes expressions apart into them and puts them
// together again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "leat/base/shape.h"
#include "leat/tensor/expr.h"

namespace leat {

/// constant + sum of coefficients[i] * axis i.
struct Affine {
  int64_t constant = 0;
  std::vector<int64_t> coefficients;

  bool operator==(const Affine&) const = default;
};

/// The axis itself, over `axis_count` of them.
Affine affine_axis(size_t axis_count, size_t axis);
/// Axis 0, axis 1, ...
std::vector<Affine> affine_axes(size_t axis_count);
/// sum += factor * term.
void add_multiple(Affine& sum, int64_t factor, const Affine& term);
/// The form at axes that are forms themselves.
Affine compose(const Affine& form, std::span<const Affine> axes);

/// sum over dimensions of strides[d] * index[d]: the element address as a form over the axes.
Affine address_of(const std::vector<int64_t>& strides, const std::vector<Affine>& index,
                  size_t axis_count);

/// The smallest and the largest value over all axes, whose extents are at least 1.
struct Range {
  int64_t low = 0;
  int64_t high = 0;
};
Range range_of(const Affine& form, const Shape& extents);

/// The whole-number expression as a form over `axis_count` axes, if it is one.
std::optional<Affine> affine_of(const ExprTree& tree, ExprId id, size_t axis_count);
/// The form as an expression.
ExprId expr_of(ExprTree& tree, const Affine& form);

}  // namespace leat
