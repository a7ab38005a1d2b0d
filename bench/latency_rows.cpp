// See latency_rows.h.
#include "bench/latency_rows.h"

#include <fmt/format.h>
#include <sched.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "bench/allocation_count.h"
#include "bench/samples.h"
#include "bench/syscall_count.h"
#include "leat/device/spin.h"
#include "leat/run/gpu_clock.h"
#include "leat/run/peak.h"
#include "leat/run/probe_kernels.h"

namespace leat::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kListKernels = 1000;
constexpr size_t kListRounds = 200;
constexpr uint32_t kReplaysCounted = 200;
constexpr int kPollsPerClock = 256;
// After arm(): long enough for any device to read the submit and to wait for the store.
constexpr std::chrono::microseconds kArmTime{10};
// A device that waits to be fired looks idle to its governor, and its clock falls within seconds:
// 2.3 us became 3.8 on an H200. So there is load between so many rounds.
constexpr uint64_t kArmedRoundsPerLoad = 2000;
constexpr int kLoadLists = 20;

/// Kernels that do next to nothing, and lists of them, on one device.
struct Probes {
  Device* device = nullptr;
  std::unique_ptr<Kernel> empty, count;
  Buffer words;  // one each kBufferAlignment
  std::unique_ptr<RecordedList> one, dependent, independent;
  uint64_t dependent_runs = 0, independent_runs = 0, armed_runs = 0;

  Queue& queue() { return device->queue(); }
  Result<void> launch_empty() { return queue().launch(*empty, {}); }
  /// Adds one to the word at `index`.
  Result<void> launch_count(uint32_t index) {
    const BufferRange arguments[] = {{&words, index * kBufferAlignment, sizeof(int32_t)}};
    return queue().launch(*count, arguments);
  }
};

template <typename Launch>
Result<std::unique_ptr<RecordedList>> record(Probes& probes, uint32_t count, const Launch& launch) {
  TRY(probes.queue().begin_record());
  Result<void> launched;
  for (uint32_t i = 0; i < count && launched; ++i) launched = launch(i);
  Result<std::unique_ptr<RecordedList>> list = probes.queue().end_record();
  TRY(launched);
  return list;
}

Result<Probes> load(Device& device) {
  Probes probes;
  probes.device = &device;
  TRY_ASSIGN(const KernelBinary empty, empty_kernel(device.target()));
  TRY_ASSIGN(probes.empty, device.load(empty));
  TRY_ASSIGN(const KernelBinary count, count_kernel(device.target()));
  TRY_ASSIGN(probes.count, device.load(count));
  const std::vector<std::byte> zeros((kListKernels + 1) * kBufferAlignment);
  TRY_ASSIGN(probes.words, device.allocate(zeros.size(), MemoryKind::device));
  TRY(write_buffer(device, {&probes.words, 0, zeros.size()}, zeros));
  TRY_ASSIGN(probes.one, record(probes, 1, [&](uint32_t) { return probes.launch_empty(); }));
  TRY_ASSIGN(probes.dependent, record(probes, kListKernels,
                                      [&](uint32_t) { return probes.launch_count(kListKernels); }));
  TRY_ASSIGN(probes.independent,
             record(probes, kListKernels, [&](uint32_t i) { return probes.launch_count(i); }));
  return probes;
}

/// Whether every kernel of the lists has counted every run.
Result<void> check_counts(Probes& probes) {
  std::vector<std::byte> bytes(probes.words.size_bytes());
  TRY(read_buffer(*probes.device, {&probes.words, 0, bytes.size()}, bytes));
  for (uint32_t i = 0; i <= kListKernels; ++i) {
    int32_t seen = 0;
    std::memcpy(&seen, bytes.data() + i * kBufferAlignment, sizeof seen);
    const uint64_t wanted =
        i < kListKernels ? probes.independent_runs : probes.dependent_runs * kListKernels;
    if (static_cast<uint32_t>(seen) == static_cast<uint32_t>(wanted)) continue;
    return Error(ErrorKind::internal,
                 fmt::format("Word ({}) was counted to ({}) on \"{}\" and not to ({}).", i, seen,
                             probes.device->info().name, wanted));
  }
  return {};
}

