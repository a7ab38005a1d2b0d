// See juggler.h. One thread, the caller's, owns all state and uses the devices; host threads run
// prepare and consume and hand back what came of it. A slot goes
//   idle -> preparing -> ready -> running -> consuming -> idle
// and from running, past its deadline, to late, where it stays until its run is known to be over.
#include "leat/run/juggler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "leat/device/spin.h"
#include "leat/run/host_pool.h"

namespace leat {

namespace {

enum class SlotState : uint8_t { idle, preparing, ready, running, late, consuming };

struct SlotRun {
  SlotState state = SlotState::idle;
  uint64_t item = 0;
  uint32_t attempts = 0;
  uint64_t generation = 0;  // of the plan when the item was begun
  uint64_t value = 0;       // of the fence
  uint64_t start_ns = 0;
  bool is_doubted = false;  // the fence said "done" before the receipt did
};

struct DeviceRun {
  JugglerDevice spec;
  std::vector<SlotRun> slots;
  std::deque<size_t> ready;    // slots, in the order in which they were prepared
  std::deque<size_t> running;  // slots, in the order of their values
  uint64_t last_value = 0;     // of the last start
  uint64_t over_value = 0;     // everything up to it is over, by a verified later end
  uint64_t head_since_ns = 0;  // when the oldest running run could begin
  uint64_t last_start_ns = 0;
  double item_ns = 0;  // between two ends while busy, a running mean
  uint64_t last_end_ns = 0;
  uint64_t seen_value = 0;  // the most that the fence has shown of what was asked for
  bool is_beyond = false;   // the fence showed more than that when it was looked at last
  uint32_t strikes = 0;     // deadlines since a run ended
  uint32_t silent = 0;      // deadlines since the fence moved
  uint64_t busy_ns = 0;     // device's own time since the trials
  SlotTimes span;           // from the first run's begin to the last one's end
  JugglerDeviceReport report;
};

struct Again {
  uint64_t item = 0;
  uint32_t attempts = 0;
  size_t avoid = 0;  // the device on which it failed last
};

/// What a host thread hands back.
struct HostResult {
  size_t device = 0;
  size_t slot = 0;
  bool is_prepare = false;
  std::optional<Error> error;
};

constexpr uint64_t kProgressNs = 100'000'000;
// Between two looks at runs that were given up, when there is nothing else to do.
constexpr uint64_t kLateLookNs = 200'000;
// How long the juggler sleeps at most while a device or a host thread works.
constexpr uint64_t kRestNsMax = 1'000'000;
// The same while a fence shows more than is believed: waiting for it would be a spin.
constexpr uint64_t kDoubtRestNs = 100'000;

class JuggleRun {
 public:
  JuggleRun(std::vector<JugglerDevice> devices, uint64_t count, const JugglerOptions& options)
      : options_(options),
        count_(count),
        plan_(slot_counts(devices), options.plan),
        finished_(kReorderMax),
        pool_(options.host_threads) {
    for (JugglerDevice& device : devices) {
      CHECK(!device.slots.empty() && device.fence != nullptr);
      DeviceRun& run = devices_.emplace_back();
      run.slots.resize(device.slots.size());
      run.report.name = device.name;
      run.last_value = run.over_value = run.seen_value = device.fence->poll();
      run.spec = std::move(device);
    }
  }

  Result<JugglerReport> run();

 private:
  static std::vector<uint32_t> slot_counts(const std::vector<JugglerDevice>& devices) {
    std::vector<uint32_t> counts;
    for (const JugglerDevice& device : devices) {
      counts.push_back(static_cast<uint32_t>(device.slots.size()));
    }
    return counts;
  }

