// `leat compare`: a model on every device and route of this machine, as a table, as JSON and as a
// page. Ctrl-C ends it with what is measured so far.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/model_inputs.h"
#include "cli/precision_option.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/run_stream.h"
#include "cli/shape_option.h"
#include "leat/base/printable.h"
#include "leat/report/comparison.h"
#include "leat/report/comparison_page.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

struct Options {
  std::string model;
  std::vector<std::string> inputs;
  ShapeOptions shapes;
  std::string devices;
  std::string html;
  uint32_t repeat = 0;
  uint64_t seed = 0;
  double timeout_seconds = 600;
  bool no_cache = false;
  bool strict = false;
  Precision precision = Precision::f32;
  JsonTarget json;
};

std::string number_or(const std::optional<double>& value, double scale, std::string_view unit,
                      const char* missing) {
  return value ? number_text(*value * scale) + std::string(unit) : missing;
}

std::string error_text(const ComparedDevice& device) {
  if (device.nonfinite > 0) return fmt::format("{} not finite", device.nonfinite);
  if (device.is_reference) return "reference";
  return device.max_error ? fmt::format("{:.1e}", *device.max_error) : "-";
}

/// What was allowed and what came of it; nothing where nothing was.
std::string products_text(const Comparison& comparison) {
  if (comparison.precision == name_of(Precision::f32)) return "";
  std::string text;
  for (const ComparedDevice& device : comparison.devices) {
    if (!device.is_measured()) continue;
    text += fmt::format("{}{} {} of {}", text.empty() ? "" : ", ", device.name,
                        device.rounded_products, device.products);
  }
  return fmt::format("products  in {}: {}\n", comparison.precision, text);
}

std::string text_of(const Comparison& comparison) {
  Table table({"device", "chip", "route", "kernels", "ms", "p99 ms", "GFLOPS", "of peak", "energy",
               "error", "memory"});
  std::string failures;
  for (const ComparedDevice& device : comparison.devices) {
    if (!device.is_measured()) {
      table.add({device.name, device.chip, device.route, "failed"});
      failures += fmt::format("{}: {}\n", device.name, printable(device.failure));
      continue;
    }
    table.add({device.name, device.chip, device.route, std::to_string(device.kernels.size()),
               number_text(device.median_ms), number_text(device.p99_ms),
               number_text(device.gflops), number_or(device.peak_share, 100, " %", "busy"),
               number_or(device.joules, 1e3, " mJ", "not told"), error_text(device),
               bytes_text(device.planned_bytes + device.weights_bytes)});
  }
  return table.text() + failures + products_text(comparison) +
         fmt::format("error     largest difference over the output's largest value, from {}\n",
                     comparison.reference) +
         fmt::format("inputs    {}; {} GFLOP a run\n", printable(comparison.input_source),
                     number_text(comparison.gflop));
}

/// Files where some are given, else random numbers.
Result<FedModel> model_and_inputs(const Options& options, Comparison& comparison) {
  if (!options.inputs.empty()) {
    TRY_ASSIGN(FedModel fed, feed_model(options.model, options.inputs, {},
                                        {.trusts_kernels = options.shapes.trusts_kernels}));
    comparison.input_source = fmt::format("{}", fmt::join(fed.paths, ", "));
    return fed;
  }
  FedModel fed;
  TRY_ASSIGN(fed.model, import_shaped(options.model, options.shapes));
  fed.inputs = random_inputs(fed.model, options.seed);
  comparison.input_source = fmt::format("random, seed {}", options.seed);
  return fed;
}

Result<void> write_results(const Options& options, const Comparison& comparison) {
  if (!options.html.empty()) TRY(write_whole_file(options.html, html_page(comparison)));
  if (options.json.wanted()) TRY(write_json(options.json, json_of(comparison)));
  if (!options.json.to_stdout()) print_text(text_of(comparison));
  return {};
}

Result<int> run(const Options& options) {
  std::vector<std::string> read = {options.model};
  for (const std::string& input : options.inputs) read.push_back(input.substr(input.find('=') + 1));
  TRY(check_files(options.json, {options.html}, read));
  Progress progress(options.json.to_stdout());
  progress.show("reading " + options.model);
  Comparison comparison;
  comparison.model = options.model;
  TRY_ASSIGN(const FedModel fed, model_and_inputs(options, comparison));
  comparison.name = fed.model.name;
  comparison.version = fmt::format("{} ({})", kLeatVersion, kLeatCommit);
  comparison.date = date_text();
  comparison.host = host_text();
  for (const ModelValue& input : fed.model.inputs) {
    comparison.inputs.push_back(
        fmt::format("{} {} {}", input.name, name_of(input.dtype), to_string(input.shape)));
  }
  progress.show("asking for devices");
  TRY_ASSIGN(const auto candidates, compare_candidates(split_specs(options.devices)));
  CompareOptions settings;
  settings.cache_folder = kernel_cache_folder(options.no_cache);
  settings.session = [&] { return session_options(settings.cache_folder); };
  settings.repeat = options.repeat;
  settings.strict = options.strict;
  settings.precision = options.precision;
  settings.timeout_ns = static_cast<uint64_t>(options.timeout_seconds * 1e9);
  settings.is_interrupted = [] { return interrupt_exit_code() != 0; };
  settings.on_step = [&](const std::string& step) { progress.show(step); };
  note_first_interrupt();
  compare(fed.model, fed.inputs, candidates, settings, comparison);
  progress.clear();
  TRY(write_results(options, comparison));
  if (comparison.interrupted) return interrupt_exit_code();
  return comparison.any_measured() ? 0 : 1;
}

}  // namespace

CommandRun add_compare(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  command.add_option("MODEL", o.model, "The ONNX file")->required();
  command
      .add_option("-i,--input", o.inputs,
                  "A value for an input, as in \"leat run\"; random numbers without any")
      ->type_name("[NAME=]FILE")
      ->expected(1)
      ->take_all();
  add_shape_option(command, o.shapes);
  command.add_option("--device", o.devices, "cpu,gpu0,gpu0:vulkan,...; default: all there are")
      ->type_name("A,B,...");
  command.add_option("--html", o.html, "Writes one page with all of it, which needs no other file")
      ->type_name("FILE");
  command.add_option("--repeat", o.repeat, "Timed runs; default: as many as take a second")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--seed", o.seed, "Of the random inputs (0)")->type_name("N");
  command
      .add_option("--timeout", o.timeout_seconds, "Seconds after which a device is given up (600)")
      ->type_name("S")
      ->check(CLI::Range(1.0, 1e6));
  command.add_flag("--no-cache", o.no_cache, "Neither reads nor writes compiled kernels");
  add_precision_option(command, o.precision);
  command.add_flag("--strict", o.strict,
                   "Refuses devices that compute the model in narrower types than it asks for");
  add_json_flag(command, o.json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
