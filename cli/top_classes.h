// The best classes of a classifier's first output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/media/labels.h"
#include "leat/tensor/graph.h"

namespace leat::cli {

struct ClassScore {
  int64_t item = 0;  // of the batch
  int64_t index = 0;
  double probability = 0;  // as the model gives it; no soft-max is added
  std::string label;       // empty when the labels do not name it
};

/// The `count` best of each item of outputs[0], best first; in the order of
/// leat/base/best_first.h: what is no number comes last.
/// Errors: invalid_argument, when there is no output with a class.
Result<std::vector<ClassScore>> top_classes(const std::vector<HostTensor>& outputs, int64_t count,
                                            const Labels& labels);

}  // namespace leat::cli
