// `leat doctor`: what was found, what was refused and why, and what a person can do about it. It
// runs a kernel on every device that can be used, because a device that opens may still not work.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/report.h"
#include "leat/backend/backends.h"
#include "leat/base/cache_store.h"
#include "leat/base/child_process.h"
#include "leat/base/drivers.h"
#include "leat/base/env.h"
#include "leat/base/files.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

/// What is wrong with the device, empty when it works; found out in a child process, as drivers may
/// crash.
std::string fault_of(const std::string& spec) {
  const auto test = [&] {
    const Result<std::unique_ptr<Device>> tested = open_by_spec(spec);
    return tested ? "" : tested.error().message();
  };
  const Result<std::string> fault = run_in_child(test, kTestTimeoutNs);
  return fault ? *fault : fault.error().message();
}

/// Devices by what became of them.
struct Counts {
  size_t working = 0;
  size_t broken = 0;
  size_t refused = 0;
  size_t real_gpus = 0;
};

/// "works", "broken" or "refused", and why.
Json json_of(const FoundDevice& found, const std::string& fault) {
  const std::string& reason = found.refusal.empty() ? fault : found.refusal;
  return {{"status", !found.refusal.empty() ? "refused"
                     : fault.empty()        ? "works"
                                            : "broken"},
          {"name", found.info.name},
          {"chip", found.info.chip},
          {"route", name_of(found.info.route)},
          {"driver", found.info.driver},
          {"software", found.info.software},
          {"reason", reason}};
}

std::string line_of(const FoundDevice& found, const Json& device) {
  const std::string name = found.info.chip.empty() ? found.info.name : describe(found.info);
  const auto status = device["status"].get<std::string>();
  return fmt::format("  {:<9}{}", status, name) +
         (status == "works" ? ", driver " + found.info.driver
                            : ": " + device["reason"].get<std::string>());
}

/// Each device, tried; a line for it as soon as it is known, unless only JSON is wanted.
Json try_devices(const std::vector<FoundDevice>& devices, bool prints, Counts& counts) {
  Json tried = Json::array();
  for (const FoundDevice& found : devices) {
    const bool is_refused = !found.refusal.empty();
    const std::string fault = is_refused ? "" : fault_of(found.info.name);
    tried.push_back(json_of(found, fault));
    if (prints) print_line(line_of(found, tried.back()));
    const bool works = !is_refused && fault.empty();
    counts.refused += is_refused ? 1 : 0;
    counts.broken += !is_refused && !works ? 1 : 0;
    counts.working += works ? 1 : 0;
    const bool is_real = found.info.name.starts_with("gpu") && !found.info.software;
    counts.real_gpus += works && is_real ? 1 : 0;
  }
  return tried;
}

void print_advice(const Counts& counts) {
  print_text("\nWhat to do\n");
  if (counts.real_gpus == 0) {
    print_text(
        "  No GPU can be used; the CPU does the work. If there is one, install its driver: Mesa's\n"
        "  (apt install mesa-vulkan-drivers libegl-mesa0) for AMD and Intel, NVIDIA's own with "
        "its\n"
        "  Vulkan and EGL parts for NVIDIA, and see that this user may open /dev/dri/renderD*.\n");
  }
  if (counts.broken > 0) {
    print_text(
        "  A broken device opens but does not compute: update its driver. Name another one\n"
        "  with --device until then.\n");
  }
  if (counts.real_gpus > 0 && counts.broken == 0) print_text("  Nothing.\n");
}

Json cache_json() {
  const std::string folder = cache_folder();
  const Result<CacheStore> store = CacheStore::open(folder);
  const bool is_off = !env_flag("LEAT_CACHE", true);
  Json object = {{"folder", folder}, {"off", is_off}, {"files", 0}, {"size_bytes", 0}};
  if (!folder.empty()) {
    std::error_code code;
    uintmax_t size_bytes = 0;
    size_t files = 0;
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, options, code)) {
      std::error_code ignored;
      if (!entry.is_regular_file(ignored)) continue;
      ++files;
      size_bytes += entry.file_size(ignored);
    }
    object["files"] = files;
    object["size_bytes"] = size_bytes;
    if (!store) object["refusal"] = store.error().message();
  }
  object["closed_driver_caches"] = closed_driver_caches();
  return object;
}

