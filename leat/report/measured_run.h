// A model that is ready on a device, measured: how long a run takes once the device is warm, at
// which clock, how near to the device's peak, and where the time goes.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/device/device.h"
#include "leat/run/gpu_clock.h"
#include "leat/run/session.h"
#include "leat/run/trace.h"

namespace leat {

/// Told what is being done, for a line that says so. May be empty.
using OnStep = std::function<void(const std::string& step)>;

struct MeasuredRun;

/// GFLOPS that the device can do of what the network does.
using PeakOf = std::function<Result<double>(LoadedModel& loaded, const MeasuredRun& run)>;
/// They are measured, and kept in `cache_folder`, unless that is empty. Needs a compiler.
PeakOf measured_peaks(std::string cache_folder);

struct MeasureOptions {
  uint32_t repeat = 0;  // timed runs; 0: as many as fit into a second, at least 5
  PeakOf peak;          // empty: it stays unknown
  bool profile = false;
  Trace* trace = nullptr;
  /// For a model in parts, whose runs begin with them; others have theirs.
  std::span<const HostTensor> inputs;
  OnStep on_step;
};

struct MeasuredRun {
  std::vector<HostTensor> outputs;  // in the order of Model::outputs
  DeviceInfo info;
  uint32_t threads = 1;
  NetworkStats stats;
  MemoryPlan memory;           // of parts: of the one whose activations take most
  std::vector<double> run_ms;  // each from submit to fence
  double first_answer_ms = 0;  // from the start of the process
  double gflop = 0;
  bool f64_as_f32 = false;               // Schedule::f64_as_f32
  Precision precision = Precision::f32;  // asked for
  double peak_gflops = 0;                // 0: not known
  std::optional<GpuClock> clock;         // while it ran; nothing where nobody tells
  /// Each kernel's shortest time of several runs, one after the other; empty when not asked for.
  std::vector<KernelTime> profile;

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

/// Of a model whose inputs are written; all but `outputs` and `first_answer_ms`. Warms the device
/// up first, until it is no longer getting faster. With a trace, one more run is in it, in which
/// every kernel is a span with its name.
/// Errors: those of devices.
Result<MeasuredRun> measure_run(LoadedModel& loaded, const MeasureOptions& options);

/// One more run of the network, each of whose kernels is a span of the trace with its name, on the
/// track "kernels" of its device. No run may be in flight.
Result<void> trace_kernels(Network& network, Trace& trace);

}  // namespace leat