Error hung(const Device& device) {
  return Error(ErrorKind::device_lost,
               fmt::format("Device \"{}\" did not finish an empty kernel.", device.info().name));
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The clock is looked at now and then only: a look lasts longer than a poll.
Result<void> poll_until(Probes& probes, uint64_t value) {
  Fence& fence = probes.queue().fence();
  const Device& device = *probes.device;
  const bool computes_here = device.info().software || device.target().is_cpu;
  const uint64_t start_ns = steady_now_ns();
  while (true) {
    for (int i = 0; i < kPollsPerClock; ++i) {
      if (fence.poll() >= value) return {};
      if (computes_here) std::this_thread::yield();
    }
    if (steady_now_ns() - start_ns > hang_timeout_ns(device)) return hung(device);
  }
}

Result<void> wait_until(Probes& probes, uint64_t value) {
  TRY_ASSIGN(const bool is_done,
             probes.queue().fence().wait(value, hang_timeout_ns(*probes.device)));
  return is_done ? Result<void>() : hung(*probes.device);
}

Result<uint64_t> submit_fresh(Probes& probes) {
  TRY(probes.launch_empty());
  return probes.queue().submit();
}

/// Seconds from the call of `submit` to its end seen by `see`.
template <typename Submit, typename See>
TimedRun submit_to_seen(Probes& probes, Submit submit, See see) {
  return [&probes, submit, see]() -> Result<double> {
    const Clock::time_point start = Clock::now();
    TRY_ASSIGN(const uint64_t value, submit());
    TRY(see(probes, value));
    return seconds_since(start);
  };
}

Result<void> run_dependent(Probes& probes) {
  ++probes.dependent_runs;
  TRY_ASSIGN(const uint64_t value, probes.queue().replay(*probes.dependent));
  return wait_until(probes, value);
}

/// Seconds from fire() to seen, of a list that the device has been given beforehand.
Result<double> run_armed(Probes& probes) {
  if (probes.armed_runs++ % kArmedRoundsPerLoad == 0) {
    for (int i = 0; i < kLoadLists; ++i) TRY(run_dependent(probes));
  }
  TRY_ASSIGN(const uint64_t value, probes.queue().arm(*probes.one));
  const Clock::time_point armed = Clock::now();
  while (Clock::now() - armed < kArmTime) pause_core();
  const Clock::time_point start = Clock::now();
  probes.queue().fire();
  TRY(poll_until(probes, value));
  return seconds_since(start);
}

/// Keeps the calling thread on its core; others, among them those of drivers, keep their freedom.
class StayOnCore {
 public:
  StayOnCore() {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &here);
    is_set_ = sched_getaffinity(0, sizeof before_, &before_) == 0 &&
              sched_setaffinity(0, sizeof here, &here) == 0;
  }
  ~StayOnCore() {
    if (is_set_) sched_setaffinity(0, sizeof before_, &before_);
  }
  StayOnCore(const StayOnCore&) = delete;

 private:
  cpu_set_t before_ = {};
  bool is_set_ = false;
};

/// Seconds of the call alone; its end is waited for outside.
Result<double> run_host(Probes& probes) {
  const Clock::time_point start = Clock::now();
  TRY_ASSIGN(const uint64_t value, probes.queue().replay(*probes.one));
  const double seconds = seconds_since(start);
  TRY(poll_until(probes, value));
  return seconds;
}

struct Path {
  std::string name;
  std::string text;
  TimedRun once;
  size_t samples = 0;
  double kernels = 1;
};

