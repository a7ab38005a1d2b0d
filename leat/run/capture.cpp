// Source: the project's contract for captures, "GPU submission capture, format 1".
#include "leat/run/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "leat/base/numbers.h"
#include "leat/base/output_file.h"
#include "leat/run/transfer.h"

namespace leat {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr uint64_t kPage = 4096, kConstantAlignment = 256, kConstantsGap = uint64_t{1} << 21;
/// Sums differ by their order: a share of the value, and of the largest value for what cancels.
struct Tolerance {
  double relative, of_largest;
  double least;  // of an operation
};
constexpr Tolerance kSingle = {1e-3, 1e-5, 1e-4}, kHalf = {1e-2, 1e-3, 1e-2};
// As many roundings as in f16, which has 8 times as many numbers.
constexpr Tolerance kBfloat = {8e-2, 8e-3, 0};

std::string hex(uint64_t value) { return fmt::format("0x{:x}", value); }

class CaptureWriter {
 public:
  CaptureWriter(Recorder& recorder, Network& network, const CaptureParts& parts,
                const std::string& folder)
      : recorder_(recorder), network_(network), parts_(parts), folder_(folder) {}

  Result<RecordedSubmit> write() {
    TRY_ASSIGN(const uint64_t value, network_.start());
    Result<RecordedSubmit> submit = recorder_.in_flight();
    TRY(network_.wait(value));  // so that nothing is in flight when the network goes
    TRY(submit);
    root_ = {{"format", "gpu-capture"},
             {"version", 1},
             {"target", recorder_.target()},
             {"producer", parts_.producer}};
    TRY(add_regions(submit->regions));
    TRY(add_constants(submit->regions));
    add_kernels();
    Json step = step_of(*submit);
    root_["steps"].push_back(std::move(step));
    for (size_t i = 0; i < parts_.expected.size(); ++i) TRY(add_expected(i));
    // Names of a model may be no UTF-8, which JSON cannot say.
    const std::string text = root_.dump(1, ' ', true, Json::error_handler_t::replace);
    TRY(write_file(path_of("capture.json"), text + "\n"));
    return submit;
  }

 private:
  std::string path_of(const std::string& name) const { return (fs::path(folder_) / name).string(); }

