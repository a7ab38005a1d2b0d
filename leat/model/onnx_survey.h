// A model file as far as it can be told, whether or not Leat runs it: what goes in and comes out,
// its operators and weights, and all that stands in its way, where an import names the first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "leat/base/result.h"
#include "leat/model/onnx_import.h"

namespace leat::onnx {
class NodeProto;
}  // namespace leat::onnx

namespace leat {

/// Sentences kept apart; what is beyond is only counted.
inline constexpr size_t kProblemsMax = 1000;

/// One reason why a model, or a part of it, does not run.
struct ModelProblem {
  ErrorKind kind = ErrorKind::unsupported;
  std::string sentence;
  std::string op;    // empty, where it is no node's
  std::string node;  // the first one
  int64_t count = 0;
};

/// What an import notes and passes over, instead of ending. A node that needs what is not known
/// because of it is passed over, too: of it only the operator was looked at.
class ImportNotes {
 public:
  /// `node` may be null. A node is noted once.
  void add(const Error& error, const onnx::NodeProto* node = nullptr);
  /// A value that the model has, of which nothing more is known.
  void add_unknown(const std::string& value) { unknown_.insert(value); }
  bool is_unknown(const std::string& value) const { return unknown_.contains(value); }
  bool has_unknown() const { return !unknown_.empty(); }
  void pass_over() { ++passed_over_; }

  const std::vector<ModelProblem>& problems() const { return problems_; }
  int64_t passed_over() const { return passed_over_; }
  int64_t count() const { return count_; }

 private:
  std::vector<ModelProblem> problems_;
  std::unordered_map<std::string, size_t> places_;
  std::unordered_set<const onnx::NodeProto*> noted_;
  std::unordered_set<std::string> unknown_;
  int64_t passed_over_ = 0;
  int64_t count_ = 0;
};

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
  int64_t passed_over = 0;     // nodes behind a problem
  std::optional<Model> model;  // where nothing stands in its way, with 1 for open extents
};

/// Errors: io (no such file), invalid_argument (no model at all).
Result<ModelSurvey> survey_onnx(const std::string& path);

/// OnnxModel::specialised() that notes; nothing, when it noted anything. For survey_onnx.
std::optional<Model> import_noting(const onnx::ModelProto& proto, const ModelFrame& frame,
                                   const std::string& path, ImportNotes& notes);

}  // namespace leat
