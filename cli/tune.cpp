// `leat tune`: measures ways of computing a model's kernels on a device, and shows, hands on and
// forgets what was found.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/precision_option.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/shape_option.h"
#include "leat/base/files.h"
#include "leat/base/statistics.h"
#include "leat/run/session.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kImportBytesMax = size_t{1} << 28;

struct Options {
  std::string model;
  std::string device;
  ShapeOptions shapes;
  Precision precision = Precision::f32;
  double milliseconds = 100;
  bool again = false;
  std::string file;  // of export and import
  std::string chip;  // of forget
  JsonTarget json;
};

Result<std::string> store_folder() {
  const std::string folder = kernel_cache_folder();
  if (!folder.empty()) return folder;
  return Error(ErrorKind::io,
               "There is no cache folder that can be used, and so no tuning store; \"leat doctor\" "
               "says why.");
}

Result<TuneStore> open_store() {
  TRY_ASSIGN(const std::string folder, store_folder());
  return TuneStore::open(folder);
}

std::string microseconds_text(double seconds) {
  return seconds > 0 ? number_text(seconds * 1e6) : "";
}

std::string gain_text(double model_seconds, double seconds) {
  return seconds > 0 && model_seconds > 0 ? fmt::format("{:.2f}", model_seconds / seconds) : "";
}

Json json_of(const TunedKernel& kernel) {
  Json object;
  object["kernel"] = kernel.node;
  object["shape"] = kernel.shape;
  object["source"] = name_of(kernel.source);
  object["params"] = to_string(kernel.params);
  object["us"] = kernel.seconds * 1e6;
  object["model_us"] = kernel.model_seconds * 1e6;
  object["tried"] = kernel.tried;
  object["search_ms"] = kernel.search_seconds * 1e3;
  return object;
}

std::string text_of(const std::vector<TunedKernel>& kernels) {
  Table table({"kernel", "shape", "from", "us", "model us", "gain", "tried", "ms", "parameters"});
  for (const TunedKernel& kernel : kernels) {
    table.add({kernel.node, kernel.shape, std::string(name_of(kernel.source)),
               microseconds_text(kernel.seconds), microseconds_text(kernel.model_seconds),
               gain_text(kernel.model_seconds, kernel.seconds), std::to_string(kernel.tried),
               number_text(kernel.search_seconds * 1e3), to_string(kernel.params)});
  }
  return table.text();
}

Result<int> tune_model(const Options& options) {
  TRY(check_files(options.json, {}, std::span(&options.model, 1)));
  TRY_ASSIGN(const std::string folder, store_folder());
  TRY(TuneStore::open(folder));  // what is found shall be kept
  Progress progress(options.json.to_stdout());
  TRY_ASSIGN(Model model, import_shaped(options.model, options.shapes));
  std::vector<TunedKernel> kernels;
  TuningOptions tuning;
  tuning.measures = true;
  tuning.again = options.again;
  tuning.limits.seconds = options.milliseconds * 1e-3;
  tuning.on_choice = [&](const TunedKernel& kernel) {
    kernels.push_back(kernel);
    progress.show(fmt::format("tuned {}, {} kernels so far", kernel.node, kernels.size()));
  };
  Session session(session_options(folder, std::move(tuning)));
  progress.show("tuning " + model.name);
  LoadOptions load;
  load.device = options.device;
  load.network.schedule.precision = options.precision;
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(std::move(model), load));
  progress.clear();
  if (options.json.wanted()) {
    Json object;
    object["model"] = options.model;
    add_device_facts(object, loaded->device());
    object["kernels"] = Json::array();
    for (const TunedKernel& kernel : kernels) object["kernels"].push_back(json_of(kernel));
    TRY(write_json(options.json, object));
  }
  if (!options.json.to_stdout()) {
    print_text(text_of(kernels));
    print_line(fmt::format("{} kernels on {}", kernels.size(), describe(loaded->device().info())));
  }
  return 0;
}

