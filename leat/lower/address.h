// Address arithmetic: linear forms over IR values, and decomposition of a flat index into
// coordinates.
#pragma once

#include <span>
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
  /// The form at these values of its axes; those with coefficient 0 need none.
  static LinearForm of(const Affine& form, std::span<const ir::ValueId> axes);
  /// True if every coefficient and the constant are multiples of `divisor`.
  bool divisible_by(int64_t divisor) const;
};

/// The form as one i32 value, divided by `divisor`, which must divide it.
ir::ValueId build(ir::Builder& builder, const LinearForm& form, int64_t divisor = 1);

/// Coordinates of `flat` (0 <= flat < product of extents), outermost first.
std::vector<ir::ValueId> decompose(ir::Builder& builder, ir::ValueId flat, const Shape& extents);

}  // namespace leat
