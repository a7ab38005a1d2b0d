// `leat kernel`: runs, checks, measures and formats a kernel that somebody wrote in text form.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/kernel_files.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "leat/base/files.h"
#include "leat/media/npy.h"
#include "leat/run/kernel_bench.h"
#include "leat/run/peak.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  LaunchOptions launch;
  std::vector<std::string> devices;
  bool trusts = false;
  double seconds = 0.5;        // bench
  std::optional<double> flop;  // bench: told
  bool writes = false;         // fmt
  bool only_looks = false;     // fmt
  JsonTarget json;
};

/// "": the best there is.
std::vector<std::string> devices_of(const Options& options) {
  return options.devices.empty() ? std::vector<std::string>{""} : options.devices;
}

/// How far results of one device are from those of the interpreter.
struct Agreement {
  double largest = 0;  // difference
  bool agrees = true;
};

/// Devices round functions and fused sums a little apart; what is stored narrowly, by its width.
double tolerance_of(DType dtype) {
  if (!is_float(dtype)) return 0;
  if (dtype == DType::f64) return 1e-10;
  return dtype == DType::f32 ? 1e-4 : 2e-2;
}

void compare(const HostTensor& got, const HostTensor& want, Agreement& agreement) {
  for (int64_t i = 0; i < element_count(want.shape); ++i) {
    if (!is_float(want.dtype)) {
      if (got.integer(i) != want.integer(i)) agreement.agrees = false;
      continue;
    }
    const double a = got.number(i), b = want.number(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double difference = std::abs(a - b);
    agreement.largest = std::max(agreement.largest, difference);
    const double limit = tolerance_of(want.dtype) * std::max(1.0, std::abs(b));
    if (!(difference <= limit)) agreement.agrees = false;
  }
}

/// What one device did.
struct DeviceRun {
  DeviceInfo info;
  double ms = 0;
  size_t masked = 0;
  std::vector<HostTensor> values;
  std::optional<Agreement> agreement;
};

Result<DeviceRun> run_on(const std::string& spec, const Launch& launch) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(spec));
  TRY_ASSIGN(const std::unique_ptr<LoadedKernel> kernel,
             LoadedKernel::load(*device, launch.kernel, {kernel_cache_folder()}));
  DeviceRun run;
  run.info = device->info();
  run.values = launch.values;
  std::vector<std::span<std::byte>> arguments;
  for (HostTensor& value : run.values) arguments.emplace_back(value.bytes);
  TRY(kernel->write(arguments));
  TRY_ASSIGN(const double seconds, kernel->launch(1));
  TRY(kernel->read(arguments));
  run.ms = seconds * 1e3;
  run.masked = kernel->masked_count();
  return run;
}

Json launch_json(const Options& options, const Launch& launch) {
  const UserKernel& kernel = launch.kernel;
  Json object;
  object["file"] = options.launch.file;
  object["kernel"] = kernel.name();
  object["grid"] = kernel.grid();
  object["lanes"] = kernel.program().wave_lanes;
  object["waves"] = kernel.program().waves_per_workgroup;
  object["parameters"] = Json::array();
  for (size_t i = 0; i < launch.values.size(); ++i) {
    const ir::Parameter& parameter = kernel.parameters()[i];
    object["parameters"].push_back({{"name", parameter.name},
                                    {"dtype", name_of(parameter.storage)},
                                    {"shape", launch.values[i].shape},
                                    {"written", parameter.written}});
  }
  return object;
}

Json run_json(const DeviceRun& run) {
  Json object;
  object["device"] = run.info.name;
  object["chip"] = run.info.chip;
  object["route"] = name_of(run.info.route);
  object["software"] = run.info.software;
  object["ms"] = run.ms;
  object["masked_accesses"] = run.masked;
  if (run.agreement) {
    object["agrees"] = run.agreement->agrees;
    object["largest_difference"] = run.agreement->largest;
  }
  return object;
}

std::string agreement_text(const std::optional<Agreement>& agreement) {
  if (!agreement) return "not checked";
  if (!agreement->agrees) return fmt::format("no, off by {:.3g}", agreement->largest);
  return agreement->largest == 0 ? "yes, every bit"
                                 : fmt::format("yes, to {:.3g}", agreement->largest);
}

