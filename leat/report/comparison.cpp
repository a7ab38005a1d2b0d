// See comparison.h. Nothing here opens a device in this process: what children inherit of it would
// be half a driver.
#include "leat/report/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "leat/backend/backends.h"
#include "leat/base/child_process.h"
#include "leat/base/files.h"
#include "leat/base/statistics.h"
#include "leat/report/energy.h"
#include "leat/run/memory_probe.h"

namespace leat {

namespace {

/// Of what one child tells: a reference's outputs, or a row with its kernels.
constexpr size_t kOutputBytesMax = size_t{1} << 30;

/// What the evaluator, which computes in double one element after the other, does in seconds:
/// some 20 million a second on a core of 2021. Above it the cpu device is what others are held to.
constexpr double kEvaluatedFlopMax = 4e8;
constexpr uint64_t kEvaluateTimeoutNs = 60'000'000'000;
constexpr double kEnergySeconds = 1;
constexpr int kEnergyRunsMost = 10'000;
constexpr size_t kCpuinfoBytesMax = size_t{1} << 22;

using Outputs = std::vector<HostTensor>;

constexpr char kCpu[] = "cpu";

struct Reference {
  Outputs outputs;  // empty: there is none
  bool is_cpu = false;
};

/// Why a row has no numbers.
ComparedDevice row_of(const DeviceInfo& info, std::string failure) {
  ComparedDevice row;
  row.name = info.name;
  row.chip = info.chip;
  row.route = name_of(info.route);
  row.driver = info.driver;
  row.software = info.software;
  row.failure = std::move(failure);
  return row;
}

// --- What results are compared with --------------------------------------------------------------

std::string bytes_of(const Outputs& outputs) {
  std::string bytes;
  for (const HostTensor& output : outputs) {
    bytes.append(reinterpret_cast<const char*>(output.bytes.data()), output.bytes.size());
  }
  return bytes;
}

/// Empty, where the bytes are not those of the model's outputs.
Outputs outputs_from(const Model& model, const std::string& bytes) {
  Outputs outputs;
  size_t at = 0;
  for (const ModelValue& value : model.outputs) {
    HostTensor& tensor = outputs.emplace_back(HostTensor::zeros(value.dtype, value.shape));
    if (bytes.size() - at < tensor.bytes.size()) return {};
    if (!tensor.bytes.empty()) {
      std::memcpy(tensor.bytes.data(), bytes.data() + at, tensor.bytes.size());
    }
    at += tensor.bytes.size();
  }
  return at == bytes.size() ? outputs : Outputs();
}

Result<Outputs> outputs_on_cpu(const Model& model, const Outputs& inputs,
                               const CompareOptions& options) {
  Session session(options.session());
  LoadOptions load;
  load.device = kCpu;
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(model, load));
  return loaded->run(inputs);
}

double flop_of(const Graph& graph) {
  double flop = 0;
  for (const Node& node : graph.nodes) flop += flop_count(node);
  return flop;
}

/// Nothing, and comparison.reference says why, when there is none.
Reference reference_of(const Model& model, const Outputs& inputs, const CompareOptions& options,
                       Comparison& comparison) {
  const auto by = [&](const std::string& name, uint64_t timeout_ns, const auto& compute) {
    if (options.on_step) options.on_step("computing what results are compared with");
    comparison.reference = name;
    const Result<std::string> bytes = run_in_child(
        [&] {
          const Result<Outputs> outputs = compute();
          return outputs ? bytes_of(*outputs) : std::string();
        },
        timeout_ns, options.is_interrupted, kOutputBytesMax);
    return bytes ? outputs_from(model, *bytes) : Outputs();
  };
  Reference reference;
  if (flop_of(model.graph) <= kEvaluatedFlopMax) {
    reference.outputs = by("evaluated in double, rounded to the model's types between operators",
                           kEvaluateTimeoutNs, [&] { return evaluate(model.graph, inputs); });
  }
  if (reference.outputs.empty() && !(options.is_interrupted && options.is_interrupted())) {
    reference.is_cpu = options.precision == Precision::f32;
    reference.outputs = by(
        "the device cpu in the model's types, as the model is too large to be evaluated in double",
        options.timeout_ns, [&] { return outputs_on_cpu(model, inputs, options); });
  }
  if (reference.outputs.empty()) {
    comparison.reference = "nothing: neither the evaluator nor the cpu ran it";
  }
  return reference;
}

// --- A device ------------------------------------------------------------------------------------

/// The largest difference, in shares of the largest value that the output should have.
void compare_output(const HostTensor& actual, const HostTensor& expected, const std::string& name,
                    ComparedDevice& row) {
  double largest = 0;
  double difference = 0;
  for (int64_t i = 0; i < element_count(expected.shape); ++i) {
    const double a = actual.number(i);
    const double b = expected.number(i);
    if (!std::isfinite(a) || !std::isfinite(b)) {
      row.nonfinite += !(a == b || (std::isnan(a) && std::isnan(b)));
      continue;
    }
    largest = std::max(largest, std::fabs(b));
    difference = std::max(difference, std::fabs(a - b));
  }
  const double error = largest > 0 ? difference / largest : difference;
  if (row.max_error && error <= *row.max_error) return;
  row.max_error = error;
  row.worst_output = name;
}

void compare_outputs(const Model& model, const Outputs& outputs, const Reference& reference,
                     ComparedDevice& row) {
  row.is_reference = reference.is_cpu && row.name == kCpu;
  if (row.is_reference || reference.outputs.size() != outputs.size()) return;
  for (size_t i = 0; i < outputs.size(); ++i) {
    compare_output(outputs[i], reference.outputs[i], model.outputs[i].name, row);
  }
}

std::string dims_of(const Shape& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

std::vector<ComparedKernel> kernels_of(const Schedule& schedule,
                                       const std::vector<KernelTime>& times) {
  std::vector<ComparedKernel> kernels;
  for (const KernelTime& time : times) {
    const Node& node = schedule.graph.nodes[schedule.steps[time.step].node];
    std::vector<std::string> shapes;
    for (const NodeResult& result : node.results) {
      shapes.push_back(dims_of(schedule.graph.tensors[result.output].shape));
    }
    ComparedKernel kernel;
    kernel.name = time.name;
    kernel.op = time.op;
    kernel.shape = fmt::format("{}", fmt::join(shapes, ", "));
    kernel.params = time.params;
    kernel.flop = time.flop;
    kernel.bytes = static_cast<double>(time.bytes);
    kernel.begin_us = static_cast<double>(time.begin_ns) * 1e-3;
    kernel.time_us = static_cast<double>(time.time_ns) * 1e-3;
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

/// Of the arena of activations; kernels are counted as in a profile.
std::vector<ComparedTensor> tensors_of(const Schedule& schedule,
                                       const std::vector<KernelTime>& times) {
  std::vector<ComparedTensor> tensors;
  std::vector<size_t> places(schedule.placements.size(), SIZE_MAX);
  const auto touch = [&](TensorId id, uint32_t kernel) {
    const TensorId root = root_of(schedule, id);
    const Placement& placement = schedule.placements[root];
    if (placement.space != Space::activations || placement.element_count == 0) return;
    if (places[root] == SIZE_MAX) {
      const Tensor& tensor = schedule.graph.tensors[root];
      places[root] = tensors.size();
      tensors.push_back(
          {.name = tensor.name,
           .type = fmt::format("{} {}", name_of(placement.storage), dims_of(tensor.shape)),
           .offset_bytes = static_cast<double>(placement.offset_bytes),
           .size_bytes = static_cast<double>(placement.size_bytes()),
           .first_kernel = kernel,
           .last_kernel = kernel});
    }
    tensors[places[root]].last_kernel = kernel;
  };
  for (uint32_t i = 0; i < times.size(); ++i) {
    const Step& step = schedule.steps[times[i].step];
    const Node& node = schedule.graph.nodes[step.node];
    for (const TensorId id : node.inputs) touch(id, i);
    for (const NodeResult& result : node.results) touch(result.output, i);
    for (const TensorId id : step.scratch) touch(id, i);
  }
  return tensors;
}

void measure_energy(LoadedModel& loaded, const MeasuredRun& run, ComparedDevice& row) {
  const std::optional<EnergyMeter> meter = EnergyMeter::find(run.info);
  if (!meter) return;
  const double runs = kEnergySeconds * 1e3 / std::max(run.median_ms(), 1e-3);
  const Result<double> joules =
      meter->joules_per_run([&] { return loaded.network().run(); },
                            std::clamp(static_cast<int>(std::min(runs, 1e6)), 1, kEnergyRunsMost));
  if (!joules) return;
  row.joules = *joules;
  row.energy_source = meter->source();
}

void take_numbers(const MeasuredRun& run, ComparedDevice& row) {
  row.threads = run.threads;
  row.median_ms = run.median_ms();
  row.p99_ms = p99_of(run.run_ms);
  row.run_ms = run.run_ms;
  row.gflops = run.gflops();
  row.peak_gflops = run.peak_gflops;
  if (run.peak_gflops > 0 && !run.is_peak_exceeded()) row.peak_share = run.peak_share();
  if (run.clock) row.clock_mhz = run.clock->mhz;
  row.f64_as_f32 = run.f64_as_f32;
  row.products = run.stats.products.all;
  row.rounded_products = run.stats.products.rounded;
  row.compiled = run.stats.compiled;
  row.compile_ms = run.stats.compile_ms;
  row.planned_bytes = static_cast<double>(run.memory.activations_bytes);
  row.lower_bound_bytes = static_cast<double>(run.memory.lower_bound_bytes);
  row.weights_bytes = static_cast<double>(run.memory.weights_bytes);
  row.reserved_bytes = static_cast<double>(run.stats.reserved_bytes);
}

Result<ComparedDevice> measured(const Model& model, const Outputs& inputs, const DeviceInfo& info,
                                const Reference& reference, const CompareOptions& options) {
  const auto say = [&](const std::string& step) {
    if (options.on_step) options.on_step(info.name + ": " + step);
  };
  say("compiling");
  Session session(options.session());
  LoadOptions load;
  load.device = info.name;
  load.network.schedule.strict = options.strict;
  load.network.schedule.precision = options.precision;
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(model, load));
  TRY_ASSIGN(const Outputs outputs, loaded->run(inputs));
  TRY_ASSIGN(const MeasuredRun run,
             measure_run(*loaded, {.repeat = options.repeat,
                                   .peak = measured_peaks(options.cache_folder),
                                   .profile = true,
                                   .on_step = say}));
  ComparedDevice row = row_of(run.info, "");
  take_numbers(run, row);
  say("comparing results");
  compare_outputs(model, outputs, reference, row);
  const Schedule& schedule = loaded->network().schedule();
  row.kernels = kernels_of(schedule, run.profile);
  row.tensors = tensors_of(schedule, run.profile);
  measure_energy(*loaded, run, row);
  const Result<MemoryProbe> probe = probe_memory(loaded->device());
  if (probe && probe->copy_inside > 0) row.copy_gbps = 2 * probe->copy_inside;
  return row;
}

ComparedDevice measured_in_child(const Model& model, const Outputs& inputs, const DeviceInfo& info,
                                 const Reference& reference, const CompareOptions& options) {
  const Result<std::string> text = run_in_child(
      [&] {
        const Result<ComparedDevice> row = measured(model, inputs, info, reference, options);
        return json_text(row ? *row : row_of(info, row.error().message()));
      },
      options.timeout_ns, options.is_interrupted, kOutputBytesMax);
  if (!text) return row_of(info, text.error().message());
  const Result<ComparedDevice> row = compared_device_of(*text);
  return row ? *row : row_of(info, row.error().message());
}

bool is_chip_of(const std::string& spec, const std::string& name) {
  return name.starts_with(spec + ":");
}

}  // namespace

std::string date_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32] = {};
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

std::string host_text() {
  const Result<std::string> facts = read_file("/proc/cpuinfo", kCpuinfoBytesMax);
  std::string name = "unknown processor";
  const size_t at = facts ? facts->find("model name") : std::string::npos;
  if (at != std::string::npos) {
    const size_t begin = facts->find(':', at) + 1;
    const std::string line = facts->substr(begin, facts->find('\n', begin) - begin);
    name = line.substr(std::min(line.size(), line.find_first_not_of(" \t")));
  }
  return fmt::format("{}, {} threads", name, std::thread::hardware_concurrency());
}

bool Comparison::any_measured() const {
  return std::ranges::any_of(devices, &ComparedDevice::is_measured);
}

Result<std::vector<CompareCandidate>> compare_candidates(const std::vector<std::string>& specs) {
  std::vector<CompareCandidate> found;
  for (FoundDevice& device : ask_devices()) {
    const bool is_place = !device.info.name.starts_with("gpu") && device.info.name != "cpu";
    if (is_place) continue;  // where a route finds nothing
    found.push_back({std::move(device.info), std::move(device.refusal)});
  }
  if (specs.empty()) return found;
  std::vector<CompareCandidate> wanted;
  for (const std::string& spec : specs) {
    const auto same = std::ranges::find_if(
        found, [&](const auto& candidate) { return candidate.info.name == spec; });
    const auto chip = std::ranges::find_if(
        found, [&](const auto& candidate) { return is_chip_of(spec, candidate.info.name); });
    if (same == found.end() && chip == found.end()) {
      std::vector<std::string> names;
      for (const CompareCandidate& candidate : found) names.push_back(candidate.info.name);
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("No device is named \"{}\"; there are ({}).", spec, fmt::join(names, ", ")));
    }
    wanted.push_back(same != found.end() ? *same : *chip);
    if (same != found.end()) continue;
    wanted.back().info.name = spec;  // whichever of its routes opens
    wanted.back().refusal.clear();
  }
  return wanted;
}

