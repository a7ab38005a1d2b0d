// The order of scores: a larger one before a smaller one, what is no number behind all numbers, the
// first of equals first. `>` alone is no order once a NaN is among them, and sorting by it may do
// anything.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace leat {

/// A strict weak order: every NaN is equal to every other, and so are the two zeros.
inline bool is_better(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
  return a > b;
}

/// The indices of the `wanted` best of `count` scores, best first; `score(index)` is a number.
template <typename Score>
std::vector<int64_t> best_first(int64_t count, int64_t wanted, const Score& score) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto end = order.begin() + std::min(wanted, count);
  std::partial_sort(order.begin(), end, order.end(), [&](int64_t a, int64_t b) {
    const double score_a = score(a), score_b = score(b);
    if (is_better(score_a, score_b)) return true;
    return !is_better(score_b, score_a) && a < b;
  });
  order.erase(end, order.end());
  return order;
}

}  // namespace leat
