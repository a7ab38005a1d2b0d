// What launches and replays cost the host on a direct route, without a card: the time of one, and
// that none calls the system or allocates. What the write to a doorbell of a card takes, about a
// PCIe write's, is in none of it.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat::cli {

struct HostRow {
  std::string name;
  std::string text;
  std::vector<double> samples_ns;  // of one, each the mean of kHostCount
};

/// How many of what is timed are done one behind the other, before anybody waits.
inline constexpr size_t kHostCount = 64;

/// Kernels, buffers and lists on a device that does nothing until it is told to.
class HostWork {
 public:
  /// `count` has one argument, which it writes, `empty` none; both are of one workgroup. `run` lets
  /// the device do what was submitted, before somebody waits. The device outlives it.
  static Result<HostWork> make(Device& device, const KernelBinary& count, const KernelBinary& empty,
                               std::function<void()> run = {});

  /// `rounds` samples of each row; in bursts, the first of which only brings code and lists back
  /// into the caches.
  Result<std::vector<HostRow>> measure(uint32_t rounds);
  /// All rows once, between two marks of syscall_count.h.
  Result<void> mark_once();
  /// Calls of operator new in all rows once.
  Result<uint64_t> allocations();

 private:
  struct Work;
  static const std::vector<Work>& all_work();

  explicit HostWork(Device& device) : device_(&device) {}
  BufferRange word(size_t i) const { return {&words_, i * kBufferAlignment, sizeof(uint32_t)}; }
  Result<void> launch_count(size_t i);
  Result<uint64_t> once(const Work& work, uint64_t& spent_ns);
  Result<void> finish(uint64_t value);

  Device* device_;
  std::function<void()> run_;
  std::unique_ptr<Kernel> count_, empty_;
  Buffer words_;
  std::vector<std::unique_ptr<RecordedList>> lists_;
};

/// Name, text, best, median, 99th percentile, and samples.
nlohmann::ordered_json json_of(const std::vector<HostRow>& rows);
/// A table of the same.
std::string text_of(const std::vector<HostRow>& rows);

}  // namespace leat::cli
