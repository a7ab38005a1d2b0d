// Address arithmetic shared by both families: linear forms over IR values, decomposition of a flat
// index into coordinates, and what a tensor's placement makes of an affine index.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "leat/ir/builder.h"
#include "leat/schedule/plan.h"

namespace leat {

/// constant + sum of coefficient * value, kept apart until it is needed so that it can be divided.
struct LinearForm {
  int64_t constant = 0;
  std::vector<std::pair<int64_t, ir::ValueId>> terms;

  void add(int64_t coefficient, ir::ValueId value);
  /// True if every coefficient and the constant are multiples of `divisor`.
  bool divisible_by(int64_t divisor) const;
};

/// The form as one i32 value, divided by `divisor`, which must divide it.
ir::ValueId build(ir::Builder& builder, const LinearForm& form, int64_t divisor = 1);

/// Coordinates of `flat` (0 <= flat < product of extents), outermost first.
std::vector<ir::ValueId> decompose(ir::Builder& builder, ir::ValueId flat, const Shape& extents);

/// The expression as an affine form over `axis_count` axes, if it is one.
std::optional<Affine> affine_of(const ExprTree& tree, ExprId id, size_t axis_count);

/// sum over dimensions of strides[d] * index[d]: the element address as an affine form over axes.
Affine address_of(const std::vector<int64_t>& strides, const std::vector<Affine>& index);

}  // namespace leat