Result<void> write_outputs(const Launch& launch, const std::vector<HostTensor>& values) {
  for (const KernelOutput& output : launch.outputs) {
    TRY(write_whole_file(output.path, npy_bytes(values[output.parameter])));
  }
  return {};
}

/// What is written and goes to no file is shown.
bool is_kept(const Launch& launch, size_t parameter) {
  const auto is_it = [&](const KernelOutput& output) { return output.parameter == parameter; };
  return launch.kernel.parameters()[parameter].written &&
         std::ranges::none_of(launch.outputs, is_it);
}

std::string values_text(const ir::Parameter& parameter, const HostTensor& value) {
  constexpr int64_t kShownMax = 8;
  const int64_t count = element_count(value.shape);
  std::vector<std::string> shown;
  for (int64_t i = 0; i < std::min(count, kShownMax); ++i) {
    shown.push_back(is_float(value.dtype) ? fmt::format("{:.6g}", value.number(i))
                                          : std::to_string(value.integer(i)));
  }
  return fmt::format("{} : {}[{}] = {}{}", parameter.name, name_of(value.dtype), count,
                     fmt::join(shown, ", "), count > kShownMax ? ", ..." : "");
}

Result<void> show_runs(const Options& options, const Launch& launch,
                       const std::vector<DeviceRun>& runs) {
  if (options.json.wanted()) {
    Json object = launch_json(options, launch);
    object["checked"] = !options.trusts;
    object["devices"] = Json::array();
    for (const DeviceRun& run : runs) object["devices"].push_back(run_json(run));
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return {};
  Table table({"device", "ms", "masked accesses", "as the interpreter"});
  for (const DeviceRun& run : runs) {
    table.add({describe(run.info), number_text(run.ms), std::to_string(run.masked),
               agreement_text(run.agreement)});
  }
  print_text(table.text());
  for (size_t i = 0; i < launch.values.size(); ++i) {
    if (is_kept(launch, i))
      print_line(values_text(launch.kernel.parameters()[i], runs[0].values[i]));
  }
  return {};
}

Result<int> run_kernel(const Options& options) {
  TRY_ASSIGN(Launch launch, read_launch(options.launch, false));
  std::vector<std::string> paths;
  for (const KernelOutput& output : launch.outputs) paths.push_back(output.path);
  TRY(check_files(options.json, paths, launch.read));
  Progress progress(options.json.to_stdout());
  std::vector<HostTensor> right;
  if (!options.trusts) {
    progress.show("checking in the interpreter; --trust leaves it out");
    Launch checked = launch;
    TRY(checked.kernel.check(checked.arguments()));
    right = std::move(checked.values);
  }
  std::vector<DeviceRun> runs;
  for (const std::string& spec : devices_of(options)) {
    progress.show("running on " + (spec.empty() ? "the best device" : spec));
    TRY_ASSIGN(DeviceRun run, run_on(spec, launch));
    if (!options.trusts) {
      run.agreement.emplace();
      for (size_t i = 0; i < right.size(); ++i) compare(run.values[i], right[i], *run.agreement);
    }
    runs.push_back(std::move(run));
  }
  progress.clear();
  TRY(show_runs(options, launch, runs));
  for (const DeviceRun& run : runs) {
    if (!run.agreement || run.agreement->agrees) continue;
    return Error(ErrorKind::internal,
                 fmt::format("Device \"{}\" computes something else than the interpreter, and no "
                             "output is written.",
                             run.info.name));
  }
  TRY(write_outputs(launch, runs[0].values));
  return 0;
}

Result<int> check_kernel(const Options& options) {
  TRY_ASSIGN(Launch launch, read_launch(options.launch, true));
  TRY(check_files(options.json, {}, launch.read));
  const ir::LaunchRanges ranges = launch.kernel.ranges(launch.arguments());
  Progress progress(options.json.to_stdout());
  progress.show("checking in the interpreter");
  TRY_ASSIGN(const KernelCheck check, launch.kernel.check(launch.arguments()));
  progress.clear();
  std::vector<std::string> open;
  for (const ir::OpenAccess& access : ranges.open) {
    open.push_back(launch.kernel.text_of(access));
  }
  if (options.json.wanted()) {
    Json object = launch_json(options, launch);
    object["invented"] = launch.invented;
    object["not_proven"] = open;
    if (ranges.flop) object["flop"] = *ranges.flop;
    for (size_t i = 0; i < check.written.size(); ++i) {
      object["parameters"][i]["elements_written"] = check.written[i];
    }
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  const Grid grid = launch.kernel.grid();
  print_line(
      fmt::format("Kernel \"{}\" is right: {} x {} x {} workgroups, no race, no access "
                  "outside of its memory.",
                  launch.kernel.name(), grid[0], grid[1], grid[2]));
  for (size_t i = 0; i < check.written.size(); ++i) {
    const ir::Parameter& parameter = launch.kernel.parameters()[i];
    if (!parameter.written) continue;
    print_line(fmt::format("{}: {} of {} elements are written", parameter.name, check.written[i],
                           parameter.element_count));
  }
  if (!launch.invented.empty()) {
    print_line(fmt::format("Made-up values: {}; --in and --set give others.",
                           fmt::join(launch.invented, ", ")));
  }
  for (const std::string& access : open) {
    print_line("Not proven for other values, so masked on devices: " + access);
  }
  return 0;
}

// --- bench ---

struct DeviceRate {
  DeviceInfo info;
  KernelRate rate;
  size_t masked = 0;
  double gflops = 0;  // 0: not known
  double peak_gflops = 0;
  double gbps = 0;
  double stream_gbps = 0;

  /// What is beyond the most that was measured, on a machine that did other work too, is no rate.
  bool has_gflops() const { return gflops > 0 && gflops <= peak_gflops; }
  bool has_gbps() const { return gbps > 0 && gbps <= stream_gbps; }
};

Result<DeviceRate> measure_on(const std::string& spec, const Options& options, Launch& launch) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(spec));
  TRY_ASSIGN(const std::unique_ptr<LoadedKernel> kernel,
             LoadedKernel::load(*device, launch.kernel, {kernel_cache_folder()}));
  DeviceRate result;
  result.info = device->info();
  TRY(kernel->write(launch.arguments()));
  result.masked = kernel->masked_count();
  TRY_ASSIGN(result.rate, measure_kernel(*kernel, options.seconds));
  uint64_t bytes = 0;
  for (const HostTensor& value : launch.values) bytes += value.bytes.size();
  result.gbps = static_cast<double>(bytes) / result.rate.median_us * 1e-3;
  TRY_ASSIGN(result.stream_gbps, measure_stream_gbps(*device, bytes));
  const std::optional<double> counted = launch.kernel.ranges(launch.arguments()).flop;
  const double flop = options.flop.value_or(counted.value_or(0));
  if (flop == 0) return result;
  result.gflops = flop / result.rate.median_us * 1e-3;
  const DType element = product_element(launch.kernel);
  TRY_ASSIGN(result.peak_gflops, measured_peak_gflops(*device, kernel_cache_folder(), element));
  if (result.gflops > result.peak_gflops) {  // it was measured on a machine that did other work
    TRY_ASSIGN(const double again, measure_peak_gflops(*device, element));
    keep_peak_gflops(*device, kernel_cache_folder(), again, element);
    result.peak_gflops = std::max(result.peak_gflops, again);
  }
  return result;
}