  bool take_host_results();
  void take(const HostResult& result);
  bool look_at(size_t device);
  bool take_ends(size_t device);
  void end_run(size_t device, size_t slot, uint64_t now_ns);
  void note_times(DeviceRun& device, size_t slot, uint64_t now_ns);
  bool skip_overdue(size_t device, uint64_t now_ns);
  void skip(size_t device, size_t slot);
  void free_late(DeviceRun& device, uint64_t reached);
  bool start_ready(size_t device);
  void again(size_t device, SlotRun& slot);
  void take_out(size_t device, const std::string& reason);
  bool assign();
  bool assign_retry();
  bool assign_fresh();
  void begin(size_t device, uint64_t item, uint32_t attempts);
  std::optional<size_t> device_for(bool is_fresh, std::optional<size_t> avoid) const;
  bool has_room(size_t device, bool is_fresh) const;
  bool is_too_slow_for_the_rest(size_t device) const;
  bool is_healthy(size_t device) const;
  static bool owes(const DeviceRun& device) { return device.seen_value < device.last_value; }
  static size_t busy_slots(const DeviceRun& device);
  void prepare(size_t device, size_t slot);
  void consume(size_t device, size_t slot);
  void hand_back(HostResult result);
  void finish(uint64_t item, std::optional<Error> error);
  void deliver(uint64_t item, const Error* error);
  void rest();
  void show_progress(bool is_last);
  void note_steady(uint64_t now_ns);
  bool is_over() const;
  bool has_host_work() const;
  void await_late();
  bool await_late_of(DeviceRun& device);
  JugglerReport make_report();
  void trace_mark(size_t device, const char* what, const SlotRun& slot);

