// The one question about a plan that running asks, apart from what makes plans.
#include "leat/schedule/plan.h"

namespace leat {

TensorId root_of(const Schedule& schedule, TensorId tensor) {
  while (schedule.placements[tensor].alias_of != kNoTensor) {
    tensor = schedule.placements[tensor].alias_of;
  }
  return tensor;
}

}  // namespace leat
