// See model_run.h.
#include "cli/model_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/report.h"
#include "leat/base/statistics.h"
#include "leat/device/spin.h"
#include "leat/run/session.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

Result<void> time_runs(Network& network, uint32_t count, Progress& progress, Trace* trace,
                       ModelRun& run) {
  for (uint32_t i = 0; i < count; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t begin_ns = steady_now_ns();
    TRY_ASSIGN(const uint64_t value, network.start());
    const uint64_t submitted_ns = steady_now_ns();
    TRY(network.wait(value));
    if (trace != nullptr) {
      const std::string& name = network.device().info().name;
      trace->add(name, "submit", "submit", begin_ns, submitted_ns, i);
      trace->add(name, "slot 0", "run", submitted_ns, steady_now_ns(), i);
      trace->mark(name, "fence", "fence seen", steady_now_ns(), i);
    }
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - begin;
    run.run_ms.push_back(passed.count());
    progress.show(fmt::format("run {} of {}", i + 1, count));
  }
  return {};
}

/// An idle GPU takes hundreds of milliseconds of load until it runs at its full clock; a CPU that
/// has just compiled, a moment.
constexpr WarmUpLimits kGpuWarmUp = {.seconds = 0.3, .seconds_max = 2};
constexpr WarmUpLimits kCpuWarmUp = {.seconds = 0, .seconds_max = 0.3};
/// A network that takes as long has warmed the device up by its first run.
constexpr double kLongRunSeconds = 0.1;

/// Before timed runs, and on a device whose clock somebody tells, what it is then.
Result<void> warm_up(LoadedModel& loaded, ModelRun& run) {
  const TimedRun once = [&]() -> Result<double> {
    const auto start = std::chrono::steady_clock::now();
    TRY(loaded.network().run());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  TRY_ASSIGN(const double seconds, once());
  const bool is_gpu = !loaded.device().target().is_cpu && !loaded.device().info().software;
  if (seconds < kLongRunSeconds) TRY(leat::warm_up(once, is_gpu ? kGpuWarmUp : kCpuWarmUp));
  TRY_ASSIGN(run.clock, clock_under_load(loaded.device().info(), once));
  return {};
}

std::string clock_text(const GpuClock& clock) {
  const std::string most =
      clock.mhz_max > 0 ? fmt::format(" of at most {:.0f}", clock.mhz_max) : std::string();
  return fmt::format("clock     {:.0f}{} MHz under load{}\n", clock.mhz, most,
                     clock.is_low() ? ": low, so these times are not what the device can do" : "");
}

std::string share_text(const ModelRun& run) {
  if (run.peak_gflops <= 0) return "unknown";
  return run.is_peak_exceeded() ? "busy" : fmt::format("{:.1f} %", run.peak_share() * 100);
}

std::string profile_text(const ModelRun& run) {
  Table table({"kernel", "op", "us", "GFLOPS", "GB/s", "parameters"});
  for (const KernelTime& time : run.profile) {
    const double ns = static_cast<double>(std::max<uint64_t>(time.time_ns, 1));
    table.add({time.name, time.op, number_text(ns * 1e-3), number_text(time.flop / ns),
               number_text(static_cast<double>(time.bytes) / ns), time.params});
  }
  return table.text() + "\n";
}

/// On the device that the model is ready on.
Result<ModelRun> run_there(LoadedModel& loaded, std::span<const HostTensor> inputs,
                           const ModelRunOptions& options, const ProcessStart& start,
                           Progress& progress, const PeakOf& peak) {
  ModelRun run;
  progress.show("running " + loaded.model().name);
  TRY_ASSIGN(run.outputs, loaded.run(inputs));
  run.first_answer_ms = start.ms_since();
  Network& network = loaded.network();
  Device& device = loaded.device();
  run.info = device.info();
  run.threads = device.target().is_cpu ? device.target().compute_units : 1;
  run.stats = network.stats();
  run.memory = network.schedule().memory;
  run.f64_as_f32 = network.schedule().f64_as_f32;
  run.gflop = network.flop() * 1e-9;
  progress.show("warming up " + run.info.name);
  TRY(warm_up(loaded, run));
  TRY(time_runs(network, options.repeat, progress, options.trace, run));
  if (options.profile) {
    TRY_ASSIGN(run.profile, network.profile());
  }
  progress.show("measuring the peak of " + run.info.name);
  TRY_ASSIGN(run.peak_gflops, peak(loaded, run));
  return run;
}

}  // namespace

