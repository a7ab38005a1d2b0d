// `leat bench report`, as which `leat doctor --report FILE` runs: what the owner of a card can
// send. Which devices there are, whether they pass their self-tests, how fast they are, as one
// file.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/fault_rows.h"
#include "bench/report_format.h"
#include "cli/bench.h"
#include "cli/conformance_json.h"
#include "cli/device_choice.h"
#include "cli/report.h"
#include "leat/backend/backends.h"
#include "leat/base/child_process.h"
#include "leat/base/files.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kResultBytesMax = size_t{64} << 20;
constexpr const char* kShapes[] = {"1,3,224,224,64,7,2,3", "8,256,56,56,256,3,1,1",
                                   "64,64,56,56,64,3,1,1", "64,1024,14,14,256,1,1,0"};

struct Options {
  std::string file;
  std::string checked;
  std::string device;                    // empty: every route of every real GPU, else the CPU
  std::string suite;                     // of convolutions; empty: kShapes
  std::vector<std::string> conformance;  // cases of the ONNX project
  bool faults = false;
};

/// A folder that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "leat-report-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string file(const std::string& name) const { return (fs::path(path_) / name).string(); }

 private:
  std::string path_;
};

/// What a benchmark of `leat-bench` writes, or why it wrote nothing.
Json benchmark(const std::string& name, const std::string& device,
               std::vector<std::string> arguments) {
  const ScratchFolder folder;
  const std::string file = folder.file("result.json");
  arguments.insert(arguments.begin(), name);
  arguments.insert(arguments.end(), {"--device", device, "--json=" + file});
  const Result<int> code = run_bench(arguments);
  Json result = {{"name", name}, {"device", device}};
  const Result<std::string> text = code ? read_file(file, kResultBytesMax) : code.error();
  Json measured = text ? Json::parse(*text, nullptr, false) : Json();
  if (text && measured.is_object()) {
    result["status"] = *code == 0 ? "passed" : "failed";
    result["object"] = std::move(measured);
  } else {
    result["status"] = "failed";
    result["reason"] = text ? "The benchmark wrote no object." : text.error().message();
  }
  return result;
}

/// What `test` says in a child process, since drivers may crash: nothing, when all is well.
template <typename Test>
std::string fault_of(const Test& test) {
  const Result<std::string> fault = run_in_child(test, kTestTimeoutNs);
  return fault ? *fault : fault.error().message();
}

Json self_test_of(const std::string& device) {
  const std::string reason = fault_of([&] {
    const Result<std::unique_ptr<Device>> opened = open_by_spec(device);
    return opened ? "" : opened.error().message();
  });
  Json result = {{"name", "self_test"}, {"device", device}};
  result["status"] = reason.empty() ? "passed" : "failed";
  if (!reason.empty()) result["reason"] = reason;
  return result;
}

/// In a child too: what hangs on a card may cost more than a queue.
Json faults_of(const std::string& device) {
  const std::string text = fault_of([&] {
    const Result<std::unique_ptr<Device>> opened = open_by_spec(device);
    if (!opened) return opened.error().message();
    const Result<std::vector<FaultRow>> rows = provoke_faults(**opened);
    return rows ? json_of(*rows).dump() : rows.error().message();
  });
  Json result = {{"name", "faults"}, {"device", device}};
  Json rows = Json::parse(text, nullptr, false);
  result["status"] = rows.is_array() ? "passed" : "failed";
  if (rows.is_array()) {
    result["object"] = std::move(rows);
  } else {
    result["reason"] = text;
  }
  return result;
}

Json conformance_of(const std::vector<ConformanceCase>& cases, const std::string& device) {
  Json result = {{"name", "conformance"}, {"device", device}};
  const Result<std::unique_ptr<Device>> opened = open_by_spec(device);
  if (!opened) {
    result["status"] = "failed";
    result["reason"] = opened.error().message();
    return result;
  }
  const Summary summary = run_conformance(cases, device_executor(**opened, kernel_cache_folder()));
  print_line(fmt::format("conformance on {}: {}", device, to_string(summary)));
  result["status"] = summary.failed == 0 ? "passed" : "failed";
  result["object"] = json_of(summary, **opened);
  return result;
}

