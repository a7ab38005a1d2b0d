// Sums of whole numbers times unknowns, and the largest value that one can have when inequalities
// hold between them: what proves that an access stays inside of its memory.
//
// An inequality is a form that is at most 0. The bound is found by adding multiples of inequalities
// that cancel an unknown, a few after another, and taking each unknown that is left at the end of
// its range: exact for tails of tiles, rows of matrices and parts of a division, an upper bound for
// all else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "leat/ir/range.h"

namespace leat::ir {

/// A number that is not known, by its place in a table of ranges.
using Unknown = uint32_t;

/// constant + sum of coefficient * unknown, in exact arithmetic.
struct IntForm {
  std::vector<std::pair<Unknown, int64_t>> terms;  // by unknown, no coefficient is 0
  int64_t constant = 0;

  bool is_constant() const { return terms.empty(); }
  int64_t coefficient(Unknown unknown) const;
};

/// Coefficients and constants beyond this end a form: nothing is known of it.
inline constexpr int64_t kFormNumberMax = int64_t{1} << 40;

/// a * factor_a + b * factor_b; nothing where a number leaves kFormNumberMax.
std::optional<IntForm> combined(const IntForm& a, int64_t factor_a, const IntForm& b,
                                int64_t factor_b);
IntForm constant_form(int64_t value);
IntForm unknown_form(Unknown unknown);

/// The largest value of `form`, where each of `at_most_zero` is at most 0 and each unknown in its
/// range. Stops early at a bound of `enough` or less. Nothing where it is beyond all numbers.
std::optional<int64_t> upper_bound(const IntForm& form, std::span<const IntForm> at_most_zero,
                                   std::span<const Range> ranges, int64_t enough);

}  // namespace leat::ir