Json rate_json(const DeviceRate& rate) {
  Json object;
  object["device"] = rate.info.name;
  object["chip"] = rate.info.chip;
  object["route"] = name_of(rate.info.route);
  object["driver"] = rate.info.driver;
  object["software"] = rate.info.software;
  object["median_us"] = rate.rate.median_us;
  object["p99_us"] = rate.rate.p99_us;
  object["launches_per_sample"] = rate.rate.launches_per_sample;
  object["samples"] = rate.rate.samples_us;
  object["masked_accesses"] = rate.masked;
  object["peak_gflops"] = rate.peak_gflops;
  object["stream_gbps"] = rate.stream_gbps;
  if (rate.has_gflops()) {
    object["gflops"] = rate.gflops;
    object["peak_share"] = rate.gflops / rate.peak_gflops;
  }
  if (rate.has_gbps()) {
    object["gbps"] = rate.gbps;
    object["stream_share"] = rate.gbps / rate.stream_gbps;
  }
  return object;
}

std::string percent_text(double share) { return fmt::format("{:.1f} %", share * 100); }

Result<int> bench_kernel(const Options& options) {
  TRY_ASSIGN(Launch launch, read_launch(options.launch, true));
  TRY(check_files(options.json, {}, launch.read));
  Progress progress(options.json.to_stdout());
  if (!options.trusts) {
    progress.show("checking in the interpreter; --trust leaves it out");
    Launch checked = launch;
    TRY(checked.kernel.check(checked.arguments()));
  }
  std::vector<DeviceRate> rates;
  for (const std::string& spec : devices_of(options)) {
    progress.show("measuring on " + (spec.empty() ? "the best device" : spec));
    TRY_ASSIGN(DeviceRate rate, measure_on(spec, options, launch));
    rates.push_back(std::move(rate));
  }
  progress.clear();
  if (options.json.wanted()) {
    Json object = launch_json(options, launch);
    object["checked"] = !options.trusts;
    object["commit"] = kLeatCommit;
    object["results"] = Json::array();
    for (const DeviceRate& rate : rates) object["results"].push_back(rate_json(rate));
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  Table table({"device", "median us", "p99 us", "GFLOPS", "of peak", "GB/s", "of stream"});
  for (const DeviceRate& rate : rates) {
    table.add({describe(rate.info), number_text(rate.rate.median_us), number_text(rate.rate.p99_us),
               rate.has_gflops() ? number_text(rate.gflops) : "",
               rate.has_gflops() ? percent_text(rate.gflops / rate.peak_gflops) : "",
               rate.has_gbps() ? number_text(rate.gbps) : "",
               rate.has_gbps() ? percent_text(rate.gbps / rate.stream_gbps) : ""});
  }
  print_text(table.text());
  return 0;
}

// --- fmt ---

Result<int> format_kernel(const Options& options) {
  const std::string& file = options.launch.file;
  TRY_ASSIGN(const std::string text, read_file(file, kKernelBytesMax));
  TRY_ASSIGN(const UserKernel kernel, UserKernel::parse(text, file));
  const std::string formatted = kernel.text();
  if (options.only_looks) {
    if (formatted == text) return 0;
    return Error(ErrorKind::invalid_argument,
                 fmt::format("File \"{}\" is not as \"leat kernel fmt\" writes it.", file));
  }
  if (!options.writes) {
    print_text(formatted);
  } else if (formatted != text) {
    TRY(write_whole_file(file, formatted));
  }
  return 0;
}

}  // namespace

