// `leat test-onnx`: cases of the ONNX project's conformance suite on one device, which stays open
// for all of them. Closes with: N passed, N failed, N skipped.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/conformance_json.h"
#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "leat/model/onnx_import.h"

namespace leat::cli {

namespace {

struct Options {
  std::vector<std::string> paths;
  std::string device;
  bool verbose = false;
  bool no_cache = false;
  std::string markdown;
  JsonTarget json;
};

void print_case(const CaseResult& result) {
  print_line(fmt::format("{} {}{}{}", name_of(result.outcome), result.name,
                         result.reason.empty() ? "" : ": ", result.reason));
}

/// docs/operators.md: the importer's own table, and what the given cases need beyond it.
std::string markdown_of(const Summary& summary) {
  std::string text =
      "# Operators\n\nWritten by `leat test-onnx PATH... --markdown docs/operators.md`; not to be "
      "edited.\nStrings and sequences are refused by name. Doubles are computed as f32 where a "
      "device has none, their functions everywhere.\n\n";
  text += operators_markdown();
  text += fmt::format("\n## Conformance cases\n\n{}. Skipped, with the number of cases:\n\n",
                      to_string(summary));
  for (const auto& [reason, count] : skip_reasons(summary)) {
    text += fmt::format("* {}: {}\n", count, reason);
  }
  return text;
}

std::vector<std::string> files_of(const std::vector<ConformanceCase>& cases) {
  std::vector<std::string> files;
  for (const ConformanceCase& one : cases) {
    files.push_back(one.model_path);
    for (const ConformanceCase::DataSet& set : one.data_sets) {
      files.insert(files.end(), set.inputs.begin(), set.inputs.end());
      files.insert(files.end(), set.outputs.begin(), set.outputs.end());
    }
  }
  return files;
}

Result<int> run(const Options& options) {
  TRY(check_files(options.json, {options.markdown}));
  TRY_ASSIGN(const std::vector<ConformanceCase> cases, find_conformance_cases(options.paths));
  TRY(check_files(options.json, {options.markdown}, files_of(cases)));
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(options.device));
  const std::string cache_folder = kernel_cache_folder(options.no_cache);
  const bool is_printing = !options.json.to_stdout();
  if (is_printing)
    print_line(fmt::format("{} cases on {}", cases.size(), describe(device->info())));
  Progress progress;
  size_t done = 0;
  const auto show = [&](const CaseResult& result) {
    ++done;
    if (is_printing && (options.verbose || result.outcome == Outcome::failed)) {
      progress.clear();
      print_case(result);
    }
    progress.show(fmt::format("{} of {}: {}", done, cases.size(), result.name));
  };
  const Summary summary = run_conformance(cases, device_executor(*device, cache_folder), show);
  progress.clear();
  if (options.json.wanted()) TRY(write_json(options.json, json_of(summary, *device)));
  if (!options.markdown.empty()) {
    TRY(write_whole_file(options.markdown, markdown_of(summary)));
  }
  if (is_printing) {
    for (const auto& [reason, count] : skip_reasons(summary)) {
      print_line(fmt::format("skipped {:4d}  {}", count, reason));
    }
    print_line(to_string(summary));
  }
  return summary.failed == 0 ? 0 : 1;
}

}  // namespace

CommandRun add_test_onnx(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  command.add_option("PATH", options->paths, "A case, or a folder with cases at any depth")
      ->required();
  add_device_option(command, options->device);
  command.add_flag("-v,--verbose", options->verbose, "A line for every case");
  command.add_flag("--no-cache", options->no_cache, "Neither reads nor writes compiled kernels");
  command.add_option("--markdown", options->markdown,
                     "Writes the table of operators and the reasons for skips to this file");
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
