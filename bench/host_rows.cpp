// See host_rows.h.
#include "bench/host_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/allocation_count.h"
#include "bench/syscall_count.h"
#include "cli/report.h"
#include "leat/base/statistics.h"
#include "leat/device/spin.h"

namespace leat::cli {

namespace {

constexpr size_t kListLaunches = 10;  // of a recorded list
constexpr uint32_t kBurst = 10;

double best_of(const HostRow& row) { return *std::ranges::min_element(row.samples_ns); }

}  // namespace

/// What is timed; `value` is that of a submit, where it makes one.
struct HostWork::Work {
  const char* name;
  const char* text;
  std::function<Result<void>(HostWork& host, size_t i, uint64_t& value)> once;
};

const std::vector<HostWork::Work>& HostWork::all_work() {
  static const std::vector<Work> works = {
      {"launch", "a launch of the same kernel that waits for none",
       [](HostWork& host, size_t i, uint64_t&) { return host.launch_count(i); }},
      {"launch_dependent", "a launch that waits for the one before",
       [](HostWork& host, size_t, uint64_t&) { return host.launch_count(0); }},
      {"launch_other", "a launch of another kernel than the one before, in turns",
       [](HostWork& host, size_t i, uint64_t&) {
         if (i % 2 == 0) return host.launch_count(i);
         return host.device_->queue().launch(*host.empty_, {});
       }},
      {"replay", "a replay of a list of ten launches",
       [](HostWork& host, size_t i, uint64_t& value) -> Result<void> {
         TRY_ASSIGN(value, host.device_->queue().replay(*host.lists_[i]));
         return {};
       }},
  };
  return works;
}

Result<HostWork> HostWork::make(Device& device, const KernelBinary& count,
                                const KernelBinary& empty, std::function<void()> run) {
  HostWork host(device);
  host.run_ = std::move(run);
  TRY_ASSIGN(host.count_, device.load(count));
  TRY_ASSIGN(host.empty_, device.load(empty));
  TRY_ASSIGN(host.words_, device.allocate(kHostCount * kBufferAlignment, MemoryKind::shared));
  for (size_t i = 0; i < kHostCount; ++i) {
    TRY(device.queue().begin_record());
    for (size_t k = 0; k < kListLaunches; ++k) TRY(host.launch_count(k));
    TRY_ASSIGN(std::unique_ptr<RecordedList> list, device.queue().end_record());
    host.lists_.push_back(std::move(list));
  }
  return host;
}

Result<void> HostWork::launch_count(size_t i) {
  const BufferRange argument = word(i);
  return device_->queue().launch(*count_, std::span(&argument, 1));
}

Result<uint64_t> HostWork::once(const Work& work, uint64_t& spent_ns) {
  uint64_t value = 0;
  const uint64_t begin_ns = steady_now_ns();
  for (size_t i = 0; i < kHostCount; ++i) TRY(work.once(*this, i, value));
  spent_ns = steady_now_ns() - begin_ns;
  return value;
}

/// Submits what is open where `value` is 0, and waits; awake, since after a sleep another program
/// has the caches.
Result<void> HostWork::finish(uint64_t value) {
  if (value == 0) {
    TRY_ASSIGN(value, device_->queue().submit());
  }
  if (run_) run_();
  const uint64_t begin_ns = steady_now_ns();
  while (steady_now_ns() - begin_ns < kHangTimeoutNs) {
    TRY_ASSIGN(const bool is_done, device_->queue().fence().wait(value, 0));
    if (is_done) return {};
  }
  return Error(ErrorKind::device_lost, "What was submitted does not come to its end.");
}

Result<std::vector<HostRow>> HostWork::measure(uint32_t rounds) {
  std::vector<HostRow> rows;
  for (const Work& work : all_work()) rows.push_back({work.name, work.text, {}});
  for (uint32_t done = 0; done < rounds; done += kBurst) {
    for (size_t w = 0; w < rows.size(); ++w) {
      for (uint32_t k = 0; k <= kBurst; ++k) {
        uint64_t spent_ns = 0;
        TRY_ASSIGN(const uint64_t value, once(all_work()[w], spent_ns));
        TRY(finish(value));
        if (k > 0) rows[w].samples_ns.push_back(static_cast<double>(spent_ns) / kHostCount);
      }
    }
  }
  return rows;
}

// All of it is no more than may be in flight, so that none of it waits.
Result<void> HostWork::mark_once() {
  mark_syscalls();
  for (const Work& work : all_work()) {
    uint64_t spent_ns = 0;
    TRY(once(work, spent_ns));
  }
  TRY_ASSIGN(const uint64_t value, device_->queue().submit());
  mark_syscalls();
  return finish(value);
}

Result<uint64_t> HostWork::allocations() {
  uint64_t allocations = 0;
  for (const Work& work : all_work()) {
    uint64_t spent_ns = 0;
    const uint64_t before = allocation_count();
    TRY_ASSIGN(const uint64_t value, once(work, spent_ns));
    allocations += allocation_count() - before;
    TRY(finish(value));
  }
  return allocations;
}

nlohmann::ordered_json json_of(const std::vector<HostRow>& rows) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const HostRow& row : rows) {
    array.push_back({{"name", row.name},
                     {"text", row.text},
                     {"best_ns", best_of(row)},
                     {"median_ns", median_of(row.samples_ns)},
                     {"p99_ns", p99_of(row.samples_ns)},
                     {"samples", row.samples_ns}});
  }
  return array;
}

std::string text_of(const std::vector<HostRow>& rows) {
  Table table({"what", "best ns", "median ns", "p99 ns"});
  for (const HostRow& row : rows) {
    table.add({row.text, fmt::format("{:.1f}", best_of(row)),
               fmt::format("{:.1f}", median_of(row.samples_ns)),
               fmt::format("{:.1f}", p99_of(row.samples_ns))});
  }
  return table.text();
}

}  // namespace leat::cli
