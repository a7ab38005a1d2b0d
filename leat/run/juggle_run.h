// One call of juggle(): its state, for the files that share it. juggle_run.cpp has the loop and the
// host threads, juggle_devices.cpp the runs on devices, juggle_items.cpp which item goes where and
// in what order items are delivered. See juggler.h for what it promises.
//
// One thread, the caller's, owns all state and uses the devices; host threads run prepare and
// consume and hand back what came of it. A slot goes
//   idle -> preparing -> ready -> running -> consuming -> idle
// and from running, past its deadline, to late, where it stays until its run is known to be over.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "leat/run/host_pool.h"
#include "leat/run/juggler.h"

namespace leat {

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

class JuggleRun {
 public:
  JuggleRun(std::vector<JugglerDevice> devices, uint64_t count, const JugglerOptions& options)
      : options_(options),
        count_(count),
        plan_(slot_counts(devices), options.plan),
        finished_(kReorderMax) {
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
  struct RateMark {
    uint64_t at_ns = 0;
    uint64_t delivered = 0;
  };
  RateMark rate_from_;  // the rate that is shown is counted from here
  RateMark rate_next_;  // where it will be counted from, once that tells enough

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<HostResult> results_;  // under mutex_
  std::vector<HostResult> taken_;
  HostPool pool_;  // last: its threads use the above
};

}  // namespace leat
