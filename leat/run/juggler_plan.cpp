// See juggler_plan.h.
#include "leat/run/juggler_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/base/check.h"

namespace leat {

namespace {

constexpr uint32_t kSlotsFirst = 2;  // double buffered

uint32_t more_slots(uint32_t slots) { return slots < 4 ? slots + 1 : slots * 2; }

}  // namespace

JugglerPlan::JugglerPlan(std::vector<uint32_t> slots, const JugglerPlanOptions& options)
    : slots_(std::move(slots)),
      options_(options),
      active_(slots_.size(), false),
      dropped_(slots_.size(), false),
      use_(slots_),
      best_use_(slots_),
      best_rate_(slots_.size(), 0) {
  CHECK(!slots_.empty());
  if (!options_.measures) {
    active_.assign(slots_.size(), true);
    stage_ = Stage::steady;
    return;
  }
  active_[0] = true;
  use_[0] = std::min(kSlotsFirst, slots_[0]);
  begin_trial(0);
}

void JugglerPlan::begin_trial(uint64_t now_ns) {
  ++generation_;
  ++trials_;
  trial_begin_ns_ = now_ns;
  first_ns_ = last_ns_ = 0;
  count_ = 0;
  to_skip_ = slots_in_use();
}

uint64_t JugglerPlan::slots_in_use() const {
  uint64_t sum = 0;
  for (size_t d = 0; d < slots_.size(); ++d) sum += active_[d] ? use_[d] : 0;
  return sum;
}

double JugglerPlan::measured_rate() const {
  if (count_ == 0 || last_ns_ <= first_ns_) return 0;
  return static_cast<double>(count_) * 1e9 / static_cast<double>(last_ns_ - first_ns_);
}

/// Of what has been tried; 0 while nothing has finished anything.
double JugglerPlan::best_known_rate() const {
  const double alone = *std::ranges::max_element(best_rate_);
  return stage_ == Stage::together ? std::max(alone, best_together_) : alone;
}

uint64_t JugglerPlan::trial_limit_ns() const {
  const uint64_t longest_ns = kTrialStretchMax * options_.trial_ns_max;
  const double known = best_known_rate();
  if (known == 0) return std::min(longest_ns, stretch_ * options_.trial_ns_max);
  // Behind what was begun before, and what fills the slots.
  const uint64_t items = kSlowTrialItems + 2 * slots_in_use();
  const double wanted_ns = static_cast<double>(items) * 1e9 / known;
  if (wanted_ns >= static_cast<double>(longest_ns)) return longest_ns;
  return std::max(options_.trial_ns_max, static_cast<uint64_t>(wanted_ns));
}

void JugglerPlan::finished(size_t device, uint64_t now_ns) {
  if (!active_[device]) return;
  if (trial_begin_ns_ == 0) trial_begin_ns_ = now_ns;
  // All slots begin at once, so the first of each end in a burst that tells nothing.
  if (to_skip_ > 0) {
    --to_skip_;
    return;
  }
  if (first_ns_ == 0) {
    first_ns_ = last_ns_ = now_ns;
    return;
  }
  ++count_;
  last_ns_ = now_ns;
  if (stage_ == Stage::steady) return;
  const uint64_t items_min = std::max(options_.trial_items, kTrialItemsPerSlot * slots_in_use());
  const bool is_enough = count_ >= items_min && last_ns_ - first_ns_ >= options_.trial_ns;
  if (is_enough) end_trial(measured_rate(), now_ns);
}

void JugglerPlan::tick(uint64_t now_ns) {
  if (trial_begin_ns_ == 0) trial_begin_ns_ = now_ns;
  if (stage_ != Stage::steady) {
    const uint64_t spent_ns = now_ns - trial_begin_ns_;
    const bool is_told = count_ >= kSlowTrialItems && spent_ns > options_.trial_ns_max;
    if (is_told || spent_ns > trial_limit_ns()) end_trial(measured_rate(), now_ns);
    return;
  }
  const bool has_passed = now_ns - trial_begin_ns_ >= options_.drift_ns;
  if (!options_.measures || !has_passed || count_ < options_.trial_items) return;
  const double rate = measured_rate();
  if (plan_rate_ == 0) plan_rate_ = rate;  // no trial was long enough
  const bool has_drifted = plan_rate_ > 0 && std::abs(rate / plan_rate_ - 1) > kDriftShare;
  if (!has_drifted) {
    trial_begin_ns_ = now_ns;
    first_ns_ = last_ns_ = 0;
    count_ = 0;
    return;
  }
  try_all(now_ns);
}

void JugglerPlan::try_all(uint64_t now_ns) {
  stage_ = Stage::alone;
  device_ = slots_.size();  // none yet
  next_alone(now_ns);
}

void JugglerPlan::drop(size_t device, uint64_t now_ns) {
  if (dropped_[device]) return;
  dropped_[device] = true;
  const bool was_active = active_[device];
  active_[device] = false;
  best_rate_[device] = 0;
  if (std::ranges::count(dropped_, false) == 0) return;
  if (!options_.measures || !was_active) return;
  if (stage_ == Stage::alone && device == device_) return next_alone(now_ns);
  begin_together(now_ns);
}

void JugglerPlan::end_trial(double rate, uint64_t now_ns) {
  if (stage_ == Stage::alone) return end_alone(rate, now_ns);
  end_together(rate, now_ns);
}

void JugglerPlan::end_alone(double rate, uint64_t now_ns) {
  const bool is_better = rate > best_rate_[device_] * kSlotGainLeast || best_rate_[device_] == 0;
  if (is_better) {
    best_rate_[device_] = rate;
    best_use_[device_] = use_[device_];
  }
  const uint32_t next = more_slots(use_[device_]);
  if (is_better && rate > 0 && next <= slots_[device_]) {
    use_[device_] = next;
    return begin_trial(now_ns);
  }
  use_[device_] = best_use_[device_];
  next_alone(now_ns);
}

/// The next device alone; after the last one, the devices together.
void JugglerPlan::next_alone(uint64_t now_ns) {
  device_ = device_ >= slots_.size() ? 0 : device_ + 1;
  while (device_ < slots_.size() && dropped_[device_]) ++device_;
  if (device_ >= slots_.size()) {
    if (best_known_rate() > 0 || stretch_ >= kTrialStretchMax) return begin_together(now_ns);
    stretch_ *= kTrialStretch;  // items last longer than the trials did
    return try_all(now_ns);
  }
  active_.assign(slots_.size(), false);
  active_[device_] = true;
  best_rate_[device_] = 0;
  use_[device_] = std::min(kSlotsFirst, slots_[device_]);
  begin_trial(now_ns);
}

void JugglerPlan::begin_together(uint64_t now_ns) {
  order_.clear();
  for (size_t d = 0; d < slots_.size(); ++d) {
    if (!dropped_[d]) order_.push_back(d);
  }
  std::ranges::stable_sort(order_,
                           [&](size_t a, size_t b) { return best_rate_[a] > best_rate_[b]; });
  active_.assign(slots_.size(), false);
  active_[order_[0]] = true;
  best_together_ = best_rate_[order_[0]];
  refusals_.clear();
  candidate_ = 0;
  stage_ = Stage::together;
  next_together(now_ns);
}

void JugglerPlan::next_together(uint64_t now_ns) {
  do {
    if (++candidate_ >= order_.size()) return settle(now_ns);
  } while (dropped_[order_[candidate_]]);
  active_[order_[candidate_]] = true;
  begin_trial(now_ns);
}

void JugglerPlan::end_together(double rate, uint64_t now_ns) {
  const size_t device = order_[candidate_];
  if (rate > best_together_ * kSplitGainLeast) {
    best_together_ = rate;
  } else {
    active_[device] = false;
    refusals_.emplace_back(device, rate);
  }
  next_together(now_ns);
}

void JugglerPlan::settle(uint64_t now_ns) {
  stage_ = Stage::steady;
  plan_rate_ = best_together_;
  begin_trial(now_ns);
  --trials_;  // a window to look for drift in, and no trial
}

std::string JugglerPlan::text(const std::vector<std::string>& names) const {
  if (!options_.measures) return "All devices with all slots, unmeasured.";
  std::string text;
  for (size_t d = 0; d < slots_.size(); ++d) {
    if (best_rate_[d] == 0) continue;
    text += fmt::format("{} alone makes {:.1f} a second with {} slots. ", names[d], best_rate_[d],
                        best_use_[d]);
  }
  for (const auto& [device, rate] : refusals_) {
    if (rate == 0) {
      text += fmt::format("With {} too little ended to tell its worth, so it is not used. ",
                          names[device]);
      continue;
    }
    text += fmt::format("With {} it would be {:.1f} a second, so it is not used. ", names[device],
                        rate);
  }
  if (is_trying()) return text + "The stream ended before all was measured.";
  std::string used;
  for (size_t d = 0; d < slots_.size(); ++d) {
    if (active_[d]) used += (used.empty() ? "" : " + ") + names[d];
  }
  return text + fmt::format("Used: {}, {:.1f} a second.", used, plan_rate_);
}

}  // namespace leat
