// `leat doctor`: what was found, what was refused and why, and what a person can do about it. It
// runs a kernel on every device that can be used, because a device that opens may still not work.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

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

/// Prints each device; how many of them work.
struct Counts {
  size_t working = 0;
  size_t broken = 0;
  size_t refused = 0;
  size_t real_gpus = 0;
};

Counts print_devices(const std::vector<FoundDevice>& devices) {
  Counts counts;
  for (const FoundDevice& found : devices) {
    const std::string name = found.info.chip.empty() ? found.info.name : describe(found.info);
    if (!found.refusal.empty()) {
      ++counts.refused;
      print_line(fmt::format("  refused  {}: {}", name, found.refusal));
      continue;
    }
    const std::string fault = fault_of(found.info.name);
    if (!fault.empty()) {
      ++counts.broken;
      print_line(fmt::format("  broken   {}: {}", name, fault));
      continue;
    }
    ++counts.working;
    const bool is_gpu = found.info.name.starts_with("gpu");
    if (is_gpu && !found.info.software) ++counts.real_gpus;
    print_line(fmt::format("  works    {}, driver {}", name, found.info.driver));
  }
  return counts;
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

void print_cache() {
  const std::string folder = cache_folder();
  const Result<CacheStore> store = CacheStore::open(folder);
  uintmax_t size_bytes = 0;
  size_t files = 0;
  std::error_code code;
  if (!folder.empty()) {
    const auto options = std::filesystem::directory_options::skip_permission_denied;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, options, code)) {
      std::error_code ignored;
      if (!entry.is_regular_file(ignored)) continue;
      ++files;
      size_bytes += entry.file_size(ignored);
    }
  }
  const bool is_off = !env_flag("LEAT_CACHE", true);
  print_text("\nCache\n");
  print_line(fmt::format("  {}{}: {} files, {}", folder.empty() ? "no folder" : folder,
                         is_off ? " (off by LEAT_CACHE)" : "", files,
                         bytes_text(static_cast<double>(size_bytes))));
  if (!folder.empty() && !store) print_line("  not used: " + store.error().message());
  for (const std::string& reason : closed_driver_caches()) print_line("  " + reason);
}

void print_environment() {
  print_text("\nEnvironment\n");
  for (const EnvVariable& variable : env_variables()) {
    const std::string value = env(variable.name);
    print_line(fmt::format("  {:<24}{}{}", variable.name, variable.meaning,
                           value.empty() ? "" : fmt::format(" Now: {}", value)));
  }
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

Result<int> run(const ReportWords& report) {
  kernel_cache_folder();  // says here, and not in each child, when it is not to be trusted
  if (report.size() > 1) return run_bench(report);
  print_text(fmt::format("leat {} ({})\n\nDevices\n", kLeatVersion, kLeatCommit));
  const Counts counts = print_devices(ask_devices());
  print_advice(counts);
  print_cache();
  print_environment();
  print_text("\nPeers for benchmarks\n");
  if (const Result<int> listed = run_bench({"peers"}); !listed) {
    print_line(fmt::format("  none: {}", listed.error().message()));
  }
  return counts.working > 0 ? 0 : 1;
}

}  // namespace

CommandRun add_doctor(CLI::App& command) {
  const auto words = std::make_shared<ReportWords>(1, "report");
  for (const auto& [name, type, text] : kReportOptions) {
    const auto keep = [words, name = name](const std::string& value) {
      words->insert(words->end(), {name, value});
    };
    CLI::Option* option = command.add_option_function<std::string>(name, keep, text);
    option->type_name(type);
    if (name != kReportOptions[0][0]) option->needs(command.get_option(kReportOptions[0][0]));
  }
  return [words](const ProcessStart&) { return run(*words); };
}

}  // namespace leat::cli
