// Finding, running and judging the cases of the ONNX test suite; see conformance.h.
#include "leat/model/conformance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_ops.h"
#include "leat/run/capture.h"
#include "leat/run/network.h"

namespace leat {
namespace {

namespace fs = std::filesystem;

/// Files of a case that are looked for: input_0 ... input_63.
constexpr int kValuesMax = 64;

// --- Finding -------------------------------------------------------------------------------------

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(at->path());
  }
  std::ranges::sort(entries);
  return entries;
}

bool path_exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// In a foreign folder a pipe or device may have the name, and reading it would never end.
bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::vector<std::string> numbered_files(const fs::path& prefix) {
  std::vector<std::string> files;
  for (int i = 0; i < kValuesMax; ++i) {
    const std::string path = fmt::format("{}{}.pb", prefix.string(), i);
    if (!is_file(path)) break;
    files.push_back(path);
  }
  return files;
}

/// "node/test_relu" from the last two parts of the path.
std::string case_name(const fs::path& path) {
  const std::string parent = path.parent_path().filename().string();
  return (parent.empty() ? "" : parent + "/") + path.filename().string();
}

ConformanceCase folder_case(const fs::path& folder) {
  ConformanceCase found = {.name = case_name(folder),
                           .model_path = (folder / "model.onnx").string()};
  for (const fs::path& entry : sorted_entries(folder)) {
    if (!entry.filename().string().starts_with("test_data_set_")) continue;
    found.data_sets.push_back(
        {numbered_files(entry / "input_"), numbered_files(entry / "output_")});
  }
  return found;
}

/// X.onnx with X_output_0.pb beside it.
std::optional<ConformanceCase> light_case(const fs::path& file) {
  if (file.extension() != ".onnx") return std::nullopt;
  fs::path stem = file;
  stem.replace_extension();
  ConformanceCase::DataSet set = {{}, numbered_files(stem.string() + "_output_")};
  if (set.outputs.empty()) return std::nullopt;
  return ConformanceCase{
      .name = case_name(stem), .model_path = file.string(), .data_sets = {std::move(set)}};
}

void find_below(const fs::path& path, std::vector<ConformanceCase>& cases) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (path.filename() == "model.onnx") {
      cases.push_back(folder_case(path.parent_path()));
    } else if (auto found = light_case(path)) {
      cases.push_back(std::move(*found));
    }
    return;
  }
  if (is_file(path / "model.onnx")) {
    cases.push_back(folder_case(path));
    return;
  }
  for (const fs::path& entry : sorted_entries(path)) {
    if (fs::is_symlink(entry, error)) continue;  // no loops
    const bool is_model = entry.extension() == ".onnx" && is_file(entry);
    if (fs::is_directory(entry, error) || is_model) find_below(entry, cases);
  }
}

// --- Running -------------------------------------------------------------------------------------

/// Element i of n is i / n. Source: onnx/backend/test/runner, generate_dummy_data.
HostTensor made_input(const ModelValue& input) {
  HostTensor tensor = HostTensor::zeros(input.dtype, input.shape);
  const int64_t count = element_count(input.shape);
  for (int64_t i = 0; i < count; ++i) {
    tensor.set_number(i, static_cast<double>(i) / static_cast<double>(count));
  }
  return tensor;
}

