// See int_form.h.
#include "leat/ir/int_form.h"

#include <algorithm>
#include <cstdlib>

namespace leat::ir {
namespace {

/// Inequalities that are added to one form, one after another.
constexpr int kInequalitiesMax = 5;
/// Forms that are looked at for one bound, before it is taken as it is.
constexpr int kFormsMax = 4000;

/// Each unknown at the end of its range.
std::optional<int64_t> bound_by_ranges(const IntForm& form, std::span<const Range> ranges) {
  int64_t bound = form.constant;
  for (const auto& [unknown, coefficient] : form.terms) {
    const Range& range = ranges[unknown];
    int64_t most = 0;
    if (__builtin_mul_overflow(coefficient, coefficient > 0 ? range.hi : range.lo, &most) ||
        __builtin_add_overflow(bound, most, &bound)) {
      return std::nullopt;
    }
  }
  return bound;
}

int64_t divided_down(int64_t value, int64_t divisor) {
  const int64_t quotient = value / divisor;
  return value % divisor < 0 ? quotient - 1 : quotient;
}

class Search {
 public:
  Search(std::span<const IntForm> at_most_zero, std::span<const Range> ranges)
      : at_most_zero_(at_most_zero), ranges_(ranges) {}

  std::optional<int64_t> bound(const IntForm& form, int64_t enough, int depth) {
    std::optional<int64_t> best = bound_by_ranges(form, ranges_);
    if (depth == 0) return best;
    for (const IntForm& inequality : at_most_zero_) {
      for (const auto& [unknown, coefficient] : inequality.terms) {
        if (best && *best <= enough) return best;
        const int64_t own = form.coefficient(unknown);
        if (own == 0 || (own > 0) != (coefficient > 0)) continue;
        if (--forms_left_ < 0) return best;
        best = least(best, without(form, own, inequality, coefficient, enough, depth));
      }
    }
    return best;
  }

 private:
  static std::optional<int64_t> least(std::optional<int64_t> a, std::optional<int64_t> b) {
    if (!a || !b) return a ? a : b;
    return std::min(*a, *b);
  }

  /// form <= form - own / coefficient * inequality, which lacks the unknown.
  std::optional<int64_t> without(const IntForm& form, int64_t own, const IntForm& inequality,
                                 int64_t coefficient, int64_t enough, int depth) {
    const int64_t scale = own % coefficient == 0 ? 1 : std::abs(coefficient);
    const int64_t factor = own % coefficient == 0 ? own / coefficient : std::abs(own);
    const std::optional<IntForm> rest = combined(form, scale, inequality, -factor);
    int64_t scaled_enough = 0;
    if (!rest || __builtin_mul_overflow(enough, scale, &scaled_enough)) return std::nullopt;
    const std::optional<int64_t> found = bound(*rest, scaled_enough, depth - 1);
    return found ? std::optional(divided_down(*found, scale)) : std::nullopt;
  }

  std::span<const IntForm> at_most_zero_;
  std::span<const Range> ranges_;
  int forms_left_ = kFormsMax;
};

}  // namespace

int64_t IntForm::coefficient(Unknown unknown) const {
  const auto found =
      std::ranges::lower_bound(terms, unknown, {}, [](const auto& term) { return term.first; });
  return found != terms.end() && found->first == unknown ? found->second : 0;
}

IntForm constant_form(int64_t value) { return {{}, value}; }
IntForm unknown_form(Unknown unknown) { return {{{unknown, 1}}, 0}; }

std::optional<IntForm> combined(const IntForm& a, int64_t factor_a, const IntForm& b,
                                int64_t factor_b) {
  const auto sum = [&](int64_t of_a, int64_t of_b) -> std::optional<int64_t> {
    int64_t first = 0, second = 0, both = 0;
    if (__builtin_mul_overflow(of_a, factor_a, &first) ||
        __builtin_mul_overflow(of_b, factor_b, &second) ||
        __builtin_add_overflow(first, second, &both) || both > kFormNumberMax ||
        both < -kFormNumberMax) {
      return std::nullopt;
    }
    return both;
  };
  IntForm result;
  const std::optional<int64_t> constant = sum(a.constant, b.constant);
  if (!constant) return std::nullopt;
  result.constant = *constant;
  auto of_a = a.terms.begin();
  auto of_b = b.terms.begin();
  while (of_a != a.terms.end() || of_b != b.terms.end()) {
    const bool takes_a =
        of_b == b.terms.end() || (of_a != a.terms.end() && of_a->first <= of_b->first);
    const bool takes_b =
        of_a == a.terms.end() || (of_b != b.terms.end() && of_b->first <= of_a->first);
    const Unknown unknown = takes_a ? of_a->first : of_b->first;
    const std::optional<int64_t> value =
        sum(takes_a ? of_a->second : 0, takes_b ? of_b->second : 0);
    if (!value) return std::nullopt;
    if (*value != 0) result.terms.emplace_back(unknown, *value);
    of_a += takes_a ? 1 : 0;
    of_b += takes_b ? 1 : 0;
  }
  return result;
}

std::optional<int64_t> upper_bound(const IntForm& form, std::span<const IntForm> at_most_zero,
                                   std::span<const Range> ranges, int64_t enough) {
  std::optional<int64_t> best;
  for (int depth = 0; depth <= kInequalitiesMax; ++depth) {  // few inequalities are tried first
    best = Search(at_most_zero, ranges).bound(form, enough, depth);
    if (best && *best <= enough) break;
  }
  return best;
}

}  // namespace leat::ir
