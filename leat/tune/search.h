// Search by measuring: which way of computing one node is the fastest on a device that somebody
// else has. What measures is handed in, so that this folder knows no device.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "leat/schedule/candidates.h"

namespace leat {

/// Ways of computing one node, compiled and ready to be timed.
class TrialSet {
 public:
  virtual ~TrialSet() = default;
  /// Seconds of one run of the way of this index. Errors: device_lost, when nothing can run there
  /// any more; others concern this way only.
  virtual Result<double> sample(size_t index) = 0;
  /// Whether the result of the last sample, of this way, is the node's. Errors: as sample.
  virtual Result<bool> is_right(size_t index) = 0;
};

/// Makes ways of one node ready, all at once; of which one is not possible, all are refused.
using MakeTrials = std::function<Result<std::unique_ptr<TrialSet>>(
    const Schedule& schedule, const Node& node, std::span<const KernelParams> ways)>;

/// Told of each way, before it runs for the first time and when it has been measured (empty reason)
/// or turned out to be of no use. A way that only had no memory, or met a file's error, ends
/// without a reason: it may be tried again.
class TrialLog {
 public:
  virtual ~TrialLog() = default;
  virtual bool may_try(const KernelParams& params) = 0;
  virtual void begin(const KernelParams& params) = 0;
  virtual void end(const KernelParams& params, const std::string& reason) = 0;
};

struct SearchLimits {
  /// Of one node, compilation included. At least the model's first ways are measured.
  double seconds = 0.1;
  /// Ways that are made ready at once.
  size_t batch = 8;
  /// Measures all_ways instead of climbing; takes as long as it takes.
  bool exhaustive = false;
};

struct SearchResult {
  KernelParams params;
  double seconds = 0;        // of one run
  double model_seconds = 0;  // of the model's choice
  size_t tried = 0;
  bool finished = false;  // nothing was left to try, whatever the time
};

/// Begins with `seeds`, such as what an equal node had before, and the model's candidates in the
/// order of their price; goes on with the neighbours of the best. Ways are sampled in turns, so
/// that a drift of the clock meets all alike, and no more once they cannot win.
/// Errors: device_lost; those of MakeTrials, when no way could be made.
Result<SearchResult> search(const Schedule& schedule, const Node& node, const Target& target,
                            Splitting splitting, std::span<const KernelParams> seeds,
                            const MakeTrials& make, TrialLog& log, const SearchLimits& limits);

}  // namespace leat