CommandRun add_kernel(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  command.require_subcommand(1);
  const auto add_devices = [&](CLI::App& subcommand) {
    subcommand.add_option("--device", o.devices, "cpu, gpu0, ...; default: the best there is")
        ->type_name("SPEC[,SPEC...]")
        ->delimiter(',');
    subcommand.add_flag("--trust", o.trusts,
                        "Leaves the interpreter out; accesses are proven or masked all the same");
  };
  CLI::App* const run = command.add_subcommand("run", "Runs a kernel on files");
  add_launch_options(*run, o.launch, true);
  add_devices(*run);
  add_json_flag(*run, o.json);
  CLI::App* const check = command.add_subcommand(
      "check", "Runs a kernel in the interpreter, which finds races and wrong accesses");
  add_launch_options(*check, o.launch, false);
  add_json_flag(*check, o.json);
  CLI::App* const bench = command.add_subcommand(
      "bench", "Measures a kernel: time, rates, shares of the device's peaks");
  add_launch_options(*bench, o.launch, false);
  add_devices(*bench);
  bench->add_option("--time", o.seconds, "Seconds of measuring (0.5)")
      ->type_name("S")
      ->check(CLI::Range(0.0, 600.0));
  bench
      ->add_option("--flop", o.flop,
                   "Operations of a launch; default: what the text's lanes execute, masked or not")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  add_json_flag(*bench, o.json);
  CLI::App* const format = command.add_subcommand(
      "fmt", "Prints a kernel as it is written by custom; names and comments stay");
  format->add_option("FILE", o.launch.file, "A kernel in text form")
      ->type_name("FILE.ir")
      ->required();
  format->add_flag("-w,--write", o.writes, "Writes the file instead");
  format->add_flag("--check", o.only_looks, "Only says whether the file is written so");
  return [=](const ProcessStart&) -> Result<int> {
    if (run->parsed()) return run_kernel(*options);
    if (check->parsed()) return check_kernel(*options);
    return bench->parsed() ? bench_kernel(*options) : format_kernel(*options);
  };
}

}  // namespace leat::cli
