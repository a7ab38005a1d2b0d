// See juggler.h and juggle_run.h: the loop, the host threads, the end.
#include "leat/run/juggle_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "leat/device/spin.h"

namespace leat {

namespace {

constexpr uint64_t kProgressNs = 100'000'000;
// The rate shown is that of the last two stretches, each of which lasts this long and has so many
// items at least.
constexpr uint64_t kRateNs = 1'000'000'000;
constexpr uint64_t kRateItems = 4;
// Between two looks at runs that were given up, when there is nothing else to do.
constexpr uint64_t kLateLookNs = 200'000;
// How long the juggler sleeps at most while a device or a host thread works.
constexpr uint64_t kRestNsMax = 1'000'000;
// The same while a fence shows more than is believed: waiting for it would be a spin.
constexpr uint64_t kDoubtRestNs = 100'000;

}  // namespace

Result<JugglerReport> JuggleRun::run() {
  TRY(pool_.start(options_.host_threads));
  start_ns_ = shown_ns_ = rate_from_.at_ns = rate_next_.at_ns = steady_now_ns();
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
  const uint64_t passed_ns = std::max<uint64_t>(1, now_ns - rate_from_.at_ns);
  progress.rate =
      static_cast<double>(delivered_ - rate_from_.delivered) * 1e9 / static_cast<double>(passed_ns);
  if (now_ns - rate_next_.at_ns >= kRateNs && delivered_ - rate_next_.delivered >= kRateItems) {
    rate_from_ = std::exchange(rate_next_, {now_ns, delivered_});
  }
  shown_ns_ = now_ns;
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