  Result<void> write_bytes(const std::string& name, std::span<const std::byte> bytes) {
    return write_file(path_of(name), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  Result<void> add_region(const RecordedRegion& region) {
    Json item = {{"name", region.name},
                 {"va", hex(region.address)},
                 {"size", region.size_bytes},
                 {"access", region.access},
                 {"kind", region.kind},
                 {"file", nullptr},
                 {"fill", static_cast<int>(region.fill)}};
    if (!region.bytes.empty()) {
      const std::string file = region.name + ".bin";
      TRY(write_bytes(file, region.bytes));
      item["file"] = file;
    }
    root_["regions"].push_back(std::move(item));
    return {};
  }

  Result<void> add_regions(const std::vector<RecordedRegion>& regions) {
    for (const RecordedRegion& region : regions) TRY(add_region(region));
    return {};
  }

  /// The model's own constants, once each, behind all that the device has: no launch reads them.
  Result<void> add_constants(const std::vector<RecordedRegion>& regions) {
    RecordedRegion region = {"constants_for_ops", "data", "r", 0, 0, {}, {}};
    for (const RecordedRegion& other : regions) {
      region.address = std::max(region.address, other.address + other.size_bytes);
    }
    region.address = round_up(region.address + kConstantsGap, kConstantsGap);
    for (const CapturedOperation& operation : parts_.operations) {
      for (const auto& [name, id] : operation.constants) {
        if (constants_.contains(id)) continue;
        const std::vector<std::byte>& bytes = tensor_of(id).constant->bytes;
        constants_[id] = region.address + region.bytes.size();
        region.bytes.insert(region.bytes.end(), bytes.begin(), bytes.end());
        region.bytes.resize(round_up(region.bytes.size(), kConstantAlignment));
      }
    }
    region.size_bytes = round_up(region.bytes.size(), kPage);
    return region.bytes.empty() ? Result<void>() : add_region(region);
  }

  void add_kernels() {
    std::set<std::string> names;
    for (const Network::PlannedLaunch& launch : launches_) {
      const auto [known, is_first] =
          kernel_names_.try_emplace(launch.kernel, launch.kernel->name());
      if (!is_first) continue;
      const std::string name = known->second;
      for (int i = 2; !names.insert(known->second).second; ++i) {
        known->second = fmt::format("{}#{}", name, i);
      }
      const RecordedKernel facts = recorder_.facts_of(*launch.kernel);
      root_["kernels"].push_back({{"name", known->second},
                                  {"entry", hex(facts.entry)},
                                  {"descriptor", hex(facts.descriptor)},
                                  {"workgroup", facts.lanes}});
    }
  }

  Json step_of(const RecordedSubmit& submit) {
    Json step = {{"do", "submit"},
                 {"ring",
                  {{"va", hex(submit.ring)},
                   {"size_dw", submit.ring_dwords},
                   {"read_dw", submit.read_dwords},
                   {"write_dw", submit.written_dwords},
                   {"write_pointer_va", hex(submit.write_pointer)}}}};
    for (const RecordedFence& fence : submit.fences) {
      step["fences"].push_back(
          {{"va", hex(fence.address)}, {"bits", fence.bits}, {"value", hex(fence.value)}});
    }
    step["dispatches"] = Json::array();
    step["writes"] = Json::array();
    std::set<std::pair<uint64_t, uint64_t>> written;
    for (const Network::PlannedLaunch& launch : launches_) {
      const RecordedKernel facts = recorder_.facts_of(*launch.kernel);
      step["dispatches"].push_back({{"kernel", kernel_names_.at(launch.kernel)},
                                    {"groups", facts.groups},
                                    {"local", facts.lanes}});
      for (size_t i = 0; i < launch.arguments.size(); ++i) {
        const BufferRange& range = launch.arguments[i];
        if (!launch.kernel->arguments()[i].written) continue;
        written.insert({recorder_.address_of(range), range.size_bytes});
      }
    }
    for (const auto& [address, size_bytes] : written) {
      step["writes"].push_back({{"va", hex(address)}, {"size", size_bytes}});
    }
    for (const CapturedOperation& operation : parts_.operations) {
      step["ops"].push_back(json_of(operation));
    }
    return step;
  }

  const Tensor& tensor_of(TensorId id) const { return network_.schedule().graph.tensors[id]; }

  /// Where it lies in the device's memory.
  Json json_of(const std::string& name, TensorId id) {
    const Placement& placement = network_.schedule().placements[id];
    Json json = {{"name", name},
                 {"va", hex(recorder_.address_of(network_.range_of(id, 0)))},
                 {"dtype", std::string(name_of(placement.storage))},
                 {"shape", tensor_of(id).shape}};
    if (placement.strides != row_major_strides(tensor_of(id).shape)) {
      json["strides"] = placement.strides;
    }
    return json;
  }

  Json json_of(const CapturedOperation& operation) {
    Json json = {{"name", operation.name}, {"first", operation.first}, {"last", operation.last},
                 {"opset", parts_.opset},  {"inputs", Json::array()},  {"outputs", Json::array()},
                 {"nodes", Json::array()}};
    for (const auto& [name, id] : operation.inputs) json["inputs"].push_back(json_of(name, id));
    for (const auto& [name, id] : operation.constants) {
      const HostTensor& value = *tensor_of(id).constant;
      json["inputs"].push_back({{"name", name},
                                {"va", hex(constants_.at(id))},
                                {"dtype", std::string(name_of(value.dtype))},
                                {"shape", value.shape}});
    }
    for (const auto& [name, id] : operation.outputs) {
      Json output = json_of(name, id);
      const DType storage = network_.schedule().placements[id].storage;
      if (is_float(storage)) {
        // Inputs are as they lie there, so a result is rounded once, in bf16 too.
        const Tolerance& tolerance = has(DType::f16) || has(DType::bf16) ? kHalf : kSingle;
        output["atol"] = std::max(tolerance.least, tolerance.of_largest * operation.largest);
        output["rtol"] = tolerance.relative;
      }
      json["outputs"].push_back(std::move(output));
    }
    for (const OperationNode& node : operation.nodes) {
      Json attributes = Json::object();
      for (const auto& [name, value] : node.attributes) {
        std::visit([&](const auto& v) { attributes[name] = v; }, value);
      }
      json["nodes"].push_back({{"op", node.op},
                               {"attrs", std::move(attributes)},
                               {"inputs", node.inputs},
                               {"outputs", node.outputs}});
    }
    return json;
  }

  Result<void> add_expected(size_t index) {
    const HostTensor& value = parts_.expected[index];
    const TensorId id = network_.schedule().graph.outputs[index];
    const Placement& placement = network_.schedule().placements[id];
    const DType storage = placement.storage;
    const int64_t count = element_count(value.shape);
    if (count == 0) return {};
    std::vector<std::byte> bytes(static_cast<size_t>(count * size_bytes_of(storage)));
    to_storage(value, placement, bytes);
    const std::string file = fmt::format("expected_{}.bin", index);
    TRY(write_bytes(file, bytes));
    Json step = json_of(parts_.output_names[index], id);
    step["do"] = "expect";
    step["file"] = file;
    if (is_float(storage)) {
      const Tolerance& tolerance = has(DType::bf16) ? kBfloat : has(DType::f16) ? kHalf : kSingle;
      step["atol"] = tolerance.of_largest * largest_of(value) + 1e-30;
      step["rtol"] = tolerance.relative;
    }
    root_["steps"].push_back(std::move(step));
    return {};
  }

  /// Whether values are rounded to this type on their way.
  bool has(DType type) const {
    return std::ranges::any_of(network_.schedule().placements, [&](const Placement& p) {
      return p.space != Space::none && p.storage == type;
    });
  }

  Recorder& recorder_;
  Network& network_;
  const CaptureParts& parts_;
  const std::string& folder_;
  std::vector<Network::PlannedLaunch> launches_ = network_.launches();
  std::map<const Kernel*, std::string> kernel_names_;
  std::map<TensorId, uint64_t> constants_;  // addresses
  Json root_;
};

}  // namespace

double largest_of(const HostTensor& tensor) {
  double largest = 0;
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) {
    const double size = std::fabs(tensor.number(i));
    if (std::isfinite(size)) largest = std::max(largest, size);
  }
  return largest;
}

Result<void> make_capture_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && !fs::is_empty(folder, error) && !error) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Folder \"{}\" is not empty; a capture wants one of its own.", folder));
  }
  if (!error) return check_outputs(std::vector{(fs::path(folder) / "capture.json").string()});
  return Error(ErrorKind::io,
               fmt::format("Folder \"{}\" cannot be made or read ({}).", folder, error.message()));
}

Result<RecordedSubmit> write_capture(Recorder& recorder, Network& network,
                                     const CaptureParts& parts, const std::string& folder) {
  CHECK(&network.device() == &recorder.device());
  CHECK(parts.expected.size() == parts.output_names.size());
  return CaptureWriter(recorder, network, parts, folder).write();
}

}  // namespace leat