Result<int> list(const Options& options) {
  TRY(check_files(options.json));
  TRY_ASSIGN(const TuneStore store, open_store());
  TRY_ASSIGN(const std::vector<TuneEntry> entries, store.entries());
  TRY_ASSIGN(const std::vector<QuarantinedWay> ways, store.quarantined());
  if (options.json.wanted()) {
    TRY_ASSIGN(const std::string text, store.export_json());
    Json object = Json::parse(text);
    object["quarantined"] = Json::array();
    for (const QuarantinedWay& way : ways) {
      object["quarantined"].push_back(
          {{"chip", way.chip}, {"params", way.params}, {"reason", way.reason}});
    }
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  Table table({"chip", "shape", "us", "model us", "gain", "date", "parameters"});
  for (const TuneEntry& entry : entries) {
    table.add({entry.on.chip, entry.shape, microseconds_text(entry.seconds),
               microseconds_text(entry.model_seconds),
               gain_text(entry.model_seconds, entry.seconds), entry.date, entry.params});
  }
  print_text(table.text());
  for (const QuarantinedWay& way : ways) {
    print_line(fmt::format("never run again: {} on {}: {}", way.params, way.chip, way.reason));
  }
  print_line(
      fmt::format("{} kernels, {} ways that are not run again", entries.size(), ways.size()));
  return 0;
}

Result<int> export_file(const Options& options) {
  TRY(check_files(options.json, {options.file}));
  TRY_ASSIGN(const TuneStore store, open_store());
  TRY_ASSIGN(const std::string text, store.export_json());
  TRY(write_whole_file(options.file, text));
  if (!options.json.wanted()) return 0;
  const Json object = {{"file", options.file}, {"kernels", Json::parse(text)["entries"].size()}};
  TRY(write_json(options.json, object));
  return 0;
}

Result<int> import_file(const Options& options) {
  TRY(check_files(options.json, {}, std::span(&options.file, 1)));
  TRY_ASSIGN(const std::string text, read_file(options.file, kImportBytesMax));
  TRY_ASSIGN(TuneStore store, open_store());
  const Result<size_t> taken = store.import_json(text);
  if (!taken) return taken.error().during("reading \"" + options.file + "\"");
  if (options.json.wanted()) TRY(write_json(options.json, {{"taken", *taken}}));
  if (!options.json.to_stdout()) print_line(fmt::format("{} kernels are taken", *taken));
  return 0;
}

Result<int> forget(const Options& options) {
  if (options.chip.empty()) {
    return Error(ErrorKind::invalid_argument,
                 "No chip is named; \"leat tune forget all\" forgets everything.");
  }
  TRY(check_files(options.json));
  TRY_ASSIGN(TuneStore store, open_store());
  TRY_ASSIGN(const size_t count, store.forget(options.chip == "all" ? "" : options.chip));
  if (options.json.wanted()) TRY(write_json(options.json, {{"forgotten", count}}));
  if (!options.json.to_stdout()) print_line(fmt::format("{} kernels are forgotten", count));
  return 0;
}

/// The name of the subcommand that was given; empty without one.
template <typename... Apps>
std::string command_of(const Apps&... commands) {
  std::string name;
  ((name = commands.parsed() ? commands.get_name() : name), ...);
  return name;
}

}  // namespace

CommandRun add_tune(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  command.require_subcommand(0, 1);
  command.add_option("MODEL", o.model, "The ONNX file whose kernels are measured");
  add_device_option(command, o.device);
  add_shape_option(command, o.shapes);
  add_precision_option(command, o.precision);
  command
      .add_option("--time", o.milliseconds,
                  "Milliseconds for each kernel, compilation included (100)")
      ->type_name("MS")
      ->check(CLI::Range(1.0, 3'600'000.0))
      ->check([](const std::string& text) {  // NaN is in every range
        return text.find_first_of("nN") == std::string::npos ? "" : "is not a number";
      });
  command.add_flag("--again", o.again, "Measures kernels anew that are known");
  add_json_flag(command, o.json);
  CLI::App* const listed = command.add_subcommand("list", "Shows what is known");
  CLI::App* const exported = command.add_subcommand("export", "Writes what is known as JSON");
  exported->add_option("FILE", o.file, "The file that is written")->required();
  CLI::App* const imported =
      command.add_subcommand("import", "Takes what \"leat tune export\" wrote elsewhere");
  imported->add_option("FILE", o.file, "The file that is read")->required();
  CLI::App* const forgotten = command.add_subcommand("forget", "Forgets what is known of a chip");
  forgotten->add_option("CHIP", o.chip, "A part of the chip's name in \"leat tune list\", or: all")
      ->required();
  for (CLI::App* below : {listed, exported, imported, forgotten}) add_json_flag(*below, o.json);
  return [=](const ProcessStart&) -> Result<int> {
    const bool has_subcommand = !command_of(*listed, *exported, *imported, *forgotten).empty();
    if (has_subcommand && !options->model.empty()) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("Both a model (\"{}\") and \"{}\" are named: one at a time.", options->model,
                      command_of(*listed, *exported, *imported, *forgotten)));
    }
    if (listed->parsed()) return list(*options);
    if (exported->parsed()) return export_file(*options);
    if (imported->parsed()) return import_file(*options);
    if (forgotten->parsed()) return forget(*options);
    if (!options->model.empty()) return tune_model(*options);
    return Error(ErrorKind::invalid_argument,
                 "Nothing is named to be tuned: a model, or list, export, import or forget; "
                 "\"leat tune --help\" shows more.");
  };
}

}  // namespace leat::cli
