// What `leat run` is told, and what it does with files, whatever the model came as: compiled
// (run_model.cpp) or packed (run_pack.cpp).
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/model_inputs.h"
#include "cli/model_run.h"
#include "cli/report.h"
#include "leat/media/labels.h"
#include "leat/run/trace.h"

namespace leat::cli {

struct RunOptions {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  PictureOptions picture;
  int64_t top = 0;
  std::string labels;
  std::string device;
  std::vector<std::string> states;  // OUT=IN
  bool in_steps = false;
  uint32_t repeat = 0;  // 0: not said, see repeat_of
  bool no_cache = false;
  bool profile = false;
  bool strict = false;
  Precision precision = Precision::f32;
  bool trusts_kernels = false;
  bool tune = false;
  size_t host_threads = 0;
  std::string trace;
  JsonTarget json;
};

void declare_run_options(CLI::App& command, RunOptions& options);
/// Timed runs.
uint32_t repeat_of(const RunOptions& options);

/// Everything known about the model and its files before a device is opened.
struct Prepared {
  FedModel fed;
  std::vector<std::vector<HostTensor>> steps;  // inputs of each
  std::vector<StatePair> states;
  std::function<Result<Model>(std::span<const Shape> shapes)> specialise;  // for other shapes
  std::map<size_t, std::string> output_files;                              // by output
  Labels labels;
};

/// Output files and labels, for `prepared.fed`, and that all of them can be written.
Result<void> prepare_files(const RunOptions& options, Prepared& prepared);
RunSteps steps_of(const RunOptions& options, const Prepared& prepared);
/// Writes and prints what came out. The exit code.
Result<int> report_run(const RunOptions& options, const Prepared& prepared,
                       const MeasuredRun& result, const Trace& trace);

/// `leat run` of a packed model.
Result<int> run_pack(const RunOptions& options, const ProcessStart& start);

}  // namespace leat::cli
