// See search.h.
#include "leat/tune/search.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>

#include "leat/tune/ways.h"

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

/// Of those that are made first.
constexpr size_t kModelWaysMax = 5;
/// A way whose best sample is so much slower than the best one's cannot win.
constexpr double kLosesAt = 1.15;
/// Samples of a way that may win.
constexpr size_t kSamplesMin = 3;
constexpr size_t kSamplesMax = 9;
/// What takes less is as long as its launch, whatever it does.
constexpr double kWorthwhileSeconds = 3e-6;
/// A neighbour must be faster by this much to be climbed to; less is noise.
constexpr double kGain = 0.98;

/// Why a way is not to be tried again; empty where it may succeed another time.
std::string lasting_reason(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::out_of_memory:
    case ErrorKind::io:
    case ErrorKind::internal: return "";
    case ErrorKind::invalid_argument:
    case ErrorKind::unsupported:
    case ErrorKind::device_lost: return error.message();
  }
  return "";
}

class Search {
 public:
  Search(const Schedule& schedule, const Node& node, const Target& target, Splitting splitting,
         const MakeTrials& make, TrialLog& log, const SearchLimits& limits)
      : schedule_(schedule),
        node_(node),
        target_(target),
        splitting_(splitting),
        make_(make),
        log_(log),
        limits_(limits) {}

  Result<SearchResult> run(std::span<const KernelParams> seeds) {
    TRY(begin(seeds));
    if (limits_.exhaustive) {
      TRY(measure_all(all_ways(schedule_, node_, target_, splitting_)));
      result_.finished = true;
    } else {
      TRY(climb());
    }
    return result_;
  }

 private:
  struct Way {
    KernelParams params;
    std::vector<double> samples;
    bool is_out = false;
    double best() const { return *std::ranges::min_element(samples); }
  };

  double seconds_passed() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }
  bool has_time() const { return seconds_passed() < limits_.seconds; }

  /// The model's ways, and what was best elsewhere.
  Result<void> begin(std::span<const KernelParams> seeds) {
    std::vector<Candidate> known = candidates(schedule_, node_, target_, splitting_);
    std::ranges::stable_sort(known, {}, &Candidate::price);
    std::vector<KernelParams> first = {known[0].params};
    for (const KernelParams& seed : seeds) {
      if (is_possible(schedule_, node_, seed, target_, splitting_)) first.push_back(seed);
    }
    for (size_t i = 1; i < std::min(known.size(), kModelWaysMax); ++i) {
      first.push_back(known[i].params);
    }
    std::ranges::move(extreme_ways(schedule_, node_, known[0].params, target_, splitting_),
                      std::back_inserter(first));
    result_.params = known[0].params;
    model_ = to_string(known[0].params);
    return measure_all(first);
  }

  Result<void> climb() {
    while (has_time() && result_.seconds > kWorthwhileSeconds) {
      const std::string best = to_string(result_.params);
      TRY(measure_all(neighbours(schedule_, node_, result_.params, target_, splitting_)));
      if (to_string(result_.params) == best) break;
    }
    result_.finished = !was_cut_;
    return {};
  }

  Result<void> measure_all(const std::vector<KernelParams>& ways) {
    std::vector<KernelParams> batch;
    for (size_t i = 0; i < ways.size(); ++i) {
      const bool is_first = tried_.insert(to_string(ways[i])).second;
      if (is_first && log_.may_try(ways[i])) batch.push_back(ways[i]);
      const bool is_last = i + 1 == ways.size();
      if (batch.empty() || (batch.size() < limits_.batch && !is_last)) continue;
      if (!limits_.exhaustive && result_.tried > 0 && !has_time()) {
        was_cut_ = true;
        return {};
      }
      TRY(measure(batch));
      batch.clear();
    }
    return {};
  }

  /// All at once; where that is refused, each by itself, so that one does not cost the others.
  Result<void> measure(const std::vector<KernelParams>& batch) {
    Result<std::unique_ptr<TrialSet>> made = make_(schedule_, node_, batch);
    if (made) return sample_all(**made, batch);
    if (made.error().kind() == ErrorKind::device_lost) return made.error();
    if (batch.size() == 1) {
      log_.begin(batch[0]);
      log_.end(batch[0], lasting_reason(made.error()));
      // Nothing could be made at all: the caller shall hear why.
      return result_.tried > 0 || to_string(batch[0]) != model_ ? Result<void>() : made.error();
    }
    for (const KernelParams& one : batch) TRY(measure({one}));
    return {};
  }

  Result<void> sample_all(TrialSet& set, const std::vector<KernelParams>& batch) {
    std::vector<Way> ways;
    for (const KernelParams& params : batch) ways.push_back({params, {}});
    for (size_t i = 0; i < ways.size(); ++i) TRY(first_sample(set, i, ways[i]));
    for (size_t round = 1; round < kSamplesMax; ++round) {
      if (round >= kSamplesMin && !has_time() && !limits_.exhaustive) break;
      const double best = best_of(ways);
      for (size_t i = 0; i < ways.size(); ++i) {
        if (ways[i].is_out || (round > 1 && ways[i].best() > kLosesAt * best)) continue;
        const Result<double> seconds = set.sample(i);
        if (!seconds && seconds.error().kind() == ErrorKind::device_lost) return seconds.error();
        if (seconds) ways[i].samples.push_back(*seconds);
      }
    }
    for (const Way& way : ways) take(way);
    return {};
  }

  /// With a look at what it computes. The first run of all warms up and is not counted.
  Result<void> first_sample(TrialSet& set, size_t index, Way& way) {
    log_.begin(way.params);
    const Result<double> cold = set.sample(index);
    const Result<bool> right = cold ? set.is_right(index) : Result<bool>(cold.error());
    const Result<double> warm = right ? set.sample(index) : Result<double>(right.error());
    if (!warm) {
      log_.end(way.params, lasting_reason(warm.error()));
      way.is_out = true;
      return warm.error().kind() == ErrorKind::device_lost ? warm.error() : Result<void>();
    }
    way.samples.push_back(*warm);
    way.is_out = !*right;
    log_.end(way.params, *right ? "" : "Its result is not that of the reference.");
    return {};
  }

  double best_of(const std::vector<Way>& ways) const {
    double best = result_.tried > 0 ? result_.seconds : std::numeric_limits<double>::infinity();
    for (const Way& way : ways) {
      if (!way.is_out) best = std::min(best, way.best());
    }
    return best;
  }

  void take(const Way& way) {
    if (way.is_out) return;
    const double seconds = way.best();  // what disturbs a sample only makes it longer
    const bool is_models = to_string(way.params) == model_;
    if (is_models) result_.model_seconds = seconds;
    if (result_.seconds == 0 || seconds < result_.seconds * (is_models ? 1 : kGain)) {
      result_.params = way.params;
      result_.seconds = seconds;
    }
    ++result_.tried;
  }

  const Schedule& schedule_;
  const Node& node_;
  const Target& target_;
  Splitting splitting_;
  const MakeTrials& make_;
  TrialLog& log_;
  SearchLimits limits_;
  Clock::time_point start_ = Clock::now();
  std::set<std::string> tried_;
  std::string model_;     // the model's choice
  bool was_cut_ = false;  // by the time
  SearchResult result_;
};

}  // namespace

Result<SearchResult> search(const Schedule& schedule, const Node& node, const Target& target,
                            Splitting splitting, std::span<const KernelParams> seeds,
                            const MakeTrials& make, TrialLog& log, const SearchLimits& limits) {
  return Search(schedule, node, target, splitting, make, log, limits).run(seeds);
}

}  // namespace leat