  const JugglerOptions& options_;
  uint64_t count_;
  JugglerPlan plan_;
  std::vector<DeviceRun> devices_;
  std::deque<Again> again_;
  uint64_t next_item_ = 0;  // not begun yet
  uint64_t next_in_order_ = 0;
  uint64_t delivered_ = 0;
  struct Finished {
    bool is_finished = false;
    std::optional<Error> error;
  };
  std::vector<Finished> finished_;  // by item modulo kReorderMax, from next_in_order_ on
  JugglerReport report_;
  uint64_t start_ns_ = 0;
  uint64_t steady_since_ns_ = 0;
  uint64_t steady_from_ = 0;  // delivered_ then
  uint64_t shown_ns_ = 0;
  uint64_t shown_delivered_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<HostResult> results_;  // under mutex_
  std::vector<HostResult> taken_;
  HostPool pool_;  // last: its threads use the above
};

Result<JugglerReport> JuggleRun::run() {
  start_ns_ = shown_ns_ = steady_now_ns();
  while (!is_over()) {
    bool moved = take_host_results();
    for (size_t d = 0; d < devices_.size(); ++d) moved = look_at(d) || moved;
    if (options_.stops && next_item_ < count_ && options_.stops()) count_ = next_item_;
    moved = assign() || moved;
    const uint64_t now_ns = steady_now_ns();
    plan_.tick(now_ns);
    note_steady(now_ns);
    show_progress(false);
    const bool any_left = std::ranges::any_of(
        devices_, [](const DeviceRun& device) { return device.report.lost.empty(); });
    if (!any_left && !has_host_work() && delivered_ < count_) {
      await_late();
      std::string reasons;
      for (const DeviceRun& d : devices_) reasons += " " + d.report.name + ": " + d.report.lost;
      return Error(ErrorKind::device_lost,
                   fmt::format("No device is left after ({}) of ({}) items.{}", delivered_, count_,
                               reasons));
    }
    if (!moved) rest();
  }
  show_progress(true);
  JugglerReport report = make_report();
  await_late();
  for (size_t d = 0; d < devices_.size(); ++d) {
    report.devices[d].unended = static_cast<uint64_t>(
        std::ranges::count(devices_[d].slots, SlotState::late, &SlotRun::state));
  }
  return report;
}

/// All is delivered, and no host thread works on what is ours any more.
bool JuggleRun::is_over() const { return delivered_ >= count_ && !has_host_work(); }

/// Whether a host thread prepares or consumes, on a device that is lost too.
bool JuggleRun::has_host_work() const {
  return std::ranges::any_of(devices_, [](const DeviceRun& device) {
    return std::ranges::any_of(device.slots, [](const SlotRun& slot) {
      return slot.state == SlotState::preparing || slot.state == SlotState::consuming;
    });
  });
}

/// Runs that were given up still write into their slots, which the caller frees next.
void JuggleRun::await_late() {
  bool is_waiting = true;
  while (is_waiting) {
    is_waiting = false;
    for (DeviceRun& device : devices_) is_waiting = await_late_of(device) || is_waiting;
    if (is_waiting) std::this_thread::sleep_for(std::chrono::nanoseconds(kLateLookNs));
  }
}

/// Whether the device may still end a run that was given up.
bool JuggleRun::await_late_of(DeviceRun& device) {
  const uint64_t now_ns = steady_now_ns();
  const uint64_t reached = device.spec.fence->poll();
  if (reached <= device.last_value) free_late(device, reached);
  const auto late = std::ranges::find(device.slots, SlotState::late, &SlotRun::state);
  if (late == device.slots.end()) return false;
  if (now_ns - device.last_start_ns > device.spec.hang_ns) return false;
  return device.spec.fence->wait(late->value, 0).has_value();  // else it is lost
}

// --- Host threads --------------------------------------------------------------------------------

void JuggleRun::hand_back(HostResult result) {
  const std::lock_guard lock(mutex_);
  results_.push_back(std::move(result));
  changed_.notify_one();
}

void JuggleRun::prepare(size_t d, size_t s) {
  devices_[d].slots[s].state = SlotState::preparing;
  const JugglerSlot& work = devices_[d].spec.slots[s];
  const uint64_t item = devices_[d].slots[s].item;
  pool_.add([this, d, s, &work, item](size_t thread) {
    const uint64_t begin_ns = steady_now_ns();
    const Result<void> done = work.prepare(item);
    if (options_.trace != nullptr) {
      options_.trace->add("host", fmt::format("thread {}", thread), "prepare", begin_ns,
                          steady_now_ns(), static_cast<int64_t>(item));
    }
    hand_back({d, s, true, done ? std::nullopt : std::optional(done.error())});
  });
}

void JuggleRun::consume(size_t d, size_t s) {
  devices_[d].slots[s].state = SlotState::consuming;
  const JugglerSlot& work = devices_[d].spec.slots[s];
  const uint64_t item = devices_[d].slots[s].item;
  pool_.add(
      [this, d, s, &work, item](size_t thread) {
        const uint64_t begin_ns = steady_now_ns();
        const Result<void> done = work.consume(item);
        if (options_.trace != nullptr) {
          options_.trace->add("host", fmt::format("thread {}", thread), "consume", begin_ns,
                              steady_now_ns(), static_cast<int64_t>(item));
        }
        hand_back({d, s, false, done ? std::nullopt : std::optional(done.error())});
      },
      true);
}

bool JuggleRun::take_host_results() {
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(results_);
  }
  for (const HostResult& result : taken_) take(result);
  const bool moved = !taken_.empty();
  taken_.clear();
  return moved;
}

void JuggleRun::take(const HostResult& result) {
  DeviceRun& device = devices_[result.device];
  SlotRun& slot = device.slots[result.slot];
  if (!result.is_prepare) {
    slot.state = SlotState::idle;
    ++device.report.items;
    return finish(slot.item, result.error);
  }
  if (result.error) {
    slot.state = SlotState::idle;
    return finish(slot.item, result.error);
  }
  if (!device.report.lost.empty()) {
    slot.state = SlotState::idle;
    return again(result.device, slot);
  }
  slot.state = SlotState::ready;
  device.ready.push_back(result.slot);
}

// --- Devices -------------------------------------------------------------------------------------

bool JuggleRun::look_at(size_t d) {
  if (!devices_[d].report.lost.empty()) return false;
  // The clock before the fence: an end that comes between both is not taken for missed.
  const uint64_t now_ns = steady_now_ns();
  bool moved = take_ends(d);
  moved = skip_overdue(d, now_ns) || moved;
  if (!devices_[d].report.lost.empty()) return true;
  return start_ready(d) || moved;
}

/// Runs whose fence is reached and whose receipt agrees have ended. What was started before a run
/// that has ended is over too: the queue keeps its order. Without a receipt it was never done.
bool JuggleRun::take_ends(size_t d) {
  DeviceRun& device = devices_[d];
  const uint64_t reached = device.spec.fence->poll();
  device.is_beyond = reached > device.last_value;
  if (device.is_beyond) {  // more than anybody asked for: such a fence says nothing
    ++device.report.wrong_fences;
    return false;
  }
  if (reached > device.seen_value) {
    device.seen_value = reached;
    device.silent = 0;
  }
  bool moved = false;
  for (size_t i = 0; i < device.running.size();) {
    const size_t s = device.running[i];
    SlotRun& slot = device.slots[s];
    const JugglerSlot& work = device.spec.slots[s];
    const bool is_reached = slot.value <= reached;
    if (is_reached && (!work.verify || work.verify())) {
      device.over_value = std::max(device.over_value, slot.value);
      device.running.erase(device.running.begin() + static_cast<ptrdiff_t>(i));
      end_run(d, s, steady_now_ns());
      moved = true;
      continue;
    }
    if (is_reached && !slot.is_doubted) {
      slot.is_doubted = true;
      ++device.report.wrong_fences;
      trace_mark(d, "fence without receipt", slot);
    }
    ++i;
  }
  while (!device.running.empty() &&
         device.slots[device.running.front()].value < device.over_value) {
    const size_t s = device.running.front();
    device.running.pop_front();
    skip(d, s);
    moved = true;
  }
  free_late(device, reached);
  return moved;
}

void JuggleRun::end_run(size_t d, size_t s, uint64_t now_ns) {
  DeviceRun& device = devices_[d];
  SlotRun& slot = device.slots[s];
  const uint64_t since_ns = std::max(device.last_end_ns, slot.start_ns);
  const auto took_ns = static_cast<double>(now_ns - since_ns);
  device.item_ns = device.item_ns == 0 ? took_ns : device.item_ns * 0.875 + took_ns * 0.125;
  device.last_end_ns = device.head_since_ns = now_ns;
  device.strikes = 0;
  if (slot.generation == plan_.generation()) plan_.finished(d, now_ns);
  if (options_.trace != nullptr) {
    options_.trace->add(device.report.name, fmt::format("slot {}", s), "run", slot.start_ns, now_ns,
                        static_cast<int64_t>(slot.item));
    trace_mark(d, "fence seen", slot);
  }
  note_times(device, s, now_ns);
  consume(d, s);
}

/// The device's clock is not the host's: in a trace a run's own time is placed to end when its
/// fence was seen.
void JuggleRun::note_times(DeviceRun& device, size_t s, uint64_t now_ns) {
  const JugglerSlot& work = device.spec.slots[s];
  if (!work.times) return;
  const Result<SlotTimes> times = work.times();
  if (!times || times->end_ns < times->begin_ns) return;
  if (options_.trace != nullptr) {
    options_.trace->add(device.report.name, "queue", "compute",
                        now_ns - (times->end_ns - times->begin_ns), now_ns,
                        static_cast<int64_t>(device.slots[s].item));
  }
  if (plan_.is_trying()) {
    device.busy_ns = 0;
    device.span = {};
    return;
  }
  if (device.span.begin_ns == 0) device.span.begin_ns = times->begin_ns;
  device.span.end_ns = std::max(device.span.end_ns, times->end_ns);
  device.busy_ns += times->end_ns - times->begin_ns;
}

/// A deadline is missed when the oldest run does not end in time or, with none running, when none
/// of those given up comes back.
bool JuggleRun::skip_overdue(size_t d, uint64_t now_ns) {
  DeviceRun& device = devices_[d];
  const bool has_running = !device.running.empty();
  const bool all_late = std::ranges::all_of(
      device.slots, [](const SlotRun& slot) { return slot.state == SlotState::late; });
  if (!has_running && !all_late && !owes(device)) return false;
  if (now_ns <= device.head_since_ns) return false;
  if (now_ns - device.head_since_ns <= device.spec.deadline_ns) return false;
  device.head_since_ns = now_ns;
  ++device.silent;
  if (has_running) {
    const size_t s = device.running.front();
    device.running.pop_front();
    ++device.report.deadlines;
    ++device.strikes;
    trace_mark(d, "deadline", device.slots[s]);
    skip(d, s);
  }
  if (device.silent >= kSilentDeadlinesMax) {
    take_out(d, fmt::format("nothing has come back for ({}) deadlines", device.silent));
  } else if (device.strikes >= kStrikesMax) {
    take_out(d, fmt::format("({}) runs in a row pass their deadline", device.strikes));
  }
  return true;
}

/// The run is given up and its item tried again; the slot stays untouched until the run is over.
void JuggleRun::skip(size_t d, size_t s) {
  DeviceRun& device = devices_[d];
  SlotRun& slot = device.slots[s];
  again(d, slot);
  slot.state = slot.value < device.over_value ? SlotState::idle : SlotState::late;
}

void JuggleRun::free_late(DeviceRun& device, uint64_t reached) {
  for (size_t s = 0; s < device.slots.size(); ++s) {
    SlotRun& slot = device.slots[s];
    if (slot.state != SlotState::late) continue;
    const auto& verify = device.spec.slots[s].verify;
    const bool has_ended = slot.value <= reached && (!verify || verify());
    if (slot.value < device.over_value || has_ended) slot.state = SlotState::idle;
  }
}

bool JuggleRun::start_ready(size_t d) {
  DeviceRun& device = devices_[d];
  bool moved = false;
  while (!device.ready.empty()) {
    const size_t s = device.ready.front();
    device.ready.pop_front();
    SlotRun& slot = device.slots[s];
    slot.start_ns = steady_now_ns();
    slot.is_doubted = false;
    const Result<uint64_t> value = device.spec.slots[s].start();
    moved = true;
    if (!value) {
      slot.state = SlotState::idle;
      again(d, slot);
      const bool is_lost = value.error().kind() == ErrorKind::device_lost;
      if (is_lost || ++device.strikes >= kStrikesMax) {
        take_out(d, value.error().message());
        return true;
      }
      continue;
    }
    if (device.running.empty()) device.head_since_ns = slot.start_ns;
    device.last_start_ns = slot.start_ns;
    slot.value = device.last_value = *value;
    slot.state = SlotState::running;
    device.running.push_back(s);
  }
  return moved;
}

void JuggleRun::again(size_t d, SlotRun& slot) {
  ++report_.retries;
  if (slot.attempts + 1 >= kAttemptsMax) {
    return finish(slot.item, Error(ErrorKind::device_lost,
                                   fmt::format("Item ({}) failed ({}) times, the limit.", slot.item,
                                               kAttemptsMax)));
  }
  again_.push_back({slot.item, slot.attempts + 1, d});
}

/// What the device has not ended goes to the others. What a host thread holds comes back by itself.
void JuggleRun::take_out(size_t d, const std::string& reason) {
  DeviceRun& device = devices_[d];
  device.report.lost = reason.empty() ? "lost" : reason;
  plan_.drop(d, steady_now_ns());
  for (SlotRun& slot : device.slots) {
    if (slot.state != SlotState::running && slot.state != SlotState::ready) continue;
    slot.state = slot.state == SlotState::running ? SlotState::late : SlotState::idle;
    again(d, slot);
  }
  device.running.clear();
  device.ready.clear();
}

void JuggleRun::trace_mark(size_t d, const char* what, const SlotRun& slot) {
  if (options_.trace == nullptr) return;
  options_.trace->mark(devices_[d].report.name, "fence", what, steady_now_ns(),
                       static_cast<int64_t>(slot.item));
}

// --- Items ---------------------------------------------------------------------------------------

size_t JuggleRun::busy_slots(const DeviceRun& device) {
  return static_cast<size_t>(std::ranges::count_if(device.slots, [](const SlotRun& slot) {
    return slot.state != SlotState::idle && slot.state != SlotState::late;
  }));
}

bool JuggleRun::has_room(size_t d, bool is_fresh) const {
  const DeviceRun& device = devices_[d];
  if (!device.report.lost.empty() || (is_fresh && !plan_.is_active(d))) return false;
  const bool has_idle = std::ranges::any_of(
      device.slots, [](const SlotRun& slot) { return slot.state == SlotState::idle; });
  return has_idle && busy_slots(device) < plan_.slots(d);
}

/// Neither lost nor silent since a missed deadline.
bool JuggleRun::is_healthy(size_t d) const {
  const DeviceRun& device = devices_[d];
  return device.report.lost.empty() && (device.silent == 0 || !owes(device));
}

/// Near the end a slow device would still be at work when the fastest could have done it all.
bool JuggleRun::is_too_slow_for_the_rest(size_t d) const {
  const double own_ns = devices_[d].item_ns;
  const auto left = static_cast<double>(count_ - std::min(count_, next_item_));
  for (size_t o = 0; o < devices_.size(); ++o) {
    const DeviceRun& other = devices_[o];
    if (o == d || !plan_.is_active(o) || !is_healthy(o)) continue;
    if (other.item_ns == 0 || own_ns == 0) continue;
    const double rest_ns = (static_cast<double>(busy_slots(other)) + left) * other.item_ns;
    if (static_cast<double>(busy_slots(devices_[d]) + 1) * own_ns > rest_ns) return true;
  }
  return false;
}

/// The device that would finish one more item first. One that may hang, or on which a retry failed
/// last, gets it only when there is no other.
std::optional<size_t> JuggleRun::device_for(bool is_fresh, std::optional<size_t> avoid) const {
  std::optional<size_t> best;
  double best_ns = 0;
  bool has_healthy = false;
  bool has_other = false;
  for (size_t d = 0; d < devices_.size(); ++d) {
    if (!is_healthy(d) || (is_fresh && !plan_.is_active(d))) continue;
    has_healthy = true;
    has_other = has_other || d != avoid;
  }
  for (size_t d = 0; d < devices_.size(); ++d) {
    if (!has_room(d, is_fresh) || (has_healthy && !is_healthy(d))) continue;
    if (has_other && d == avoid) continue;
    if (is_fresh && !plan_.is_trying() && is_too_slow_for_the_rest(d)) continue;
    const double ns =
        static_cast<double>(busy_slots(devices_[d]) + 1) * std::max(devices_[d].item_ns, 1.0);
    if (best && ns >= best_ns) continue;
    best = d;
    best_ns = ns;
  }
  return best;
}

bool JuggleRun::assign() {
  bool moved = false;
  while (assign_retry() || assign_fresh()) moved = true;
  return moved;
}

/// The oldest retry that a device may take now; one that has to wait holds up no other.
bool JuggleRun::assign_retry() {
  for (auto retry = again_.begin(); retry != again_.end(); ++retry) {
    const std::optional<size_t> d = device_for(false, retry->avoid);
    if (!d) continue;
    const Again taken = *retry;
    again_.erase(retry);
    begin(*d, taken.item, taken.attempts);
    return true;
  }
  return false;
}

bool JuggleRun::assign_fresh() {
  if (next_item_ >= count_ || next_item_ >= next_in_order_ + kReorderMax) return false;
  const std::optional<size_t> d = device_for(true, std::nullopt);
  if (!d) return false;
  begin(*d, next_item_++, 0);
  return true;
}

void JuggleRun::begin(size_t d, uint64_t item, uint32_t attempts) {
  std::vector<SlotRun>& slots = devices_[d].slots;
  const auto idle = std::ranges::find(slots, SlotState::idle, &SlotRun::state);
  idle->item = item;
  idle->attempts = attempts;
  idle->generation = plan_.generation();
  prepare(d, static_cast<size_t>(idle - slots.begin()));
}

void JuggleRun::finish(uint64_t item, std::optional<Error> error) {
  CHECK(item >= next_in_order_ && item < next_in_order_ + kReorderMax);
  Finished& entry = finished_[item % kReorderMax];
  CHECK(!entry.is_finished);  // never twice
  entry.is_finished = true;
  if (!options_.keeps_order) deliver(item, error ? &*error : nullptr);
  entry.error = std::move(error);
  while (finished_[next_in_order_ % kReorderMax].is_finished) {
    Finished& first = finished_[next_in_order_ % kReorderMax];
    if (options_.keeps_order) deliver(next_in_order_, first.error ? &*first.error : nullptr);
    first = {};
    ++next_in_order_;
  }
}

void JuggleRun::deliver(uint64_t item, const Error* error) {
  ++delivered_;
  if (error != nullptr) ++report_.errors;
  if (options_.deliver) options_.deliver(item, error);
}

// --- Between ------------------------------------------------------------------------------------

/// Nothing can be done now. Host threads wake the juggler; a device is looked at again soon, the
/// sooner the nearer its end is expected.
void JuggleRun::rest() {
  uint64_t rest_ns = kRestNsMax;
  const uint64_t now_ns = steady_now_ns();
  DeviceRun* next = nullptr;
  for (DeviceRun& device : devices_) {
    if (device.running.empty() || !device.report.lost.empty()) continue;
    if (device.is_beyond || device.slots[device.running.front()].is_doubted) {
      rest_ns = std::min(rest_ns, kDoubtRestNs);
      continue;
    }
    const auto expected_ns = static_cast<uint64_t>(device.item_ns * 0.9);
    const uint64_t spent_ns = now_ns - device.head_since_ns;
    const uint64_t left_ns = expected_ns > spent_ns ? expected_ns - spent_ns : 0;
    if (next != nullptr && left_ns >= rest_ns) continue;
    rest_ns = std::min(rest_ns, left_ns);
    next = &device;
  }
  if (next != nullptr && rest_ns < kSpinNsMax) {  // soon: block on the fence itself, or spin
    const uint64_t value = next->slots[next->running.front()].value;
    const Result<bool> done = next->spec.fence->wait(value, 2 * kSpinNsMax);
    if (done) {
      if (*done) pause_core();
      return;
    }
    return take_out(static_cast<size_t>(next - devices_.data()), done.error().message());
  }
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::nanoseconds(rest_ns), [&] { return !results_.empty(); });
}

