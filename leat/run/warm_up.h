// Loading a device until it is no longer getting faster: clocks rise, pages come, threads wake.
#pragma once

#include <functional>

#include "leat/base/result.h"

namespace leat {

/// Runs the thing once (all of its back-to-back repeats) and returns the seconds it took.
using TimedRun = std::function<Result<double>()>;

struct WarmUpLimits {
  double seconds = 0.3;      // at least that long
  double seconds_max = 3.0;  // at most that long, steady or not
};

/// Runs until the rate is steady: the best of a stretch is within 2 % of that of the stretch
/// before.
Result<void> warm_up(const TimedRun& run, const WarmUpLimits& limits);

}  // namespace leat