Result<std::vector<HostTensor>> read_tensors(const std::vector<std::string>& paths) {
  std::vector<HostTensor> tensors;
  for (const std::string& path : paths) {
    TRY_ASSIGN(HostTensor tensor, read_tensor_file(path));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Result<void> compare_all(const Model& model, std::span<const HostTensor> actual,
                         std::span<const HostTensor> expected, bool mixes) {
  if (actual.size() < expected.size()) {
    return Error(ErrorKind::internal, fmt::format("There are {} outputs instead of {}.",
                                                  actual.size(), expected.size()));
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    if (auto compared = compare_tensors(actual[i], expected[i], mixes); !compared) {
      return compared.error().during(fmt::format("comparing output \"{}\"", model.outputs[i].name));
    }
  }
  return {};
}

/// Whether a node of the model is of an operator with that property.
bool any_node(const OnnxModel& file, bool onnx_ops::OnnxOperator::*property) {
  return std::ranges::any_of(file.proto().graph().node(), [&](const onnx::NodeProto& node) {
    const auto* row = onnx_ops::find_operator(node.domain(), node.op_type());
    return row != nullptr && row->*property;
  });
}

/// Dropout that draws is a node of its name; where it does not, it is a copy.
bool draws_numbers(const OnnxModel& file, const Model& model) {
  return any_node(file, &onnx_ops::OnnxOperator::draws) ||
         std::ranges::count(model.graph.nodes, "Dropout", &Node::op) > 0;
}

/// Of a model that draws random numbers only type and shape can be told to be wrong.
Result<void> judge_random(const std::vector<HostTensor>& actual,
                          const std::vector<HostTensor>& expected, Error difference) {
  if (actual.size() != expected.size()) return difference;
  for (size_t i = 0; i < actual.size(); ++i) {
    const bool fits = actual[i].dtype == expected[i].dtype && actual[i].shape == expected[i].shape;
    if (!fits) return difference;
  }
  return Error(ErrorKind::unsupported,
               "The case holds the random numbers of another generator; ONNX names none.");
}

/// Runs one case, each data set with a model imported for its shapes.
class CaseRunner {
 public:
  CaseRunner(const ConformanceCase& test, const Executor& executor)
      : test_(test), executor_(executor) {}

  Result<void> run() {
    if (test_.data_sets.empty()) {
      return Error(ErrorKind::invalid_argument, "The case has no data sets.");
    }
    TRY_ASSIGN(const OnnxModel file, OnnxModel::read(test_.model_path, &failure_));
    for (const ConformanceCase::DataSet& set : test_.data_sets) {
      if (set.outputs.empty()) {
        return Error(ErrorKind::invalid_argument, "The case has no expected outputs.");
      }
      TRY(run(file, set));
    }
    return {};
  }

  const ImportFailure& failure() const { return failure_; }

 private:
  Result<void> run(const OnnxModel& file, const ConformanceCase::DataSet& set) {
    ImportOptions options;
    Result<std::vector<HostTensor>> given = read_tensors(set.inputs);
    if (given) {
      for (size_t i = 0; i < std::min(file.inputs().size(), given->size()); ++i) {
        options.input_shapes[file.inputs()[i].name] = (*given)[i].shape;
        options.input_values[file.inputs()[i].name] = std::move((*given)[i]);
      }
    }
    options.in_parts = true;
    TRY_ASSIGN(Model model, file.specialised(options, &failure_));
    if (!given) return given.error();  // after the import: a missing operator matters more
    TRY_ASSIGN(const std::vector<HostTensor> expected, read_tensors(set.outputs));
    std::vector<HostTensor> inputs;
    for (const ModelValue& input : model.inputs) {
      const auto value = options.input_values.find(input.name);
      inputs.push_back(value == options.input_values.end() ? made_input(input) : value->second);
    }
    TRY_ASSIGN(std::vector<HostTensor> outputs, executor_(model, inputs));
    while (model.rest) {
      TRY_ASSIGN(NextPart next, model.rest(std::move(inputs), std::move(outputs)));
      TRY_ASSIGN(model, next.make());
      inputs = std::move(next.inputs);
      TRY_ASSIGN(outputs, executor_(model, inputs));
    }
    const bool mixes = any_node(file, &onnx_ops::OnnxOperator::mixes);
    const Result<void> compared = compare_all(model, outputs, expected, mixes);
    if (compared || !draws_numbers(file, model)) return compared;
    return judge_random(outputs, expected, compared.error());
  }

  const ConformanceCase& test_;
  const Executor& executor_;
  ImportFailure failure_;
};

// --- Comparing -----------------------------------------------------------------------------------

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

/// f32: what the ONNX project's runner uses. A 16-bit float is right if it is the rounding of a
/// value that is right within that, or its neighbour: half a spacing for rounding the exact value,
/// and up to one more where the expected file was computed in 16 bits throughout. The spacing is
/// 2^-10 (f16) and 2^-7 (bf16) of the value at most; below f16's normal range it is 2^-24.
Tolerance tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::f64: return {1e-3, 1e-7};
    case DType::f16: return {2 * 0x1p-10, 2 * 0x1p-24};
    case DType::bf16: return {2 * 0x1p-7, 1e-7};
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::u64:
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: return {};
  }
  return {};
}

bool is_close(double actual, double expected, const Tolerance& tolerance) {
  if (std::isnan(actual) || std::isnan(expected)) return std::isnan(actual) && std::isnan(expected);
  if (std::isinf(actual) || std::isinf(expected)) return actual == expected;
  return std::fabs(actual - expected) <=
         tolerance.absolute + tolerance.relative * std::fabs(expected);
}

Result<std::vector<HostTensor>> run_on(Device& device, const NetworkOptions& options,
                                       const Model& model, std::span<const HostTensor> inputs) {
  TRY_ASSIGN(const std::unique_ptr<Network> network, Network::load(device, model.graph, options));
  for (size_t i = 0; i < inputs.size(); ++i) TRY(network->set_input(i, inputs[i]));
  TRY(network->run());
  std::vector<HostTensor> outputs;
  for (size_t i = 0; i < model.graph.outputs.size(); ++i) {
    TRY_ASSIGN(HostTensor value, network->output(i));
    outputs.push_back(std::move(value));
  }
  return outputs;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::passed: return "passed";
    case Outcome::failed: return "failed";
    case Outcome::skipped: return "skipped";
  }
  return "";
}

