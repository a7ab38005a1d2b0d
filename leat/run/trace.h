// A trace of a run: what each host thread, slot and device did when. Written as the JSON that
// Chrome's and Perfetto's viewers open: one track for each name, complete events in microseconds.
// Source: "Trace Event Format", the Chromium project's public document.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace leat {

/// Events beyond this many are dropped and counted.
inline constexpr size_t kTraceEventsMax = 1'000'000;

/// Any thread may add.
class Trace {
 public:
  Trace();

  /// `group` and `track` name the line on which the event stands: "gpu0:vulkan", "slot 1".
  /// Times are those of the steady clock, in nanoseconds.
  void add(const std::string& group, const std::string& track, const std::string& name,
           uint64_t begin_ns, uint64_t end_ns, int64_t item = -1);
  /// A moment: a fence seen, a deadline passed.
  void mark(const std::string& group, const std::string& track, const std::string& name,
            uint64_t at_ns, int64_t item = -1);

  size_t size() const;
  size_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  /// The whole file.
  std::string json() const;

 private:
  struct Event {
    uint32_t group = 0;
    uint32_t track = 0;
    std::string name;
    uint64_t begin_ns = 0;
    uint64_t end_ns = 0;  // begin_ns for a moment
    int64_t item = -1;
    bool is_moment = false;
  };
  void push(const std::string& group, const std::string& track, Event event);

  uint64_t start_ns_;
  mutable std::mutex mutex_;
  std::map<std::string, uint32_t> groups_;
  std::map<std::pair<uint32_t, std::string>, uint32_t> tracks_;
  std::vector<Event> events_;
  std::atomic<size_t> dropped_ = 0;
};

}  // namespace leat
