// What the names of a model stand for while it is imported, and where they hold.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

/// A tensor; or a sequence of them, or an optional that is empty: of these two all is known at
/// import, and nothing of them is left in the graph.
struct OnnxValue {
  enum class Kind : uint8_t { tensor, sequence, nothing };
  Kind kind = Kind::tensor;
  TensorId tensor = kNoTensor;  // kNoTensor: an input or output that is left out
  std::vector<TensorId> sequence = {};

  OnnxValue() = default;
  OnnxValue(TensorId id) : tensor(id) {}
  static OnnxValue sequence_of(std::vector<TensorId> tensors) {
    OnnxValue value;
    value.kind = Kind::sequence;
    value.sequence = std::move(tensors);
    return value;
  }
  static OnnxValue nothing() {
    OnnxValue value;
    value.kind = Kind::nothing;
    return value;
  }
  bool is_left_out() const { return kind == Kind::tensor && tensor == kNoTensor; }
};

/// The names of one graph. A graph that a node holds (the body of a loop) sees those of the graphs
/// around it, of which its own hide equal ones; a function sees its own alone.
class OnnxScope {
 public:
  explicit OnnxScope(const OnnxScope* outer = nullptr) : outer_(outer) {}

  /// False, where this scope has the name.
  bool define(const std::string& name, OnnxValue value) {
    return values_.emplace(name, std::move(value)).second;
  }
  bool has_own(const std::string& name) const { return values_.contains(name); }
  /// Null when there is none.
  const OnnxValue* find(const std::string& name) const {
    for (const OnnxScope* scope = this; scope != nullptr; scope = scope->outer_) {
      const auto found = scope->values_.find(name);
      if (found != scope->values_.end()) return &found->second;
    }
    return nullptr;
  }
  const std::unordered_map<std::string, OnnxValue>& values() const { return values_; }

 private:
  const OnnxScope* outer_;
  std::unordered_map<std::string, OnnxValue> values_;
};

}  // namespace leat
