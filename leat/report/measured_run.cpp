// See measured_run.h.
#include "leat/report/measured_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "leat/base/statistics.h"
#include "leat/device/spin.h"
#include "leat/run/warm_up.h"

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

/// An idle GPU takes hundreds of milliseconds of load until it runs at its full clock; a CPU that
/// has just compiled, a moment.
constexpr WarmUpLimits kGpuWarmUp = {.seconds = 0.3, .seconds_max = 2};
constexpr WarmUpLimits kCpuWarmUp = {.seconds = 0, .seconds_max = 0.3};
/// A network that takes as long has warmed the device up by its first run.
constexpr double kLongRunSeconds = 0.1;
/// Of timed runs whose number is not given.
constexpr double kTimedSeconds = 1;
constexpr uint32_t kTimedRunsLeast = 5;
constexpr uint32_t kTimedRunsMost = 1000;
/// Of runs with time marks: what disturbs a kernel only makes it longer, so its shortest counts.
constexpr double kProfileSeconds = 0.5;
constexpr int kProfilesMost = 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void say(const MeasureOptions& options, const std::string& step) {
  if (options.on_step) options.on_step(step);
}

/// Before timed runs, and on a device whose clock somebody tells, what it is then.
Result<void> warm_up(LoadedModel& loaded, const MeasureOptions& options, MeasuredRun& run) {
  const TimedRun once = [&]() -> Result<double> {
    const Clock::time_point start = Clock::now();
    if (loaded.is_in_parts()) {
      TRY(loaded.run(options.inputs));
    } else {
      TRY(loaded.network().run());
    }
    return seconds_since(start);
  };
  TRY_ASSIGN(const double seconds, once());
  const bool is_gpu = !loaded.device().target().is_cpu && !loaded.device().info().software;
  if (seconds < kLongRunSeconds) TRY(leat::warm_up(once, is_gpu ? kGpuWarmUp : kCpuWarmUp));
  TRY_ASSIGN(run.clock, clock_under_load(loaded.device().info(), once));
  return {};
}

bool is_enough(const MeasureOptions& options, uint32_t done, double seconds) {
  if (options.repeat > 0) return done >= options.repeat;
  return done >= kTimedRunsMost || (done >= kTimedRunsLeast && seconds >= kTimedSeconds);
}

Result<void> time_runs(LoadedModel& loaded, const MeasureOptions& options, MeasuredRun& run) {
  const std::string name = loaded.device().info().name;
  const Clock::time_point start = Clock::now();
  for (uint32_t i = 0; !is_enough(options, i, seconds_since(start)); ++i) {
    const uint64_t begin_ns = steady_now_ns();
    uint64_t submitted_ns = begin_ns;
    if (loaded.is_in_parts()) {
      TRY(loaded.run(options.inputs));
    } else {
      TRY_ASSIGN(const uint64_t value, loaded.network().start());
      submitted_ns = steady_now_ns();
      TRY(loaded.network().wait(value));
    }
    const uint64_t seen_ns = steady_now_ns();
    if (options.trace != nullptr) {
      options.trace->add(name, "submit", "submit", begin_ns, submitted_ns, i);
      options.trace->add(name, "slot 0", "run", submitted_ns, seen_ns, i);
      options.trace->mark(name, "fence", "fence seen", seen_ns, i);
    }
    run.run_ms.push_back(static_cast<double>(seen_ns - begin_ns) * 1e-6);
    say(options, options.repeat > 0 ? fmt::format("run {} of {}", i + 1, options.repeat)
                                    : fmt::format("run {}", i + 1));
  }
  return {};
}

uint64_t end_of(const std::vector<KernelTime>& kernels) {
  return kernels.empty() ? 0 : kernels.back().begin_ns + kernels.back().time_ns;
}

Result<std::vector<KernelTime>> shortest_times(Network& network) {
  const Clock::time_point start = Clock::now();
  TRY_ASSIGN(std::vector<KernelTime> shortest, network.profile());
  for (int i = 1; i < kProfilesMost && seconds_since(start) < kProfileSeconds; ++i) {
    TRY_ASSIGN(const std::vector<KernelTime> next, network.profile());
    for (size_t k = 0; k < next.size(); ++k) {
      shortest[k].time_ns = std::min(shortest[k].time_ns, next[k].time_ns);
    }
  }
  uint64_t at_ns = 0;
  for (KernelTime& kernel : shortest) {
    kernel.begin_ns = at_ns;
    at_ns += kernel.time_ns;
  }
  return shortest;
}

}  // namespace

double MeasuredRun::median_ms() const { return median_of(run_ms); }

double MeasuredRun::memory_overhead() const {
  if (memory.lower_bound_bytes == 0) return 0;
  return static_cast<double>(memory.activations_bytes) /
             static_cast<double>(memory.lower_bound_bytes) -
         1;
}

// Clocks differ, so the last one is placed to end when the run was seen to.
Result<void> trace_kernels(Network& network, Trace& trace) {
  TRY_ASSIGN(const std::vector<KernelTime> kernels, network.profile());
  const uint64_t first_ns = steady_now_ns() - end_of(kernels);
  for (size_t i = 0; i < kernels.size(); ++i) {
    const uint64_t begin_ns = first_ns + kernels[i].begin_ns;
    trace.add(network.device().info().name, "kernels", kernels[i].name, begin_ns,
              begin_ns + kernels[i].time_ns, static_cast<int64_t>(i));
  }
  return {};
}

/// What is known of the networks without running them.
static void add_facts(const LoadedModel& loaded, MeasuredRun& run) {
  run.stats = loaded.stats();
  for (const Network* network : loaded.networks()) {
    const Schedule& schedule = network->schedule();
    const MemoryPlan& memory = schedule.memory;
    if (memory.activations_bytes >= run.memory.activations_bytes) run.memory = memory;
    run.f64_as_f32 |= schedule.f64_as_f32;
    run.precision = schedule.precision;
    run.gflop += network->flop() * 1e-9;
  }
}

namespace {

/// Runs of a measurement are all the same one.
class HeldStates {
 public:
  explicit HeldStates(LoadedModel& loaded) : networks_(loaded.networks()) { hold(true); }
  HeldStates(const HeldStates&) = delete;
  HeldStates& operator=(const HeldStates&) = delete;
  ~HeldStates() { hold(false); }

 private:
  void hold(bool held) {
    for (Network* network : networks_) network->hold_states(held);
  }

  std::vector<Network*> networks_;
};

}  // namespace

Result<MeasuredRun> measure_run(LoadedModel& loaded, const MeasureOptions& options) {
  MeasuredRun run;
  Device& device = loaded.device();
  run.info = device.info();
  run.threads = device.target().is_cpu ? device.target().compute_units : 1;
  add_facts(loaded, run);
  say(options, "warming up " + run.info.name);
  if (loaded.is_in_parts()) {
    TRY(warm_up(loaded, options, run));
    TRY(time_runs(loaded, options, run));
  } else {
    const HeldStates held(loaded);
    TRY(warm_up(loaded, options, run));
    TRY(time_runs(loaded, options, run));
  }
  for (Network* network : loaded.networks()) {
    if (options.trace != nullptr) TRY(trace_kernels(*network, *options.trace));
    if (!options.profile) continue;
    TRY_ASSIGN(const std::vector<KernelTime> times, shortest_times(*network));
    run.profile.insert(run.profile.end(), times.begin(), times.end());
  }
  if (!options.peak) return run;
  say(options, "measuring the peak of " + run.info.name);
  TRY_ASSIGN(run.peak_gflops, options.peak(loaded, run));
  return run;
}

}  // namespace leat
