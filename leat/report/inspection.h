// `leat inspect`: what a model file holds (leat/model/onnx_survey.h), and where it can be imported,
// what it computes and how much memory it is planned to take. As text and as JSON, whose members
// docs/compare.md names.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "leat/model/onnx_survey.h"

namespace leat {

/// Of a plan for the target that "leat dump --target" names so.
struct InspectedPlan {
  std::string target;
  double gflop = 0;
  int64_t kernels = 0;
  double weights_bytes = 0;
  double activations_bytes = 0;
  double lower_bound_bytes = 0;
};

struct Inspection {
  std::string path;
  ModelSurvey survey;
  double gflop = 0;                   // with 1 for open extents; 0 where it could not be imported
  std::optional<InspectedPlan> plan;  // nothing, where the model does not run or is too large
};

/// Errors: those of survey_onnx.
Result<Inspection> inspect_model(const std::string& path);

std::string text_of(const Inspection& inspection);
nlohmann::ordered_json json_of(const Inspection& inspection);

}  // namespace leat
