// What an import notes of a model that does not run, instead of ending at the first mistake.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/model.h"

namespace leat::onnx {
class ModelProto;
class NodeProto;
}  // namespace leat::onnx

namespace leat {

struct ModelFrame;

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
  /// Unless it was noted.
  void pass_over(const onnx::NodeProto& node) { passed_over_ += !noted_.contains(&node); }

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

/// OnnxModel::specialised() that notes; nothing, when it noted anything. For survey_onnx.
std::optional<Model> import_noting(const std::shared_ptr<const onnx::ModelProto>& proto,
                                   const std::shared_ptr<const ModelFrame>& frame,
                                   const std::string& path, ImportNotes& notes);

}  // namespace leat
