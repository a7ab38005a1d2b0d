// `leat inspect`: what a model file holds and needs, and all that stands in its way.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/report.h"
#include "leat/report/inspection.h"

namespace leat::cli {

namespace {

struct Options {
  std::string model;
  JsonTarget json;
};

Result<int> run(const Options& options) {
  TRY(check_files(options.json, {}, std::span(&options.model, 1)));
  TRY_ASSIGN(const Inspection inspection, inspect_model(options.model));
  if (options.json.wanted()) TRY(write_json(options.json, json_of(inspection)));
  if (!options.json.to_stdout()) print_text(text_of(inspection));
  return 0;
}

}  // namespace

CommandRun add_inspect(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  command.add_option("MODEL", options->model, "The ONNX file, whether or not Leat runs it")
      ->required();
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