void JuggleRun::note_steady(uint64_t now_ns) {
  if (plan_.is_trying()) {
    steady_since_ns_ = 0;
  } else if (steady_since_ns_ == 0) {
    steady_since_ns_ = now_ns;
    steady_from_ = delivered_;
  }
}

void JuggleRun::show_progress(bool is_last) {
  if (!options_.progress) return;
  const uint64_t now_ns = steady_now_ns();
  if (!is_last && now_ns - shown_ns_ < kProgressNs) return;
  JugglerProgress progress;
  progress.delivered = delivered_;
  progress.count = count_;
  progress.seconds = static_cast<double>(now_ns - start_ns_) * 1e-9;
  const double passed = static_cast<double>(std::max<uint64_t>(1, now_ns - shown_ns_)) * 1e-9;
  progress.rate = static_cast<double>(delivered_ - shown_delivered_) / passed;
  shown_ns_ = now_ns;
  shown_delivered_ = delivered_;
  options_.progress(progress);
}

JugglerReport JuggleRun::make_report() {
  const uint64_t now_ns = steady_now_ns();
  report_.delivered = delivered_;
  report_.seconds = static_cast<double>(now_ns - start_ns_) * 1e-9;
  report_.rate = static_cast<double>(delivered_) / std::max(report_.seconds, 1e-9);
  if (steady_since_ns_ != 0 && delivered_ > steady_from_) {
    report_.steady_rate = static_cast<double>(delivered_ - steady_from_) * 1e9 /
                          static_cast<double>(std::max<uint64_t>(1, now_ns - steady_since_ns_));
  }
  std::vector<std::string> names;
  for (size_t d = 0; d < devices_.size(); ++d) {
    DeviceRun& device = devices_[d];
    JugglerDeviceReport& report = device.report;
    names.push_back(report.name);
    report.slots = plan_.slots(d);
    report.is_used = plan_.is_active(d);
    report.rate_alone = plan_.rate_alone(d);
    const uint64_t span_ns = device.span.end_ns - device.span.begin_ns;
    if (span_ns > 0) {
      report.idle_share =
          1 - std::min(1.0, static_cast<double>(device.busy_ns) / static_cast<double>(span_ns));
    }
    report_.devices.push_back(report);
  }
  report_.plan = plan_.text(names);
  return std::move(report_);
}

}  // namespace

Result<JugglerReport> juggle(std::vector<JugglerDevice> devices, uint64_t count,
                             const JugglerOptions& options) {
  CHECK(!devices.empty());
  return JuggleRun(std::move(devices), count, options).run();
}

JugglerDevice juggled_network(
    Network& network, const std::function<Result<void>(uint64_t item, size_t slot)>& prepare,
    const std::function<Result<void>(uint64_t item, size_t slot)>& consume) {
  JugglerDevice device;
  device.name = network.device().info().name;
  device.fence = &network.device().queue().fence();
  device.deadline_ns = device.hang_ns = hang_timeout_ns(network.device());
  for (size_t s = 0; s < network.slot_count(); ++s) {
    JugglerSlot slot;
    slot.prepare = [prepare, s](uint64_t item) { return prepare(item, s); };
    slot.start = [&network, s] { return network.start(s); };
    slot.verify = [&network, s] { return network.is_receipted(s); };
    slot.consume = [consume, s](uint64_t item) { return consume(item, s); };
    if (network.has_times()) slot.times = [&network, s] { return network.slot_times(s); };
    device.slots.push_back(std::move(slot));
  }
  return device;
}

}  // namespace leat