std::vector<HostTensor> random_inputs(const Model& model, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<HostTensor> inputs;
  for (const ModelValue& value : model.inputs) {
    HostTensor& tensor = inputs.emplace_back(HostTensor::zeros(value.dtype, value.shape));
    const bool is_byte = value.dtype == DType::i8 || value.dtype == DType::u8;
    const int64_t low = value.dtype == DType::i8 ? -128 : 0;
    for (int64_t i = 0; i < element_count(value.shape); ++i) {
      const uint64_t bits = random();
      if (is_float(value.dtype)) {
        tensor.set_number(i, static_cast<double>(bits >> 11) * 0x1p-53);
      } else {
        tensor.set_integer(
            i, is_byte ? static_cast<int64_t>(bits & 255) + low : static_cast<int64_t>(bits & 1));
      }
    }
  }
  return inputs;
}

void compare(const Model& model, const std::vector<HostTensor>& inputs,
             const std::vector<CompareCandidate>& candidates, const CompareOptions& options,
             Comparison& comparison) {
  const auto is_interrupted = [&] { return options.is_interrupted && options.is_interrupted(); };
  comparison.precision = name_of(options.precision);
  const Reference reference = reference_of(model, inputs, options, comparison);
  for (const CompareCandidate& candidate : candidates) {
    ComparedDevice row = row_of(candidate.info, candidate.refusal);
    if (row.is_measured() && !is_interrupted()) {
      row = measured_in_child(model, inputs, candidate.info, reference, options);
    }
    if (candidate.refusal.empty() && is_interrupted() && row.median_ms == 0) {
      row = row_of(candidate.info, "Interrupted before it was measured.");
      comparison.interrupted = true;
    }
    comparison.devices.push_back(std::move(row));
  }
  for (const ComparedDevice& device : comparison.devices) {
    double flop = 0;
    for (const ComparedKernel& kernel : device.kernels) flop += kernel.flop;
    if (flop > 0 && comparison.gflop == 0) comparison.gflop = flop * 1e-9;
  }
}

}  // namespace leat
