// See samples.h.
#include "bench/samples.h"

#include <algorithm>
#include <chrono>

namespace leat::cli {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Result<void> take_samples(const TimedRun& run, const SampleLimits& limits,
                          std::vector<double>& samples) {
  const Clock::time_point start = Clock::now();
  for (size_t i = 0;; ++i) {
    const double passed = seconds_since(start);
    if (i >= limits.samples_min && passed >= limits.seconds_min) break;
    if (i >= kSamplesLeast && passed >= limits.seconds_max) break;
    TRY_ASSIGN(const double seconds, run());
    samples.push_back(seconds);
  }
  return {};
}

}  // namespace leat::cli
