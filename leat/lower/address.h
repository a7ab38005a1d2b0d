// Address arithmetic: linear forms over IR values, and decomposition of a flat index into
// coordinates.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "leat/lower/kernel_builder.h"
#include "leat/schedule/plan.h"

namespace leat {

/// constant + sum of coefficient * value, kept apart until it is needed so that it can be divided.
struct LinearForm {
  Number constant;
  std::vector<std::pair<Number, ir::ValueId>> terms;

  void add(const Number& coefficient, ir::ValueId value);
  /// The form at these values of its axes; those with coefficient 0 need none.
  static LinearForm of(const NumberForm& form, std::span<const ir::ValueId> axes);
  /// True if every coefficient and the constant are multiples of `divisor`.
  bool divisible_by(int64_t divisor) const;
};

/// The form as one i32 value, divided by `divisor`, which must divide it.
ir::ValueId build(KernelBuilder& builder, const LinearForm& form, int64_t divisor = 1);

/// Whether what counts to `count` in steps of `step` may end within one. An open count always may:
/// one kernel for all is worth a mask.
inline bool has_rest(const Number& count, const Number& step) {
  return count.is_open() || step.is_open() || count % step != 0;
}

/// Coordinates of `flat` (0 <= flat < product of extents), outermost first.
std::vector<ir::ValueId> decompose(KernelBuilder& builder, ir::ValueId flat,
                                   std::span<const Number> extents);

}  // namespace leat
