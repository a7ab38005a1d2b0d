// See trace.h.
#include "leat/run/trace.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "leat/device/spin.h"

namespace leat {

namespace {

double us_of(uint64_t ns, uint64_t start_ns) {
  return ns < start_ns ? 0 : static_cast<double>(ns - start_ns) * 1e-3;
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Trace::Trace() : start_ns_(steady_now_ns()) {}

void Trace::add(const std::string& group, const std::string& track, const std::string& name,
                uint64_t begin_ns, uint64_t end_ns, int64_t item) {
  push(group, track, {.name = name, .begin_ns = begin_ns, .end_ns = end_ns, .item = item});
}

void Trace::mark(const std::string& group, const std::string& track, const std::string& name,
                 uint64_t at_ns, int64_t item) {
  push(group, track,
       {.name = name, .begin_ns = at_ns, .end_ns = at_ns, .item = item, .is_moment = true});
}

void Trace::push(const std::string& group, const std::string& track, Event event) {
  const std::lock_guard lock(mutex_);
  if (events_.size() >= kTraceEventsMax) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  event.group = groups_.emplace(group, static_cast<uint32_t>(groups_.size() + 1)).first->second;
  event.track =
      tracks_.emplace(std::pair(event.group, track), static_cast<uint32_t>(tracks_.size() + 1))
          .first->second;
  events_.push_back(std::move(event));
}

size_t Trace::size() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

std::string Trace::json() const {
  const std::lock_guard lock(mutex_);
  std::string text = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  for (const auto& [name, pid] : groups_) {
    text += fmt::format(
        "{{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{},\"args\":{{\"name\":{}}}}},\n", pid,
        quoted(name));
  }
  for (const auto& [track, tid] : tracks_) {
    text += fmt::format(
        "{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":{},\"tid\":{},\"args\":{{\"name\":{}}}}},"
        "\n",
        track.first, tid, quoted(track.second));
  }
  for (const Event& event : events_) {
    const std::string args = event.item < 0 ? "" : fmt::format("\"item\":{}", event.item);
    const double ts = us_of(event.begin_ns, start_ns_);
    const double duration = static_cast<double>(event.end_ns - event.begin_ns) * 1e-3;
    text += fmt::format(
        "{{\"ph\":\"{}\",\"name\":{},\"pid\":{},\"tid\":{},\"ts\":{:.3f},{}\"args\":{{{}}}}},\n",
        event.is_moment ? "i" : "X", quoted(event.name), event.group, event.track, ts,
        event.is_moment ? std::string("\"s\":\"t\",") : fmt::format("\"dur\":{:.3f},", duration),
        args);
  }
  text += fmt::format(
      "{{\"ph\":\"M\",\"name\":\"trace_end\",\"pid\":0,\"args\":{{\"dropped\":{}}}}}\n]}}\n",
      dropped());
  return text;
}

}  // namespace leat
