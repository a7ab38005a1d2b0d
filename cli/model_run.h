// One model on one device: its results, how long they take, and the table that `leat run` ends
// with.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/progress.h"
#include "leat/device/device.h"
#include "leat/run/gpu_clock.h"
#include "leat/run/network.h"
#include "leat/run/session.h"
#include "leat/run/trace.h"

namespace leat::cli {

struct ModelRunOptions {
  std::string device;        // empty: the best that takes the model
  uint32_t repeat = 1;       // timed runs
  std::string cache_folder;  // empty: no cache
  bool profile = false;
  bool strict = false;  // ScheduleOptions::strict
  bool tune = false;    // measures kernels that tuning does not know
  Trace* trace = nullptr;
};

struct ModelRun {
  std::vector<HostTensor> outputs;  // in the order of Model::outputs
  DeviceInfo info;
  uint32_t threads = 1;
  NetworkStats stats;
  MemoryPlan memory;
  std::vector<double> run_ms;  // each from submit to fence
  double first_answer_ms = 0;  // from the start of the process
  double gflop = 0;
  bool f64_as_f32 = false;          // Schedule::f64_as_f32
  double peak_gflops = 0;           // 0: not known
  std::optional<GpuClock> clock;    // while it ran; nothing where nobody tells
  std::vector<KernelTime> profile;  // empty when not asked for

  double median_ms() const;
  double gflops() const { return median_ms() > 0 ? gflop / median_ms() * 1e3 : 0; }
  /// The peak was measured on a machine that did other work, too: there is no share of it.
  bool is_peak_exceeded() const { return peak_gflops > 0 && gflops() > peak_gflops; }
  /// 0 where it is not known.
  double peak_share() const {
    return peak_gflops > 0 && !is_peak_exceeded() ? gflops() / peak_gflops : 0;
  }
  /// Planned activations over the largest sum of live tensors, less 1.
  double memory_overhead() const;
};

/// GFLOPS that the device can do of what the network does; 0: not known.
using PeakOf = std::function<Result<double>(LoadedModel& loaded, const ModelRun& run)>;

/// Of a model that is ready; `inputs` has one value per Model::inputs.
Result<ModelRun> run_loaded(LoadedModel& loaded, std::span<const HostTensor> inputs,
                            const ModelRunOptions& options, const ProcessStart& start,
                            Progress& progress, const PeakOf& peak);

/// Of a model that is to be compiled.
/// Errors: those of the device named, or of the last one tried.
Result<ModelRun> run_model(Model model, std::span<const HostTensor> inputs,
                           const ModelRunOptions& options, const ProcessStart& start,
                           Progress& progress);

std::string text_of(const ModelRun& run);
void add_run_facts(nlohmann::ordered_json& object, const ModelRun& run);

}  // namespace leat::cli