/// Devices to look at, best first.
std::vector<std::string> devices_of(const std::vector<FoundDevice>& found,
                                    const std::string& wanted) {
  if (!wanted.empty()) return {wanted};
  std::vector<std::string> names;
  for (const FoundDevice& device : found) {
    const bool is_real_gpu = device.info.name.starts_with("gpu") && !device.info.software;
    if (device.refusal.empty() && is_real_gpu) names.push_back(device.info.name);
  }
  return names.empty() ? std::vector<std::string>{"cpu"} : names;
}

Json json_of(const FoundDevice& found) {
  Json device = {{"name", found.info.name},
                 {"chip", found.info.chip},
                 {"vendor", found.info.vendor},
                 {"route", name_of(found.info.route)},
                 {"driver", found.info.driver},
                 {"software", found.info.software},
                 {"memory_bytes", found.info.memory_bytes}};
  if (!found.refusal.empty()) device["refusal"] = found.refusal;
  return device;
}

void add_results(const Options& options, const std::vector<ConformanceCase>& cases,
                 const std::string& device, Json& results) {
  results.push_back(self_test_of(device));
  if (results.back()["status"] != "passed") return;  // nothing of it would be believed
  results.push_back(benchmark("latency", device, {}));
  std::vector<std::string> shapes = {"--suite", options.suite};
  if (options.suite.empty()) {
    shapes.clear();
    for (const char* shape : kShapes) shapes.insert(shapes.end(), {"--shape", shape});
  }
  results.push_back(benchmark("conv2d", device, shapes));
  if (!cases.empty()) results.push_back(conformance_of(cases, device));
  if (options.faults) results.push_back(faults_of(device));
}

/// What every file of bench/results says first, of the device that comes first.
void add_head(const std::string& device, Json& report) {
  const Result<std::unique_ptr<Device>> opened = open_by_spec(device);
  if (opened) {
    add_device_facts(report, **opened);
  } else {
    report["device"] = device;
    report["refusal"] = opened.error().message();
  }
}

Result<void> write_report(const Options& options) {
  const JsonTarget target = {options.file};
  TRY(check_files(target, {}, std::span(&options.suite, 1)));
  std::vector<ConformanceCase> cases;
  if (!options.conformance.empty()) {
    TRY_ASSIGN(cases, find_conformance_cases(options.conformance));
  }
  const std::vector<FoundDevice> found = ask_devices();
  const std::vector<std::string> devices = devices_of(found, options.device);
  Json report = {{"kind", kReportKind}, {"format", kReportFormat}, {"leat", kLeatVersion}};
  add_head(devices[0], report);
  add_bench_place(report);
  report["devices"] = Json::array();
  for (const FoundDevice& device : found) report["devices"].push_back(json_of(device));
  report["results"] = Json::array();
  for (const std::string& device : devices) add_results(options, cases, device, report["results"]);
  report["digest"] = report_digest(report);
  TRY(write_json(target, report));
  TRY(check_report(options.file));
  print_line(fmt::format("{}: {} results of {} devices", options.file, report["results"].size(),
                         devices.size()));
  return {};
}

Result<int> run(const Options& options) {
  if (options.checked.empty()) {
    TRY(write_report(options));
    return 0;
  }
  TRY(check_report(options.checked));
  print_line(options.checked + ": a complete report, as it was written");
  return 0;
}

}  // namespace

CommandRun add_bench_report(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  CLI::Option_group* what = command.add_option_group("what");
  CLI::Option* file = what->add_option("--report", o.file, "Writes this file")->type_name("FILE");
  what->add_option("--check-report", o.checked, "Says whether a report is as it was written")
      ->type_name("FILE");
  what->require_option(1);
  command.add_option("--device", o.device, "Only this one")->type_name("SPEC")->needs(file);
  command.add_option("--suite", o.suite, "Convolutions, as leat bench conv2d takes them")
      ->type_name("FILE.csv")
      ->needs(file);
  command.add_option("--conformance", o.conformance, "Folders of the ONNX project's cases")
      ->type_name("PATH")
      ->needs(file);
  command.add_option("--faults", o.faults, "yes: lets a kernel run past its deadline too")
      ->type_name("yes|no")
      ->needs(file);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