void print_cache(const Json& cache) {
  const auto folder = cache["folder"].get<std::string>();
  print_text("\nCache\n");
  print_line(fmt::format("  {}{}: {} files, {}", folder.empty() ? "no folder" : folder,
                         cache["off"].get<bool>() ? " (off by LEAT_CACHE)" : "",
                         cache["files"].get<size_t>(),
                         bytes_text(cache["size_bytes"].get<double>())));
  if (cache.contains("refusal")) print_line("  not used: " + cache["refusal"].get<std::string>());
  for (const Json& reason : cache["closed_driver_caches"]) {
    print_line("  " + reason.get<std::string>());
  }
}

void print_environment() {
  print_text("\nEnvironment\n");
  for (const EnvVariable& variable : env_variables()) {
    const std::string value = env(variable.name);
    print_line(fmt::format("  {:<24}{}{}", variable.name, variable.meaning,
                           value.empty() ? "" : fmt::format(" Now: {}", value)));
  }
}

Json environment_json() {
  Json variables = Json::array();
  for (const EnvVariable& variable : env_variables()) {
    variables.push_back(
        {{"name", variable.name}, {"meaning", variable.meaning}, {"value", env(variable.name)}});
  }
  return variables;
}

/// Of `leat bench report`: name, what follows, text. The rest need the first.
constexpr const char* kReportOptions[][3] = {
    {"--report", "FILE", "Runs self-test, latency and convolutions on all routes to GPUs; minutes"},
    {"--device", "SPEC", "With --report: only this one"},
    {"--suite", "FILE.csv", "With --report: convolutions, as leat bench conv2d takes them"},
    {"--conformance", "PATH", "With --report: a folder of the ONNX project's cases, run too"},
    {"--faults", "yes|no", "With --report: a kernel that runs past its deadline too"}};

/// The words of `leat bench`; the first alone: no report is asked for.
using ReportWords = std::vector<std::string>;

struct Options {
  ReportWords report = {"report"};
  JsonTarget json;
};

Result<int> run(const Options& options) {
  kernel_cache_folder();  // says here, and not in each child, when it is not to be trusted
  if (options.report.size() > 1) return run_bench(options.report);
  TRY(check_files(options.json));
  const bool prints = !options.json.to_stdout();
  if (prints) print_text(fmt::format("leat {} ({})\n\nDevices\n", kLeatVersion, kLeatCommit));
  Json object = {{"leat", kLeatVersion}, {"commit", kLeatCommit}};
  Counts counts;
  object["devices"] = try_devices(ask_devices(), prints, counts);
  object["cache"] = cache_json();
  object["environment"] = environment_json();
  if (options.json.wanted()) TRY(write_json(options.json, object));
  if (!prints) return counts.working > 0 ? 0 : 1;
  print_advice(counts);
  print_cache(object["cache"]);
  print_environment();
  print_text("\nPeers for benchmarks\n");
  if (const Result<int> listed = run_bench({"peers"}); !listed) {
    print_line(fmt::format("  none: {}", listed.error().message()));
  }
  return counts.working > 0 ? 0 : 1;
}

}  // namespace

CommandRun add_doctor(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  for (const auto& [name, type, text] : kReportOptions) {
    const auto keep = [options, option_name = name](const std::string& value) {
      options->report.insert(options->report.end(), {option_name, value});
    };
    CLI::Option* option = command.add_option_function<std::string>(name, keep, text);
    option->type_name(type);
    if (name != kReportOptions[0][0]) option->needs(command.get_option(kReportOptions[0][0]));
  }
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
