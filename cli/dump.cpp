// `leat dump`: a model or a kernel as text after a stage of its way to the device; a model as the
// memory and packets that a card would see.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/dump_packets.h"
#include "cli/precision_option.h"
#include "cli/report.h"
#include "cli/shape_option.h"
#include "leat/base/files.h"
#include "leat/run/inspect.h"
#include "leat/run/user_kernel.h"

namespace leat::cli {

namespace {

constexpr std::string_view kPackets = "packets";  // the stage after all of inspect.h

struct Options {
  std::string file;
  std::string stage;
  std::string target = "cpu";
  std::string node;
  std::string capture;
  std::vector<std::string> inputs;
  ShapeOptions shapes;
  Precision precision = Precision::f32;
  JsonTarget json;
};

Result<Target> target_of(const std::string& name) {
  const auto plain = plain_target_names();
  if (std::ranges::find(plain, name) != plain.end()) return plain_target(name);
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(name));
  return device->target();
}

std::string stage_of(const Options& options) {
  if (!options.stage.empty()) return options.stage;
  return options.file.ends_with(".onnx") ? "schedule" : "lower";
}

Result<std::string> text_of(const Options& options) {
  const bool is_model = options.file.ends_with(".onnx");
  const std::string stage = stage_of(options);
  const bool has_plan = is_model && stage != kPackets;
  if (options.precision != Precision::f32 && !has_plan) {
    return Error(ErrorKind::invalid_argument,
                 "--precision is for a model (.onnx) after a stage before packets.");
  }
  if (!options.shapes.given.empty() && !has_plan) {
    return Error(ErrorKind::invalid_argument,
                 "--shape is for a model (.onnx) after a stage before packets, whose inputs it is "
                 "that --input gives.");
  }
  if (stage == kPackets && is_model && options.node.empty()) {
    return packets_of({options.file, options.target, options.inputs, options.capture,
                       options.shapes.trusts_kernels});
  }
  if (stage == kPackets || !options.capture.empty() || !options.inputs.empty()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Packets are of a whole model (.onnx), without --node, and --capture "
                             "and --input go with --after packets; this is {} after {}.",
                             options.file, stage));
  }
  if (is_model) {
    TRY_ASSIGN(const Model model, import_shaped(options.file, options.shapes));
    TRY_ASSIGN(const Target target,
               stage == "graph" ? Result<Target>(Target{}) : target_of(options.target));
    return inspect_graph(model.graph, target, stage, options.node, options.precision);
  }
  TRY_ASSIGN(const std::string text, read_file(options.file, kKernelBytesMax));
  TRY_ASSIGN(const Target target, target_of(options.target));
  return inspect_kernel(text, options.file, target, stage);
}

Result<int> run(const Options& options) {
  TRY(check_files(options.json, {}, std::span(&options.file, 1)));
  TRY_ASSIGN(std::string text, text_of(options));
  std::ranges::replace(text, '\t', ' ');  // as assemblers write them
  if (options.json.wanted()) {
    TRY(write_json(options.json, {{"file", options.file},
                                  {"after", stage_of(options)},
                                  {"target", options.target},
                                  {"text", text}}));
  }
  if (options.json.to_stdout()) return 0;
  print_text(text.ends_with('\n') ? text : text + '\n');
  return 0;
}

}  // namespace

CommandRun add_dump(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  const auto names = stage_names();
  std::vector<std::string> stages(names.begin(), names.end());
  stages.emplace_back(kPackets);
  command.add_option("FILE", options->file, "MODEL.onnx, or a kernel in text form")
      ->type_name("MODEL.onnx|KERNEL")
      ->required();
  command
      .add_option("--after", options->stage,
                  "The stage; default: schedule for a model, lower for a kernel")
      ->type_name(fmt::format("{}", fmt::join(stages, "|")))
      ->check(CLI::IsMember(stages));
  command
      .add_option("--target", options->target,
                  fmt::format("A device, or {} (cpu)", fmt::join(plain_target_names(), ", ")))
      ->type_name("NAME");
  command
      .add_option("--capture", options->capture,
                  "With --after packets: an empty folder for memory, packets and expected values")
      ->type_name("DIR");
  command
      .add_option("-i,--input", options->inputs,
                  "With --after packets: a value of an input; without one it is random")
      ->type_name("[NAME=]FILE")
      ->expected(1)
      ->take_all();
  add_shape_option(command, options->shapes);
  add_precision_option(command, options->precision);
  command.add_option("--node", options->node, "Only kernels whose name contains this")
      ->type_name("NAME");
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
