// Sampling: how long something takes, measured until it is known.
#pragma once

#include <vector>

#include "leat/base/result.h"
#include "leat/base/statistics.h"
#include "leat/run/warm_up.h"

namespace leat::cli {

struct SampleLimits {
  size_t samples_min = 20;
  double seconds_min = 0;   // both must be reached
  double seconds_max = 20;  // ends it all the same, after kSamplesLeast
};

/// Fewer samples have no median worth the name.
inline constexpr size_t kSamplesLeast = 3;

/// Adds samples, in seconds, to `samples` until the limits are reached; counts only what it adds.
Result<void> take_samples(const TimedRun& run, const SampleLimits& limits,
                          std::vector<double>& samples);

}  // namespace leat::cli