double ModelRun::median_ms() const { return median_of(run_ms); }

double ModelRun::memory_overhead() const {
  if (memory.lower_bound_bytes == 0) return 0;
  return static_cast<double>(memory.activations_bytes) /
             static_cast<double>(memory.lower_bound_bytes) -
         1;
}

Result<ModelRun> run_loaded(LoadedModel& loaded, std::span<const HostTensor> inputs,
                            const ModelRunOptions& options, const ProcessStart& start,
                            Progress& progress, const PeakOf& peak) {
  while (true) {
    Result<ModelRun> run = run_there(loaded, inputs, options, start, progress, peak);
    if (run || run.error().kind() != ErrorKind::device_lost) return run;
    TRY(loaded.give_way(run.error()));
  }
}

std::string text_of(const ModelRun& run) {
  std::string text = run.profile.empty() ? "" : profile_text(run);
  Table table({"device", "chip", "route", "kernels", "ms", "GFLOPS", "of peak", "copied"});
  table.add({run.info.name, run.info.chip, std::string(name_of(run.info.route)),
             std::to_string(run.stats.kernels), number_text(run.median_ms()),
             number_text(run.gflops()), share_text(run),
             bytes_text(static_cast<double>(run.stats.copies.staged_bytes()))});
  text += table.text();
  const double planned = static_cast<double>(run.memory.activations_bytes);
  const double bound = static_cast<double>(run.memory.lower_bound_bytes);
  text += fmt::format(
      "time      median of {} runs, each from submit to fence{}\n", run.run_ms.size(),
      run.peak_gflops > 0 ? "; measured peak " + number_text(run.peak_gflops) + " GFLOPS" : "");
  if (run.is_peak_exceeded()) {
    text +=
        "          more than that was reached: the machine did other work when it was measured\n";
  }
  if (run.clock) text += clock_text(*run.clock);
  text += fmt::format("memory    {} planned, lower bound {}, overhead {:.1f} %; weights {}\n",
                      bytes_text(planned), bytes_text(bound), run.memory_overhead() * 100,
                      bytes_text(static_cast<double>(run.memory.weights_bytes)));
  text += fmt::format("copied    {}\n", copies_text(run.stats.copies));
  text += fmt::format(
      "start-up  {:.0f} ms from process start to first answer; {} kernels compiled, "
      "{} from the cache\n",
      run.first_answer_ms, run.stats.compiled, run.stats.kernels - run.stats.compiled);
  return text;
}

void add_run_facts(Json& object, const ModelRun& run) {
  object["device"] = run.info.name;
  object["chip"] = run.info.chip;
  object["route"] = name_of(run.info.route);
  object["driver"] = run.info.driver;
  object["software"] = run.info.software;
  object["threads"] = run.threads;
  object["kernels"] = run.stats.kernels;
  object["compiled"] = run.stats.compiled;
  object["from_cache"] = run.stats.kernels - run.stats.compiled;
  object["compile_ms"] = run.stats.compile_ms;
  object["startup_ms"] = run.first_answer_ms;
  object["median_ms"] = run.median_ms();
  object["run_ms"] = run.run_ms;
  object["gflop"] = run.gflop;
  object["f64_as_f32"] = run.f64_as_f32;
  object["gflops"] = run.gflops();
  object["peak_gflops"] = run.peak_gflops;
  object["peak_share"] = run.peak_share();
  if (run.clock) {
    object["clock_mhz"] = run.clock->mhz;
    object["clock_mhz_max"] = run.clock->mhz_max;
  }
  object["staged_bytes"] = run.stats.copies.staged_bytes();
  object["copied_bytes"] = copies_json(run.stats.copies);
  object["memory"] = {{"planned_bytes", run.memory.activations_bytes},
                      {"lower_bound_bytes", run.memory.lower_bound_bytes},
                      {"overhead", run.memory_overhead()},
                      {"weights_bytes", run.memory.weights_bytes}};
  for (const KernelTime& time : run.profile) {
    object["profile"].push_back({{"name", time.name},
                                 {"op", time.op},
                                 {"params", time.params},
                                 {"flop", time.flop},
                                 {"bytes", time.bytes},
                                 {"time_ns", time.time_ns}});
  }
}

}  // namespace leat::cli
