// See warm_up.h.
#include "leat/run/warm_up.h"

#include <algorithm>
#include <chrono>

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSteadyShare = 0.02;
constexpr double kStretchSeconds = 0.05;
constexpr int kStretchRuns = 3;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Result<void> warm_up(const TimedRun& run, const WarmUpLimits& limits) {
  const Clock::time_point start = Clock::now();
  double before = 0;
  while (seconds_since(start) < limits.seconds_max) {
    const Clock::time_point stretch = Clock::now();
    double best = 0;
    for (int i = 0; i < kStretchRuns || seconds_since(stretch) < kStretchSeconds; ++i) {
      TRY_ASSIGN(const double seconds, run());
      best = i == 0 ? seconds : std::min(best, seconds);
    }
    const bool is_steady = before > 0 && best > before * (1 - kSteadyShare);
    if (is_steady && seconds_since(start) >= limits.seconds) break;
    before = best;
  }
  return {};
}

}  // namespace leat
