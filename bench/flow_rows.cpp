// See flow_rows.h.
#include "bench/flow_rows.h"

#include <fmt/format.h>
#include <time.h>

#include <atomic>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/samples.h"
#include "leat/device/spin.h"
#include "leat/run/peak.h"
#include "leat/run/probe_kernels.h"

namespace leat::cli {

namespace {

constexpr uint32_t kCallsPerSample = 10'000;
constexpr size_t kCallSamples = 50;
constexpr size_t kLongKernels = 20;
constexpr uint64_t kLongKernelNs = 10'000'000;

double cpu_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

FlowRow row_of(std::string name, std::string what, std::string unit, std::string goal,
               std::vector<double> samples) {
  FlowRow row;
  row.name = std::move(name);
  row.what = std::move(what);
  row.unit = std::move(unit);
  row.goal = std::move(goal);
  row.value = median_of(samples);
  row.p99 = p99_of(samples);
  row.samples = std::move(samples);
  return row;
}

/// Nanoseconds of one call, over many.
template <typename Call>
std::vector<double> time_calls(const Call& call) {
  std::vector<double> samples;
  for (size_t s = 0; s < kCallSamples; ++s) {
    const uint64_t start_ns = steady_now_ns();
    for (uint32_t i = 0; i < kCallsPerSample; ++i) call();
    samples.push_back(static_cast<double>(steady_now_ns() - start_ns) / kCallsPerSample);
  }
  return samples;
}

/// A kernel in a recorded list of its own: one that does nothing, or one that lasts.
struct ProbeList {
  Device* device = nullptr;
  std::unique_ptr<Kernel> kernel;
  Buffer word;
  Buffer output;
  std::unique_ptr<RecordedList> list;

