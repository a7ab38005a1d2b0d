// See top_classes.h.
#include "cli/top_classes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace leat::cli {

Result<std::vector<ClassScore>> top_classes(const std::vector<HostTensor>& outputs, int64_t count,
                                            const Labels& labels) {
  if (outputs.empty() || element_count(outputs[0].shape) == 0) {
    return Error(ErrorKind::invalid_argument, "The model has no output that names classes.");
  }
  const HostTensor& scores = outputs[0];
  const int64_t items = scores.shape.size() > 1 ? scores.shape[0] : 1;
  const int64_t classes = element_count(scores.shape) / items;
  std::vector<ClassScore> top;
  for (int64_t item = 0; item < items; ++item) {
    std::vector<int64_t> order(static_cast<size_t>(classes));
    std::iota(order.begin(), order.end(), int64_t{0});
    const auto score = [&](int64_t index) {
      const double value = scores.number(item * classes + index);
      return std::isnan(value) ? -INFINITY : value;
    };
    const auto best = order.begin() + std::min(count, classes);
    std::partial_sort(order.begin(), best, order.end(), [&](int64_t a, int64_t b) {
      return score(a) != score(b) ? score(a) > score(b) : a < b;
    });
    for (auto index = order.begin(); index != best; ++index) {
      const size_t label = static_cast<size_t>(*index);
      top.push_back({item, *index, scores.number(item * classes + *index),
                     label < labels.size() ? labels[label] : ""});
    }
  }
  return top;
}

}  // namespace leat::cli
