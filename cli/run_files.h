// What `leat run` is told, and what it does with files, whatever the model came as: compiled
// (run_model.cpp) or packed (run_pack.cpp).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/model_files.h"
#include "cli/model_run.h"
#include "cli/report.h"
#include "leat/media/labels.h"
#include "leat/run/trace.h"
#include "leat/tensor/model.h"

namespace leat::cli {

struct RunOptions {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  PictureOptions picture;
  int64_t top = 0;
  std::string labels;
  std::string device;
  uint32_t repeat = 0;  // 0: as run_settings has it
  bool no_cache = false;
  bool profile = false;
  bool strict = false;
  bool tune = false;
  size_t host_threads = 0;
  std::string trace;
  JsonTarget json;
};

void declare_run_options(CLI::App& command, RunOptions& options);
/// Device, repetitions and profile.
ModelRunOptions run_settings(const RunOptions& options);

/// Everything known about the model and its files before a device is opened.
struct Prepared {
  Model model;
  PictureNumbers numbers;
  std::vector<HostTensor> inputs;              // one per model input
  std::map<size_t, std::string> output_files;  // by output
  Labels labels;
};

/// Output files and labels of a model that is known, and that all of them can be written; `read`
/// are files that may not be among them.
Result<void> prepare_files(const RunOptions& options, std::vector<std::string> read,
                           Prepared& prepared);
/// Writes and prints what came out. The exit code.
Result<int> report_run(const RunOptions& options, const Prepared& prepared, const ModelRun& result,
                       const Trace& trace);

/// `leat run` of a packed model.
Result<int> run_pack(const RunOptions& options, const ProcessStart& start);

}  // namespace leat::cli