  Result<uint64_t> replay() { return device->queue().replay(*list); }
  Result<void> wait(uint64_t value) {
    TRY_ASSIGN(const bool done, device->queue().fence().wait(value, hang_timeout_ns(*device)));
    if (done) return {};
    return Error(ErrorKind::device_lost,
                 fmt::format("Device \"{}\" did not finish a kernel.", device->info().name));
  }
};

Result<void> record(ProbeList& probe) {
  Queue& queue = probe.device->queue();
  std::vector<BufferRange> arguments;
  if (probe.word) arguments.push_back({&probe.word, 0, probe.word.size_bytes()});
  if (probe.output) arguments.push_back({&probe.output, 0, probe.output.size_bytes()});
  TRY(queue.begin_record());
  const Result<void> launched = queue.launch(*probe.kernel, arguments);
  Result<std::unique_ptr<RecordedList>> list = queue.end_record();
  TRY(launched);
  TRY_ASSIGN(probe.list, std::move(list));
  return {};
}

Result<ProbeList> load_empty(Device& device) {
  ProbeList probe;
  probe.device = &device;
  TRY_ASSIGN(const KernelBinary binary, empty_kernel(device.target()));
  TRY_ASSIGN(probe.kernel, device.load(binary));
  TRY(record(probe));
  return probe;
}

/// Lasts at least kLongKernelNs.
Result<ProbeList> load_long(Device& device) {
  ProbeList probe;
  probe.device = &device;
  TRY_ASSIGN(const FmaKernel kernel, fma_kernel(device.target()));
  TRY_ASSIGN(probe.kernel, device.load(kernel.binary));
  TRY_ASSIGN(probe.word, device.allocate(sizeof(int32_t), MemoryKind::shared));
  TRY_ASSIGN(probe.output, device.allocate(static_cast<size_t>(kernel.output_count) * sizeof(float),
                                           MemoryKind::device));
  TRY(record(probe));
  for (int32_t rounds = 64; rounds < (1 << 28); rounds *= 2) {
    std::memcpy(probe.word.host_pointer(), &rounds, sizeof rounds);
    uint64_t shortest_ns = kForeverNs;
    for (int i = 0; i < 3; ++i) {
      const uint64_t start_ns = steady_now_ns();
      TRY_ASSIGN(const uint64_t value, probe.replay());
      TRY(probe.wait(value));
      shortest_ns = std::min(shortest_ns, steady_now_ns() - start_ns);
    }
    if (shortest_ns >= kLongKernelNs) break;
  }
  return probe;
}

/// Microseconds from the call to the moment that `seen` has come.
template <typename Seen>
Result<std::vector<double>> submit_to_seen(ProbeList& probe, uint32_t rounds, const Seen& seen) {
  std::vector<double> samples;
  const TimedRun once = [&]() -> Result<double> {
    const uint64_t start_ns = steady_now_ns();
    TRY_ASSIGN(const uint64_t value, probe.replay());
    TRY(seen(value));
    const uint64_t end_ns = steady_now_ns();
    TRY(probe.wait(value));
    return static_cast<double>(end_ns - start_ns) * 1e-9;
  };
  TRY(warm_up(once, {}));
  TRY(take_samples(once, {.samples_min = rounds}, samples));
  for (double& sample : samples) sample *= 1e6;
  return samples;
}

Result<void> add_latency_rows(ProbeList& empty, uint32_t rounds, Progress& progress,
                              std::vector<FlowRow>& rows) {
  Queue& queue = empty.device->queue();
  Fence& fence = queue.fence();
  const bool is_software = empty.device->info().software || empty.device->target().is_cpu;
  const std::string goal = is_software ? "" : "<= 11 us";
  progress.show("submit to seen");
  TRY_ASSIGN(std::vector<double> by_number, submit_to_seen(empty, rounds, [&](uint64_t value) {
               const uint64_t start_ns = steady_now_ns();
               const uint64_t limit_ns = hang_timeout_ns(*empty.device);
               spin_until(start_ns, limit_ns, [&] {
                 if (is_software) std::this_thread::yield();  // it computes on this core
                 return fence.poll() >= value;
               });
               return Result<void>();
             }));
  rows.push_back(row_of("submit_seen_number", "submit to seen, empty kernel, by the number", "us",
                        goal, std::move(by_number)));
  TRY_ASSIGN(std::vector<double> by_wait,
             submit_to_seen(empty, rounds, [&](uint64_t value) { return empty.wait(value); }));
  rows.push_back(
      row_of("submit_seen_wait", "the same, by Fence::wait", "us", "", std::move(by_wait)));
  for (const auto how : {Queue::NaiveWait::fence, Queue::NaiveWait::idle}) {
    if (!queue.naive_wait(how)) continue;
    TRY_ASSIGN(std::vector<double> naive,
               submit_to_seen(empty, rounds, [&](uint64_t) { return queue.naive_wait(how); }));
    const bool is_fence = how == Queue::NaiveWait::fence;
    rows.push_back(row_of(is_fence ? "submit_seen_driver_fence" : "submit_seen_idle",
                          is_fence ? "the same, by the driver's fence"
                                   : "the same, by waiting for an idle queue (glFinish)",
                          "us", "", std::move(naive)));
  }
  return {};
}

/// How much later than another thread, which looks at the number without pause, a wait returns;
/// below 0 when it returns first.
Result<std::vector<double>> wait_overhead(ProbeList& empty, uint32_t rounds) {
  Fence& fence = empty.device->queue().fence();
  std::atomic<uint64_t> wanted = 0;
  std::atomic<uint64_t> seen_ns = 0;
  std::atomic<bool> stops = false;
  std::thread observer([&] {
    uint64_t last = 0;
    while (!stops.load(std::memory_order_relaxed)) {
      const uint64_t value = wanted.load(std::memory_order_acquire);
      if (value == last) continue;
      while (fence.poll() < value && !stops.load(std::memory_order_relaxed)) {
      }
      seen_ns.store(steady_now_ns(), std::memory_order_release);
      last = value;
    }
  });
  std::vector<double> samples;
  Result<void> result;
  for (uint32_t i = 0; i < rounds && result; ++i) {
    seen_ns.store(0);
    const Result<uint64_t> value = empty.replay();
    if (!value) {
      result = value.error();
      break;
    }
    wanted.store(*value, std::memory_order_release);
    result = empty.wait(*value);
    const uint64_t waited_ns = steady_now_ns();
    if (!result) break;  // nobody will see the number
    while (seen_ns.load(std::memory_order_acquire) == 0) std::this_thread::yield();
    samples.push_back(static_cast<double>(waited_ns) - static_cast<double>(seen_ns.load()));
  }
  stops.store(true);
  observer.join();
  TRY(result);
  return samples;
}

Result<void> add_blocked_rows(Device& device, std::vector<FlowRow>& rows) {
  TRY_ASSIGN(ProbeList probe, load_long(device));
  std::vector<double> lengths_ms, thread_share, process_share;
  for (size_t i = 0; i < kLongKernels; ++i) {
    TRY_ASSIGN(const uint64_t value, probe.replay());
    const uint64_t start_ns = steady_now_ns();
    const double thread_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    const double process_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    TRY(probe.wait(value));
    const auto wall_ns = static_cast<double>(steady_now_ns() - start_ns);
    thread_share.push_back((cpu_ns(CLOCK_THREAD_CPUTIME_ID) - thread_ns) / wall_ns * 100);
    process_share.push_back((cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - process_ns) / wall_ns * 100);
    lengths_ms.push_back(wall_ns * 1e-6);
  }
  rows.push_back(row_of("long_kernel", "length of the kernel waited for", "ms", ">= 10 ms",
                        std::move(lengths_ms)));
  rows.push_back(row_of("blocked_thread", "processor time of the waiting thread", "% of a core",
                        "< 5 %", std::move(thread_share)));
  const bool is_software = device.info().software || device.target().is_cpu;
  rows.push_back(row_of("blocked_process",
                        is_software ? "processor time of the process, which computes the kernel"
                                    : "processor time of the process",
                        "% of a core", is_software ? "" : "< 5 %", std::move(process_share)));
  return {};
}

}  // namespace

Result<std::vector<FlowRow>> measure_fences(Device& device, uint32_t rounds, Progress& progress) {
  std::vector<FlowRow> rows;
  TRY_ASSIGN(ProbeList empty, load_empty(device));
  TRY_ASSIGN(const uint64_t value, empty.replay());
  TRY(empty.wait(value));
  Fence& fence = device.queue().fence();
  progress.show("polls and waits on a finished fence");
  uint64_t sum = 0;
  rows.push_back(row_of("poll", "poll of a fence", "ns", "< 100 ns",
                        time_calls([&] { sum += fence.poll(); })));
  rows.push_back(row_of("wait_finished", "wait on a finished fence", "ns", "< 200 ns",
                        time_calls([&] { sum += fence.wait(value, kHangTimeoutNs) ? 1 : 0; })));
  CHECK(sum > 0);
  const bool is_software = device.info().software || device.target().is_cpu;
  if (!is_software) {
    progress.show("load, until the clock is up");
    TRY(measure_peak_gflops(device));
  }
  TRY_ASSIGN(std::vector<double> overhead, wait_overhead(empty, rounds));
  rows.push_back(row_of("wait_overhead", "a wait's end after the number's change, seen by a thread",
                        "ns", is_software ? "" : "< 1000 ns while spinning", std::move(overhead)));
  TRY(add_latency_rows(empty, rounds, progress, rows));
  progress.show("waiting for a long kernel");
  TRY(add_blocked_rows(device, rows));
  return rows;
}

nlohmann::ordered_json json_of(const FlowRow& row) {
  nlohmann::ordered_json object = {
      {"name", row.name}, {"what", row.what}, {"value", row.value}, {"unit", row.unit}};
  if (!row.goal.empty()) object["goal"] = row.goal;
  if (!row.samples.empty()) {
    object["p99"] = row.p99;
    object["samples"] = row.samples;
  }
  return object;
}

}  // namespace leat::cli