Executor device_executor(Device& device, std::string cache_folder) {
  NetworkOptions options;
  options.schedule.strict = true;
  options.cache_folder = std::move(cache_folder);
  return [&device, options](const Model& model, std::span<const HostTensor> inputs) {
    return run_on(device, options, model, inputs);
  };
}

Result<std::vector<ConformanceCase>> find_conformance_cases(std::span<const std::string> paths) {
  std::vector<ConformanceCase> cases;
  for (const std::string& path : paths) {
    if (!path_exists(path)) {
      return Error(ErrorKind::io, fmt::format("Path \"{}\" does not exist.", path));
    }
    std::error_code error;
    const fs::path whole = fs::absolute(path, error).lexically_normal();
    find_below(whole.has_filename() ? whole : whole.parent_path(), cases);
  }
  if (cases.empty()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("There is no test case (a folder with model.onnx) below \"{}\".",
                             paths.empty() ? "" : paths.front()));
  }
  return cases;
}

CaseResult run_conformance_case(const ConformanceCase& test, const Executor& executor) {
  CaseRunner runner(test, executor);
  const Result<void> outcome = runner.run();
  CaseResult result = {.name = test.name};
  if (outcome) return result;
  const bool skipped = outcome.error().kind() == ErrorKind::unsupported;
  result.outcome = skipped ? Outcome::skipped : Outcome::failed;
  if (skipped) result.op = runner.failure().op;
  result.reason = outcome.error().message();
  return result;
}

Summary run_conformance(std::span<const ConformanceCase> cases, const Executor& executor,
                        const std::function<void(const CaseResult&)>& progress) {
  Summary summary;
  for (const ConformanceCase& test : cases) {
    summary.cases.push_back(run_conformance_case(test, executor));
    switch (summary.cases.back().outcome) {
      case Outcome::passed: ++summary.passed; break;
      case Outcome::failed: ++summary.failed; break;
      case Outcome::skipped: ++summary.skipped; break;
    }
    if (progress) progress(summary.cases.back());
  }
  return summary;
}

std::string to_string(const Summary& summary) {
  return fmt::format("{} passed, {} failed, {} skipped", summary.passed, summary.failed,
                     summary.skipped);
}

std::vector<std::pair<std::string, size_t>> skip_reasons(const Summary& summary) {
  std::map<std::string, size_t> counts;
  for (const CaseResult& result : summary.cases) {
    if (result.outcome != Outcome::skipped) continue;
    const std::string sentence = result.reason.substr(0, result.reason.find(" (while "));
    ++counts[sentence];
  }
  std::vector<std::pair<std::string, size_t>> reasons(counts.begin(), counts.end());
  std::ranges::stable_sort(reasons, std::greater<>(),
                           [](const auto& entry) { return entry.second; });
  return reasons;
}

Result<std::vector<HostTensor>> evaluate_model(const Model& model,
                                               std::span<const HostTensor> inputs) {
  return evaluate(model.graph, inputs);
}

Result<void> compare_tensors(const HostTensor& actual, const HostTensor& expected, bool mixes) {
  const auto mismatch = [](std::string sentence) {
    return Error(ErrorKind::internal, std::move(sentence));
  };
  if (actual.dtype != expected.dtype) {
    return mismatch(fmt::format("Element type ({}) is not the expected one ({}).",
                                name_of(actual.dtype), name_of(expected.dtype)));
  }
  if (actual.shape != expected.shape) {
    return mismatch(fmt::format("Shape {} is not the expected one {}.", to_string(actual.shape),
                                to_string(expected.shape)));
  }
  Tolerance tolerance = tolerance_of(expected.dtype);
  if (mixes && is_float(expected.dtype)) {
    tolerance.absolute = std::max(tolerance.absolute, 0x1p-24 * largest_of(expected));
  }
  int64_t wrong = 0;
  std::string first;
  for (int64_t i = 0; i < element_count(expected.shape); ++i) {
    const bool is_number = is_float(expected.dtype) || is_small_float(expected.dtype);
    const bool close = is_number ? is_close(actual.number(i), expected.number(i), tolerance)
                                 : actual.integer(i) == expected.integer(i);
    if (close) continue;
    if (wrong++ == 0) {
      first =
          fmt::format("element {} is {} instead of {}", i, actual.number(i), expected.number(i));
    }
  }
  if (wrong == 0) return {};
  return mismatch(
      fmt::format("{} of {} elements differ; {}.", wrong, element_count(expected.shape), first));
}

}  // namespace leat