Result<std::vector<Path>> paths_of(Probes& probes, size_t rounds) {
  const auto replay = [&] { return probes.queue().replay(*probes.one); };
  const auto fresh = [&] { return submit_fresh(probes); };
  const auto dependent = [&] {
    ++probes.dependent_runs;
    return probes.queue().replay(*probes.dependent);
  };
  const auto independent = [&] {
    ++probes.independent_runs;
    return probes.queue().replay(*probes.independent);
  };
  std::vector<Path> paths = {
      {"replay_poll", "empty kernel, recorded, seen by polling",
       submit_to_seen(probes, replay, poll_until), rounds},
      {"replay_wait", "empty kernel, recorded, seen by waiting",
       submit_to_seen(probes, replay, wait_until), rounds},
      {"fresh_poll", "empty kernel, launched anew, seen by polling",
       submit_to_seen(probes, fresh, poll_until), rounds},
      {"fresh_wait", "empty kernel, launched anew, seen by waiting",
       submit_to_seen(probes, fresh, wait_until), rounds},
      {"host_replay", "the host's share of a replay", [&] { return run_host(probes); }, rounds},
      {"list_dependent", fmt::format("one of {} that each count in one word", kListKernels),
       submit_to_seen(probes, dependent, poll_until), kListRounds, kListKernels},
      {"list_independent", fmt::format("one of {} that count in words apart", kListKernels),
       submit_to_seen(probes, independent, poll_until), kListRounds, kListKernels},
  };
  const Result<double> armed = run_armed(probes);
  if (!armed && armed.error().kind() != ErrorKind::unsupported) return armed.error();
  if (armed) {
    paths.insert(paths.begin() + 4, {"armed_poll", "empty kernel, armed, seen by polling",
                                     [&] { return run_armed(probes); }, rounds});
  }
  return paths;
}

Result<LatencyRow> measure(const Path& path) {
  LatencyRow row{path.name, path.text, {}};
  TRY(warm_up(path.once, {}));
  TRY(take_samples(path.once, {.samples_min = path.samples}, row.seconds));
  for (double& seconds : row.seconds) seconds /= path.kernels;
  return row;
}

Result<double> allocations_of_replay(Probes& probes) {
  const uint64_t before = allocation_count();
  for (uint32_t i = 0; i < kReplaysCounted; ++i) {
    TRY_ASSIGN(const uint64_t value, probes.queue().replay(*probes.one));
    TRY(wait_until(probes, value));
  }
  return static_cast<double>(allocation_count() - before) / kReplaysCounted;
}

}  // namespace

Result<RouteLatency> measure_latency(Device& device, uint32_t rounds, Progress& progress) {
  RouteLatency route;
  route.device = device.info().name;
  TRY_ASSIGN(Probes probes, load(device));
  if (!device.info().software && !device.target().is_cpu) {
    progress.show(fmt::format("{}: load, until the clock is up", route.device));
    TRY(measure_peak_gflops(device));
  }
  const TimedRun busy = [&]() -> Result<double> {
    TRY(run_dependent(probes));
    return 0.0;
  };
  TRY_ASSIGN(route.clock_before_mhz, mhz_under_load(device.info(), busy));
  TRY_ASSIGN(const std::vector<Path> paths, paths_of(probes, rounds));
  for (const Path& path : paths) {
    progress.show(fmt::format("{}: {}", route.device, path.text));
    const StayOnCore stay;
    TRY_ASSIGN(LatencyRow row, measure(path));
    route.rows.push_back(std::move(row));
  }
  TRY_ASSIGN(route.clock_after_mhz, mhz_under_load(device.info(), busy));
  TRY(check_counts(probes));
  TRY_ASSIGN(route.allocations, allocations_of_replay(probes));
  return route;
}

Result<void> replay_empty(Device& device, uint32_t count) {
  TRY_ASSIGN(Probes probes, load(device));
  const auto replay = [&]() -> Result<void> {
    TRY_ASSIGN(const uint64_t value, probes.queue().replay(*probes.one));
    return wait_until(probes, value);
  };
  for (int i = 0; i < 10; ++i) TRY(replay());
  mark_syscalls();
  for (uint32_t i = 0; i < count; ++i) TRY(replay());
  mark_syscalls();
  return {};
}

}  // namespace leat::cli
