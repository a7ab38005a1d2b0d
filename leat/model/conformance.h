// The logic of `leat test-onnx`: finds the cases of the ONNX project's backend test suite, runs
// each through an executor that is handed in, and compares.
//
// Two layouts exist. A folder with model.onnx and test_data_set_*/{input,output}_*.pb is a case; so
// is light_X.onnx beside light_X_output_0.pb, whose input is not stored but made by a rule: element
// i of n is i / n. Source: onnx/backend/test/runner, generate_dummy_data.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/model/onnx_import.h"
#include "leat/tensor/graph.h"

namespace leat {

class Device;

/// Runs a model, or a part of one, on one value per input; results in the order of Graph::outputs.
using Executor = std::function<Result<std::vector<HostTensor>>(const Model& model,
                                                               std::span<const HostTensor> inputs)>;

struct ConformanceCase {
  struct DataSet {
    std::vector<std::string> inputs;  // paths by input number; all empty: made by the rule above
    std::vector<std::string> outputs;
  };
  std::string name;  // "node/test_relu"
  std::string model_path;
  std::vector<DataSet> data_sets;
};

enum class Outcome { passed, failed, skipped };
std::string_view name_of(Outcome outcome);

struct CaseResult {
  std::string name;
  Outcome outcome = Outcome::passed;
  std::string op;      // skipped: the operator that is missing; may be empty
  std::string reason;  // failed or skipped: one sentence
};

struct Summary {
  size_t passed = 0;
  size_t failed = 0;
  size_t skipped = 0;
  std::vector<CaseResult> cases;
};

/// All cases at or below the paths, by name.
/// Errors: io, when a path does not exist; invalid_argument, when there is no case at all.
Result<std::vector<ConformanceCase>> find_conformance_cases(std::span<const std::string> paths);

/// Skipped means that the import or the executor answers `unsupported`.
CaseResult run_conformance_case(const ConformanceCase& test, const Executor& executor);

/// Runs all of them in order. `progress` may be empty; it is called after each case.
Summary run_conformance(std::span<const ConformanceCase> cases, const Executor& executor,
                        const std::function<void(const CaseResult&)>& progress = {});

/// "N passed, N failed, N skipped".
std::string to_string(const Summary& summary);
/// Skipped cases by reason (the operator where it is known) with their number, most first.
std::vector<std::pair<std::string, size_t>> skip_reasons(const Summary& summary);

/// The reference evaluator as an executor.
Result<std::vector<HostTensor>> evaluate_model(const Model& model,
                                               std::span<const HostTensor> inputs);

/// An open device, which outlives it, as an executor; `cache_folder` may be empty. What it
/// would compute as another type is `unsupported`: f32 in the place of f64 proves nothing.
Executor device_executor(Device& device, std::string cache_folder);

/// Compares as the ONNX project's runner does: dtype and shape equal, |a - b| <= 1e-7 + 1e-3 |b|
/// for f32; f16 and bf16 results may differ by a few of their own roundings instead. The error's
/// message says where and by how much. `mixes`: each float sums all elements, so that it may also
/// differ by half a unit in the last place (of f32) of the largest.
Result<void> compare_tensors(const HostTensor& actual, const HostTensor& expected,
                             bool mixes = false);

}  // namespace leat
