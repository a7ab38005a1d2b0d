// See run_files.h.
#include "cli/run_files.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/precision_option.h"
#include "cli/top_classes.h"
#include "cli/trust_option.h"

namespace leat::cli {

namespace {

constexpr uint32_t kRepeatDefault = 5;

std::string class_text(const ClassScore& score) {
  return fmt::format("{:5d}  {:.6f}  {}", score.index, score.probability, score.label);
}

nlohmann::ordered_json json_of(const RunOptions& options, const Prepared& prepared,
                               const MeasuredRun& run, const std::vector<ClassScore>& top) {
  using Json = nlohmann::ordered_json;
  Json object;
  object["model"] = prepared.fed.model.path;
  add_run_facts(object, run);
  object["outputs"] = Json::array();
  for (size_t i = 0; i < prepared.fed.model.outputs.size(); ++i) {
    const ModelValue& value = prepared.fed.model.outputs[i];
    Json output = {{"name", value.name},
                   {"dtype", name_of(run.outputs[i].dtype)},
                   {"shape", run.outputs[i].shape}};
    const auto file = prepared.output_files.find(i);
    if (file != prepared.output_files.end()) output["file"] = file->second;
    object["outputs"].push_back(output);
  }
  if (!prepared.states.empty()) object["states"] = prepared.states.size();
  if (options.in_steps) object["steps"] = prepared.steps.size();
  if (top.empty()) return object;
  object["top"] = Json::array();
  for (const ClassScore& score : top) {
    Json entry = {
        {"index", score.index}, {"label", score.label}, {"probability", score.probability}};
    if (score.item > 0) entry["item"] = score.item;
    object["top"].push_back(entry);
  }
  return object;
}

void print_top(const std::vector<ClassScore>& top) {
  int64_t item = 0;
  for (const ClassScore& score : top) {
    if (score.item != item) print_line(fmt::format("item {}", item = score.item));
    print_line(class_text(score));
  }
  if (!top.empty()) print_line("");
}

}  // namespace

void declare_run_options(CLI::App& command, RunOptions& o) {
  command.add_option("MODEL", o.model, "The ONNX file, or one that leat pack made")->required();
  command
      .add_option(
          "-i,--input", o.inputs,
          "A value for an input: .npy, .pb, .png or .jpg; once for each input. Or a folder: "
          "each picture in it is run by itself, on all devices of --device A,B,... that bring more")
      ->type_name("[NAME=]FILE")
      ->expected(1)
      ->take_all();
  command
      .add_option("-o,--output", o.outputs,
                  "Where an output goes: .npy, .pb, .png or .jpg; with a folder as input, a folder")
      ->type_name("[NAME=]FILE")
      ->expected(1)
      ->take_all();
  command
      .add_option("--state", o.states,
                  "Output OUT of a run is input IN of the next one, at first zeros or IN's file: "
                  "hidden states, a cache. One * on each side stands for the same characters")
      ->type_name("OUT=IN")
      ->expected(1)
      ->take_all();
  command.add_flag("--steps", o.in_steps,
                   "A run for each part of a file along an axis more than its input has; what "
                   "comes out is put together likewise; of a state, the last value");
  command.add_option("--top", o.top, "Prints the K best classes of the first output")
      ->type_name("K")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  command.add_option("--labels", o.labels, "Names of the classes, one a line")->type_name("FILE");
  add_device_option(command, o.device);
  command
      .add_option("--host-threads", o.host_threads,
                  "Threads that decode and write a folder's pictures; default: cores to spare")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command.add_option("--trace", o.trace, "Writes what ran when, for Chrome's or Perfetto's viewer")
      ->type_name("FILE");
  command.add_option("--repeat", o.repeat, "Timed runs, of which the median is shown (5)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--channels", o.picture.channels, "Order of a picture's channels (rgb)")
      ->type_name("bgr|rgb")
      ->check(CLI::IsMember({"bgr", "rgb"}));
  command.add_option("--scale", o.picture.scale, "Pixels become (value - mean) * S")
      ->type_name("S");
  command.add_option("--mean", o.picture.mean, "Subtracted from the pixels, before --scale")
      ->type_name("R,G,B")
      ->delimiter(',')
      ->expected(3);
  command.add_flag("--no-cache", o.no_cache, "Neither reads nor writes compiled kernels");
  add_trust_option(command, o.trusts_kernels);
  command.add_flag("--strict", o.strict,
                   "Refuses a device that computes the model in narrower types than it asks for");
  add_precision_option(command, o.precision);
  command.add_flag("--tune", o.tune,
                   "Measures ways to compute each kernel first, and keeps what it finds");
  command.add_flag("--profile", o.profile, "Shows the time of every kernel");
  add_json_flag(command, o.json);
}

uint32_t repeat_of(const RunOptions& options) {
  return options.repeat == 0 ? kRepeatDefault : options.repeat;
}

Result<void> prepare_files(const RunOptions& options, Prepared& prepared) {
  TRY_ASSIGN(prepared.output_files,
             match_files(options.outputs, prepared.fed.model.outputs, "output"));
  std::vector<std::string> written = {options.trace};
  for (const auto& [index, path] : prepared.output_files) {
    TRY(check_output_path(path));
    written.push_back(path);
  }
  std::vector<std::string> read = {options.model, options.labels};
  read.insert(read.end(), prepared.fed.paths.begin(), prepared.fed.paths.end());
  TRY(check_files(options.json, std::move(written), read));
  if (!options.labels.empty()) {
    TRY_ASSIGN(prepared.labels, read_labels(options.labels));
  }
  return {};
}

RunSteps steps_of(const RunOptions& options, const Prepared& prepared) {
  RunSteps steps = {.inputs = prepared.steps, .are_many = options.in_steps};
  for (const auto& [index, path] : prepared.output_files) steps.wanted.insert(index);
  if (options.top > 0) steps.wanted.insert(0);
  return steps;
}

Result<int> report_run(const RunOptions& options, const Prepared& prepared,
                       const MeasuredRun& result, const Trace& trace) {
  if (result.f64_as_f32) {
    say_line(fmt::format("The model computes in f64; device \"{}\" has none and computes as f32.",
                         result.info.name));
  }
  if (!options.trace.empty()) TRY(write_whole_file(options.trace, trace.json()));
  for (const auto& [index, path] : prepared.output_files) {
    TRY(write_output_file(path, result.outputs[index], prepared.fed.model.outputs[index].name,
                          prepared.fed.numbers.is_bgr));
  }
  std::vector<ClassScore> top;
  if (options.top > 0) {
    TRY_ASSIGN(top, top_classes(result.outputs, options.top, prepared.labels));
  }
  if (options.json.wanted()) TRY(write_json(options.json, json_of(options, prepared, result, top)));
  if (!options.json.to_stdout()) {
    print_top(top);
    print_text(text_of(result));
  }
  return 0;
}

}  // namespace leat::cli
