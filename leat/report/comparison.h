// `leat compare`: one model on every device and route of a machine, each measured in a child
// process, so that a driver that crashes or hangs costs its own row and nothing else.
//
// What a child finds comes back as JSON, which is also what a person is given: docs/compare.md
// says what each member means. Numbers that nobody can tell are null there, nullopt here.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "leat/report/measured_run.h"
#include "leat/tensor/model.h"

namespace leat {

/// One kernel of the schedule, in order.
struct ComparedKernel {
  std::string name;
  std::string op;
  std::string shape;  // of its results: "1x64x56x56"
  std::string params;
  double flop = 0;
  double bytes = 0;  // tensors read and written once
  double begin_us = 0;
  double time_us = 0;

  double gflops() const { return time_us > 0 ? flop / time_us * 1e-3 : 0; }
  double intensity() const { return bytes > 0 ? flop / bytes : 0; }
};

/// A tensor of the arena of activations: where it lies, and from which kernel to which it lives.
struct ComparedTensor {
  std::string name;
  std::string type;  // "f32 1x64x56x56"
  double offset_bytes = 0;
  double size_bytes = 0;
  uint32_t first_kernel = 0;
  uint32_t last_kernel = 0;
};

/// A row: what was measured, or why nothing was.
struct ComparedDevice {
  std::string name;
  std::string chip;
  std::string route;
  std::string driver;
  bool software = false;
  std::string failure;  // empty: measured

  uint32_t threads = 1;
  double median_ms = 0;
  double p99_ms = 0;
  std::vector<double> run_ms;
  double gflops = 0;
  double peak_gflops = 0;
  std::optional<double> peak_share;  // null: more than the peak was reached, on a busy machine
  std::optional<double> copy_gbps;   // device to device, each byte counted as read and written
  std::optional<double> clock_mhz;
  std::optional<double> joules;  // of a run
  std::string energy_source;
  bool is_reference = false;        // of the errors: there is none to tell
  std::optional<double> max_error;  // null: not compared
  std::string worst_output;
  uint64_t nonfinite = 0;  // elements that are finite on one side only
  bool f64_as_f32 = false;
  uint32_t products = 0;  // of matrices in f32
  uint32_t rounded_products = 0;
  uint32_t compiled = 0;
  double compile_ms = 0;
  double planned_bytes = 0;
  double lower_bound_bytes = 0;
  double weights_bytes = 0;
  double reserved_bytes = 0;
  std::vector<ComparedKernel> kernels;
  std::vector<ComparedTensor> tensors;

  bool is_measured() const { return failure.empty(); }
};

struct Comparison {
  std::string model;  // path
  std::string name;
  std::string version;  // of Leat, and its commit
  std::string date;
  std::string host;  // its processor
  std::vector<std::string> inputs;
  std::string input_source;  // "random, seed 0" or files
  std::string reference;     // what results were compared with
  std::string precision;     // what factors of products may be rounded to
  double gflop = 0;          // of a run; 0 where nothing was measured
  bool interrupted = false;
  std::vector<ComparedDevice> devices;

  bool any_measured() const;
};

/// Date and time, and the processor with its threads, of here and now.
std::string date_text();
std::string host_text();

struct CompareOptions {
  /// Made anew in each child, which opens its device by it.
  std::function<SessionOptions()> session;
  std::string cache_folder;
  uint32_t repeat = 0;  // see MeasureOptions
  bool strict = false;
  Precision precision = Precision::f32;
  uint64_t timeout_ns = 600'000'000'000;  // of a device
  std::function<bool()> is_interrupted;   // what is measured so far is the answer then
  OnStep on_step;
};

/// A route of this machine, by the name that opens it; `refusal`, where not empty, is its row.
struct CompareCandidate {
  DeviceInfo info;
  std::string refusal;
};

/// The routes that `specs` name, as "cpu", "gpu0:vulkan", or "gpu0" for the best of its routes; all
/// for none. Asks drivers, each in a child. Errors: invalid_argument, naming those that there are.
Result<std::vector<CompareCandidate>> compare_candidates(const std::vector<std::string>& specs);

/// Whole numbers get 0 or 1, those of 8 bits any value, floats [0, 1): what most models take.
std::vector<HostTensor> random_inputs(const Model& model, uint64_t seed);

/// Fills `devices`, `reference`, `gflop` and `interrupted` of `comparison`.
void compare(const Model& model, const std::vector<HostTensor>& inputs,
             const std::vector<CompareCandidate>& candidates, const CompareOptions& options,
             Comparison& comparison);

nlohmann::ordered_json json_of(const Comparison& comparison);
/// One of its `devices`.
std::string json_text(const ComparedDevice& device);
/// What json_text wrote. Errors: invalid_argument, when it is no object.
Result<ComparedDevice> compared_device_of(const std::string& json_text);

}  // namespace leat
