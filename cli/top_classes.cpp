// See top_classes.h.
#include "cli/top_classes.h"

#include "leat/base/best_first.h"

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
    const auto score = [&](int64_t index) { return scores.number(item * classes + index); };
    for (const int64_t index : best_first(classes, count, score)) {
      const size_t label = static_cast<size_t>(index);
      top.push_back(
          {item, index, score(index), label < labels.size() ? labels[label] : std::string()});
    }
  }
  return top;
}

}  // namespace leat::cli
