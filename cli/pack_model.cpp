// `leat pack`: a model with its kernels for several targets in one file, for machines without a
// compiler.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "leat/base/output_file.h"
#include "leat/model/onnx_import.h"
#include "leat/pack/packed_model.h"
#include "leat/run/make_pack.h"

namespace leat::cli {

namespace {

struct Options {
  std::string model;
  std::vector<std::string> targets;
  std::vector<std::string> shapes;
  std::string output;
  uint32_t threads = kPackThreads;
};

/// "NAME=1,3,224,224".
Result<std::pair<std::string, Shape>> shape_of(const std::string& text) {
  const size_t equals = text.rfind('=');
  Shape shape;
  bool is_right = equals != std::string::npos && equals > 0;
  std::string_view rest = std::string_view(text).substr(is_right ? equals + 1 : text.size());
  while (is_right && !rest.empty()) {
    const std::string_view number = rest.substr(0, rest.find(','));
    int64_t extent = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), extent);
    is_right = error == std::errc() && end == number.data() + number.size() && extent >= 0;
    shape.push_back(extent);
    rest.remove_prefix(std::min(number.size() + 1, rest.size()));
  }
  if (is_right && check_shape(shape)) return std::pair(text.substr(0, equals), shape);
  return Error(ErrorKind::invalid_argument,
               fmt::format("Shape \"{}\" is not written as NAME=1,3,224,224.", text));
}

Result<Model> import_for(const Options& options) {
  ImportOptions known;
  for (const std::string& text : options.shapes) {
    TRY_ASSIGN(auto named, shape_of(text));
    known.input_shapes.insert_or_assign(std::move(named.first), std::move(named.second));
  }
  TRY_ASSIGN(Model model, import_onnx(options.model, known));
  for (const auto& [name, shape] : known.input_shapes) {
    if (std::ranges::count(model.inputs, name, &ModelValue::name) > 0) continue;
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Model \"{}\" has no input \"{}\".", options.model, name));
  }
  return model;
}

/// A target by its name, or that of a device of this machine.
Result<std::vector<NamedTarget>> targets_of(const std::string& name, uint32_t threads) {
  if (name != "cpu" && !name.starts_with("gpu")) return pack_targets(name, threads);
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(name));
  return std::vector<NamedTarget>{{name, device->target()}};
}

Result<int> run(const Options& options) {
  const std::string outputs[] = {options.output};
  const std::string inputs[] = {options.model};
  TRY(check_outputs(outputs, inputs));
  Progress progress;
  progress.show("reading " + options.model);
  TRY_ASSIGN(const Model model, import_for(options));
  std::vector<NamedTarget> targets;
  for (const std::string& name : options.targets) {
    TRY_ASSIGN(std::vector<NamedTarget> some, targets_of(name, options.threads));
    for (NamedTarget& target : some) targets.push_back(std::move(target));
  }
  progress.show("compiling " + model.name);
  TRY_ASSIGN(const std::string bytes, make_pack(model, targets));
  TRY(write_file(options.output, bytes));
  progress.clear();
  std::string names;
  for (const NamedTarget& target : targets) names += (names.empty() ? "" : ", ") + target.name;
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
  command
      .add_option(
          "--shape", options->shapes,
          "The shape of an input whose extents the model leaves open (1 each); once for each")
      ->type_name("NAME=N,C,H,W")
      ->expected(1)
      ->take_all();
  command
      .add_option("--threads", options->threads,
                  fmt::format("Threads that a CPU's plan is made for; it runs on any number ({})",
                              kPackThreads))
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
