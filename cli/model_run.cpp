// See model_run.h.
#include "cli/model_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/report.h"
#include "leat/run/session.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string clock_text(const GpuClock& clock) {
  const std::string most =
      clock.mhz_max > 0 ? fmt::format(" of at most {:.0f}", clock.mhz_max) : std::string();
  return fmt::format("clock     {:.0f}{} MHz under load{}\n", clock.mhz, most,
                     clock.is_low() ? ": low, so these times are not what the device can do" : "");
}

std::string share_text(const MeasuredRun& run) {
  if (run.peak_gflops <= 0) return "unknown";
  return run.is_peak_exceeded() ? "busy" : fmt::format("{:.1f} %", run.peak_share() * 100);
}

/// What was allowed and what came of it; nothing where nothing was.
std::string products_text(const MeasuredRun& run) {
  if (run.precision == Precision::f32) return "";
  const ProductCounts& products = run.stats.products;
  std::string text = fmt::format("products  {} of {} in {}", products.rounded, products.all,
                                 name_of(run.precision));
  const uint32_t others = products.all - products.rounded;
  if (others > 0) text += fmt::format(", {} in f32", others);
  return text + "\n";
}

std::string profile_text(const MeasuredRun& run) {
  Table table({"kernel", "op", "us", "GFLOPS", "GB/s", "parameters"});
  for (const KernelTime& time : run.profile) {
    const double ns = static_cast<double>(std::max<uint64_t>(time.time_ns, 1));
    table.add({time.name, time.op, number_text(ns * 1e-3), number_text(time.flop / ns),
               number_text(static_cast<double>(time.bytes) / ns), time.params});
  }
  return table.text() + "\n";
}

/// On the device that the model is ready on.
Result<MeasuredRun> run_there(LoadedModel& loaded, const RunSteps& steps,
                              const MeasureOptions& options, const ProcessStart& start) {
  options.on_step("running " + loaded.model().name);
  TRY_ASSIGN(std::vector<HostTensor> outputs, run_steps(loaded, steps));
  const double first_answer_ms = start.ms_since();
  MeasureOptions measured = options;
  measured.inputs = steps.inputs.back();
  TRY_ASSIGN(MeasuredRun run, measure_run(loaded, measured));
  run.outputs = std::move(outputs);
  run.first_answer_ms = first_answer_ms;
  return run;
}

}  // namespace

Result<MeasuredRun> run_loaded(LoadedModel& loaded, const RunSteps& steps,
                               const MeasureOptions& options, const ProcessStart& start) {
  while (true) {
    Result<MeasuredRun> run = run_there(loaded, steps, options, start);
    if (run || run.error().kind() != ErrorKind::device_lost) return run;
    TRY(loaded.give_way(run.error()));
  }
}

std::string text_of(const MeasuredRun& run) {
  std::string text = run.profile.empty() ? "" : profile_text(run);
  Table table({"device", "chip", "route", "kernels", "ms", "GFLOPS", "of peak", "copied"});
  table.add({run.info.name, run.info.chip, std::string(name_of(run.info.route)),
             std::to_string(run.stats.kernels), number_text(run.median_ms()),
             number_text(run.gflops()), share_text(run),
             bytes_text(static_cast<double>(run.stats.copies.staged_bytes()))});
  text += table.text();
  const double planned = static_cast<double>(run.memory.activations_bytes);
  const double bound = static_cast<double>(run.memory.lower_bound_bytes);
  text += fmt::format("time      median of {} runs, each from submit to fence", run.run_ms.size());
  if (run.peak_gflops > 0) {
    text += fmt::format("; measured peak {} GFLOPS", number_text(run.peak_gflops));
  }
  text += "\n";
  if (run.is_peak_exceeded()) {
    text +=
        "          more than that was reached: the machine did other work when it was measured\n";
  }
  if (run.clock) text += clock_text(*run.clock);
  text += products_text(run);
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

void add_run_facts(Json& object, const MeasuredRun& run) {
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
  object["precision"] = name_of(run.precision);
  object["products"] = run.stats.products.all;
  object["rounded_products"] = run.stats.products.rounded;
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
