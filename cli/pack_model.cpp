// `leat pack`: a model with its kernels for several targets in one file, for machines without a
// compiler.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/precision_option.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/shape_option.h"
#include "leat/base/output_file.h"
#include "leat/pack/packed_model.h"
#include "leat/run/make_pack.h"

namespace leat::cli {

namespace {

struct Options {
  std::string model;
  std::vector<std::string> targets;
  ShapeOptions shapes;
  Precision precision = Precision::f32;
  std::string output;
  uint32_t threads = kPackThreads;
  JsonTarget json;
};

/// A target by its name, or that of a device of this machine.
Result<std::vector<NamedTarget>> targets_of(const std::string& name, uint32_t threads) {
  if (name != "cpu" && !name.starts_with("gpu")) return pack_targets(name, threads);
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(name));
  return std::vector<NamedTarget>{{name, device->target()}};
}

Result<int> run(const Options& options) {
  const std::string outputs[] = {options.output};
  const std::string inputs[] = {options.model};
  TRY(check_files(options.json, {outputs[0]}, inputs));
  Progress progress(options.json.to_stdout());
  progress.show("reading " + options.model);
  TRY_ASSIGN(const Model model, import_shaped(options.model, options.shapes));
  std::vector<NamedTarget> targets;
  for (const std::string& name : options.targets) {
    TRY_ASSIGN(std::vector<NamedTarget> some, targets_of(name, options.threads));
    for (NamedTarget& target : some) targets.push_back(std::move(target));
  }
  progress.show("compiling " + model.name);
  TRY_ASSIGN(const std::string bytes, make_pack(model, targets, options.precision));
  TRY(write_program(options.output, bytes));
  progress.clear();
  std::string names;
  nlohmann::ordered_json object = {{"file", options.output}, {"size_bytes", bytes.size()}};
  for (const NamedTarget& target : targets) {
    names += (names.empty() ? "" : ", ") + target.name;
    object["targets"].push_back(target.name);
  }
  if (options.json.wanted()) TRY(write_json(options.json, object));
  if (options.json.to_stdout()) return 0;
  print_line(fmt::format("{}: {} for {}", options.output,
                         bytes_text(static_cast<double>(bytes.size())), names));
  return 0;
}

}  // namespace

CommandRun add_pack(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  command.add_option("MODEL", options->model, "The ONNX file")->required();
  command
      .add_option(
          "--for", options->targets,
          "cpu-x86-64-v3, cpu-x86-64-v4, aarch64, vulkan, opengl, sm_90, gfx1100, ...; or a "
          "device of this machine: cpu, gpu0:vulkan")
      ->type_name("TARGET,...")
      ->delimiter(',')
      ->required();
  command.add_option("-o,--output", options->output, "The packed model, *.leat")
      ->type_name("FILE")
      ->required();
  add_shape_option(command, options->shapes);
  add_precision_option(command, options->precision);
  command
      .add_option("--threads", options->threads,
                  fmt::format("Threads that a CPU's plan is made for; it runs on any number ({})",
                              kPackThreads))
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
