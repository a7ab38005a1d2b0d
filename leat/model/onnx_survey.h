// A model file as far as it can be told, whether or not Leat runs it: what goes in and comes out,
// its operators and weights, and all that stands in its way, where an import names the first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/model/onnx_notes.h"
#include "leat/tensor/model.h"

namespace leat {

struct SurveyedValue {
  std::string name;
  std::string type;               // "f32", "sequence", or what the file says; "?" where it does not
  std::vector<std::string> dims;  // "1", "batch", "?"
  bool has_rank = false;
  bool has_default = false;
};

struct SurveyedOperator {
  std::string domain;  // "" is ONNX' own
  std::string name;
  int64_t count = 0;
  bool is_supported = false;
  bool is_function = false;  // of the file
};

struct SurveyedWeights {
  int64_t tensors = 0;
  double elements = 0;
  double bytes = 0;
  std::map<std::string, int64_t> types;  // how many tensors of each
  int64_t external_tensors = 0;
  std::map<std::string, bool> external_files;  // and whether they can be read
};

struct ModelSurvey {
  std::string name;
  size_t file_bytes = 0;
  int64_t ir_version = 0;
  std::string producer;  // with its version
  std::map<std::string, int64_t> opsets;
  std::vector<SurveyedValue> inputs;  // those with a default last
  std::vector<SurveyedValue> outputs;
  std::vector<SurveyedOperator> operators;  // the most frequent first
  int64_t nodes = 0;                        // with those of graphs within it
  int64_t function_nodes = 0;               // of the file's functions
  SurveyedWeights weights;
  std::vector<ModelProblem> problems;
  int64_t problem_count = 0;
  int64_t passed_over = 0;     // nodes behind a problem, or behind values that only a run tells
  std::optional<Model> model;  // where nothing stands in its way, with 1 for open extents
  bool is_in_parts = false;    // Model::rest: only a run tells all of it, and `model` is empty
};

/// Errors: io (no such file), invalid_argument (no model at all).
Result<ModelSurvey> survey_onnx(const std::string& path);

}  // namespace leat
