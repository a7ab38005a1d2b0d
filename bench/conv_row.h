// One row of `leat bench conv2d`: a convolution measured on a device, perhaps beside a peer, and
// held against the reference.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/conv_case.h"
#include "cli/progress.h"
#include "leat/run/network.h"

namespace leat::cli {

struct ConvRowOptions {
  DType dtype = DType::f32;
  std::string peer;          // empty: none
  double min_seconds = 0.4;  // of samples, for each side
  std::string cache_folder;
  /// Of the convolution's kernel, where it is legal; nothing: the model's choice.
  std::optional<KernelParams> params;
};

struct PeerResult {
  std::string name;             // with its version
  std::vector<double> seconds;  // of one execution
};

struct ConvRow {
  ConvShape shape;
  DType dtype = DType::f32;
  DType storage = DType::f32;       // what the device holds them as
  std::string kernel_params;        // of the schedule
  uint32_t repeats = 1;             // back to back in one sample
  std::vector<double> seconds;      // of one execution, by sample
  std::optional<double> device_us;  // by the device's own clock, median
  std::optional<double> clock_mhz_before, clock_mhz_after;
  double max_error = 0;
  double error_limit = 0;
  std::optional<double> max_error_cpu;  // all elements, against the cpu device
  std::optional<PeerResult> peer;
  double peak_gflops = 0;  // filled in by the caller
  std::string failure;     // one sentence; empty when the row counts

  double median_us() const;
  double p99_us() const;
  double gflops() const;
  double peak_share() const { return peak_gflops > 0 ? gflops() / peak_gflops : 0; }
  double peer_median_us() const;
  double peer_gflops() const;
  /// Ours over the peer's speed.
  double ratio() const;
};

/// `cpu` computes the whole result a second time; may be null.
/// Errors: those of the device. A wrong result is no error but a failure in the row.
Result<ConvRow> measure_conv(Device& device, Device* cpu, const ConvShape& shape,
                             const ConvRowOptions& options, Progress& progress);

nlohmann::ordered_json json_of(const ConvRow& row);

}  // namespace leat::cli
