// See memory_probe.h.
#include "leat/run/memory_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/device/spin.h"

namespace leat {

namespace {

constexpr size_t kProbeBytes = size_t{16} << 20;
constexpr int kRounds = 4;
// A window whose writes reach less than this share of the way by a staging copy is not worth it.
constexpr double kWindowShareLeast = 0.5;
// Memory that is one has no host side that is this much slower than the other.
constexpr double kUnifiedShareLeast = 0.25;
// Reading memory that the host does not cache is slower than writing it by far more than this.
constexpr double kCachedShareLeast = 0.25;

/// Bytes a nanosecond are gigabytes a second.
template <typename Work>
Result<double> best_rate(const Work& work) {
  double best = 0;
  for (int i = 0; i < kRounds; ++i) {
    const uint64_t start_ns = steady_now_ns();
    TRY(work());
    const uint64_t spent_ns = std::max<uint64_t>(1, steady_now_ns() - start_ns);
    best = std::max(best, static_cast<double>(kProbeBytes) / static_cast<double>(spent_ns));
  }
  return best;
}

Result<double> copy_rate(Device& device, const Buffer& target, const Buffer& source) {
  return best_rate([&]() -> Result<void> {
    TRY(device.queue().copy({&target, 0, kProbeBytes}, {&source, 0, kProbeBytes}));
    TRY_ASSIGN(const uint64_t value, device.queue().submit());
    TRY_ASSIGN(const bool done, device.queue().fence().wait(value, hang_timeout_ns(device)));
    if (done) return {};
    return Error(ErrorKind::device_lost,
                 fmt::format("Device \"{}\" did not finish a copy.", device.info().name));
  });
}

Result<double> write_rate(const Buffer& target, const std::vector<std::byte>& bytes) {
  if (target.host_pointer() == nullptr) return 0.0;
  return best_rate([&]() -> Result<void> {
    std::memcpy(target.host_pointer(), bytes.data(), kProbeBytes);
    return {};
  });
}

std::string rate_text(double rate) { return fmt::format("{:.1f} GB/s", rate); }

MemoryDecision input_decision(const MemoryFacts& facts, const MemoryProbe& probe) {
  MemoryDecision row{"inputs", "", "", false};
  switch (facts.model) {
    case MemoryModel::unified:
      row.place = "shared, in place";
      row.reason = "one memory; the host writes it at " + rate_text(probe.host_writes_shared);
      row.is_verified = probe.host_writes_shared > 0 &&
                        probe.host_writes_shared >= kUnifiedShareLeast * probe.host_writes_device;
      return row;
    case MemoryModel::discrete_window: {
      const double staged =
          1 / (1 / std::max(probe.host_writes_shared, 1e-9) + 1 / std::max(probe.copy_in, 1e-9));
      row.place = "the device's own memory, through its window";
      row.reason = fmt::format("the host writes it at {}; staging gives {}",
                               rate_text(probe.host_writes_window), rate_text(staged));
      row.is_verified = probe.host_writes_window >= kWindowShareLeast * staged;
      return row;
    }
    case MemoryModel::discrete:
      row.place = "shared, read over the bus";
      row.reason = "the host does not reach the device's memory; a copy would bring " +
                   rate_text(probe.copy_in);
      row.is_verified = probe.host_writes_device == 0;
      return row;
  }
  return row;
}

}  // namespace

Result<MemoryProbe> probe_memory(Device& device) {
  MemoryProbe probe;
  std::vector<std::byte> bytes(kProbeBytes, std::byte{1});
  TRY_ASSIGN(const Buffer shared, device.allocate(kProbeBytes, MemoryKind::shared));
  TRY_ASSIGN(const Buffer own, device.allocate(kProbeBytes, MemoryKind::device));
  TRY_ASSIGN(const Buffer other, device.allocate(kProbeBytes, MemoryKind::device));
  TRY_ASSIGN(probe.host_writes_shared, write_rate(shared, bytes));
  TRY_ASSIGN(probe.host_writes_device, write_rate(own, bytes));
  TRY_ASSIGN(probe.host_reads_shared, best_rate([&]() -> Result<void> {
               std::memcpy(bytes.data(), shared.host_pointer(), kProbeBytes);
               return {};
             }));
  TRY_ASSIGN(probe.copy_in, copy_rate(device, own, shared));
  TRY_ASSIGN(probe.copy_out, copy_rate(device, shared, own));
  TRY_ASSIGN(probe.copy_inside, copy_rate(device, other, own));
  if (device.memory_facts().model != MemoryModel::discrete_window) return probe;
  TRY_ASSIGN(const Buffer window, device.allocate_window(kProbeBytes));
  TRY_ASSIGN(probe.host_writes_window, write_rate(window, bytes));
  return probe;
}

std::vector<MemoryDecision> decide_memory(const MemoryFacts& facts, const MemoryProbe& probe) {
  const bool is_unified = facts.model == MemoryModel::unified;
  std::vector<MemoryDecision> rows;
  MemoryDecision weights{"weights, activations", "the device's own memory", "", false};
  weights.reason =
      is_unified
          ? fmt::format("one memory: the host writes it at {}, shared at {}",
                        rate_text(probe.host_writes_device), rate_text(probe.host_writes_shared))
          : fmt::format("copies inside run at {}", rate_text(probe.copy_inside));
  weights.is_verified =
      is_unified ? probe.host_writes_device >= kUnifiedShareLeast * probe.host_writes_shared
                 : probe.copy_inside > 0 && probe.copy_inside >= probe.copy_in;
  rows.push_back(std::move(weights));
  rows.push_back(input_decision(facts, probe));
  MemoryDecision outputs{"outputs", "shared, cached by the host", "", false};
  outputs.reason = fmt::format("the device writes them once; the host reads them at {}",
                               rate_text(probe.host_reads_shared));
  outputs.is_verified = probe.host_reads_shared > 0 &&
                        probe.host_reads_shared >= kCachedShareLeast * probe.host_writes_shared;
  rows.push_back(std::move(outputs));
  return rows;
}

}  // namespace leat
