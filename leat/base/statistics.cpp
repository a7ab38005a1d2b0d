// See statistics.h.
#include "leat/base/statistics.h"

#include <algorithm>
#include <cmath>

namespace leat {

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double p99_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double rank = std::ceil(0.99 * static_cast<double>(values.size()));
  return values[static_cast<size_t>(rank) - 1];
}

double geometric_mean_of(const std::vector<double>& values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

}  // namespace leat
