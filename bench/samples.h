// Sampling: how long something takes, measured until it is known.
#pragma once

#include <functional>
#include <vector>

#include "leat/base/result.h"
#include "leat/base/statistics.h"

namespace leat::cli {

/// Runs the thing once (all of its back-to-back repeats) and returns the seconds it took.
using TimedRun = std::function<Result<double>()>;

struct WarmUpLimits {
  double seconds = 0.3;      // at least that long
  double seconds_max = 3.0;  // at most that long, steady or not
};

/// Runs until the rate is steady: the best of a stretch is within 2 % of that of the stretch
/// before.
Result<void> warm_up(const TimedRun& run, const WarmUpLimits& limits);

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
