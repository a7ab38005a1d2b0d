// See juggle_run.h. What happens to runs on a device: they are started, end, miss their deadline,
// or are lost with it.
#include <fmt/format.h>

#include <algorithm>

#include "leat/device/spin.h"
#include "leat/run/juggle_run.h"

namespace leat {

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
    // The verdict: a number moves over work that was lost.
    const bool is_reached =
        slot.value <= reached && FencePoint{device.spec.fence, slot.value}.reached();
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

}  // namespace leat
