// Which devices share a stream, and how many slots each uses: decided by trials inside the stream
// itself, and again when its speed has drifted. Plain logic without threads or clocks: the juggler
// tells it what happened when.
//
// Trials, in this order: each device alone with 2, 3, 4, 8, ... slots while more slots bring more;
// then the fastest device with the next fastest added, one after another, each kept if it brings
// more. A split that is slower than the best device alone is not used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace leat {

/// More slots, or one more device, must bring this much to be kept.
inline constexpr double kSlotGainLeast = 1.03;
inline constexpr double kSplitGainLeast = 1.02;
/// A trial sees so many items of each slot: with fewer, a chance of the host's decides.
inline constexpr uint64_t kTrialItemsPerSlot = 4;
/// Where items last long, a trial lasts until the best that is known would have finished this many;
/// where nothing is known after all trials, they are made again, kTrialStretch times as long. Never
/// beyond kTrialStretchMax times JugglerPlanOptions::trial_ns_max.
inline constexpr uint64_t kSlowTrialItems = 4;
inline constexpr uint64_t kTrialStretch = 4;
inline constexpr uint64_t kTrialStretchMax = 16;
/// A plan whose rate moved by more than this is tried anew.
inline constexpr double kDriftShare = 0.25;

struct JugglerPlanOptions {
  uint64_t trial_items = 16;              // finished ones that make a trial, at least
  uint64_t trial_ns = 20'000'000;         // and at least that long
  uint64_t trial_ns_max = 3'000'000'000;  // then it ends with what it has, if that tells something
  uint64_t drift_ns = 2'000'000'000;      // a window over which the rate is looked at, at least
  bool measures = true;                   // false: all devices, all slots
};

class JugglerPlan {
 public:
  /// `slots`: how many each device has, at least 1.
  JugglerPlan(std::vector<uint32_t> slots, const JugglerPlanOptions& options);

  bool is_active(size_t device) const { return active_[device]; }
  uint32_t slots(size_t device) const { return use_[device]; }
  bool is_trying() const { return stage_ != Stage::steady; }
  /// Items a second of the device alone, at its best number of slots; 0 while unknown.
  double rate_alone(size_t device) const { return best_rate_[device]; }
  /// Items a second of what is used now.
  double rate() const { return plan_rate_; }
  uint32_t trials() const { return trials_; }
  /// What was found, in a sentence or two.
  std::string text(const std::vector<std::string>& names) const;

  /// A device finished an item that it began under the present plan.
  void finished(size_t device, uint64_t now_ns);
  /// Call now and then: ends trials that take too long, and looks for drift.
  void tick(uint64_t now_ns);
  /// The device is gone.
  void drop(size_t device, uint64_t now_ns);
  /// Changes with every trial; items begun under another number do not count.
  uint64_t generation() const { return generation_; }

 private:
  enum class Stage : uint8_t { alone, together, steady };

  void begin_trial(uint64_t now_ns);
  void end_trial(double rate, uint64_t now_ns);
  void end_alone(double rate, uint64_t now_ns);
  void end_together(double rate, uint64_t now_ns);
  void try_all(uint64_t now_ns);
  void next_alone(uint64_t now_ns);
  void begin_together(uint64_t now_ns);
  void next_together(uint64_t now_ns);
  void settle(uint64_t now_ns);
  double measured_rate() const;
  double best_known_rate() const;
  uint64_t slots_in_use() const;
  uint64_t trial_limit_ns() const;

  std::vector<uint32_t> slots_;
  JugglerPlanOptions options_;
  std::vector<bool> active_;
  std::vector<bool> dropped_;
  std::vector<uint32_t> use_;
  std::vector<uint32_t> best_use_;
  std::vector<double> best_rate_;
  Stage stage_ = Stage::alone;
  size_t device_ = 0;          // alone: under trial
  std::vector<size_t> order_;  // together: fastest first
  size_t candidate_ = 0;       // together: index into order_ that was added last
  double best_together_ = 0;
  double plan_rate_ = 0;
  std::vector<std::pair<size_t, double>> refusals_;  // device, rate of the split with it
  uint32_t trials_ = 0;
  uint64_t generation_ = 0;
  uint64_t stretch_ = 1;  // of trials while no rate is known
  uint64_t to_skip_ = 0;  // items that fill the slots, before the trial counts
  uint64_t trial_begin_ns_ = 0;
  uint64_t first_ns_ = 0;  // of the first item finished in the trial or window
  uint64_t last_ns_ = 0;
  uint64_t count_ = 0;  // finished after the first
};

}  // namespace leat
