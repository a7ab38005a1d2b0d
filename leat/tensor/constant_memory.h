// What constants of a model have been made already. The same model made for other shapes of its
// inputs has mostly the same ones: they are found here instead of computed again, and since they
// are the very same objects, what is made of them (packed weights on a device) is found, too.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

using ConstantValue = std::shared_ptr<const HostTensor>;

/// Any thread. Holds, name by name, what the last graph with that name had.
class ConstantMemory {
 public:
  /// The constant that was kept under this name, if it has equal values; else `value`, which is
  /// kept from now on. Names are unique in a graph.
  ConstantValue shared(const std::string& name, HostTensor value);
  /// What `source`, which outlives the memory, was read as; null when it was not.
  ConstantValue read_of(const void* source) const;
  void keep_read(const void* source, ConstantValue value);
  /// The results of an equal node of this name with the very same inputs; none when there was none.
  std::vector<ConstantValue> results_of(const Node& node, std::span<const ConstantValue> inputs);
  void keep_results(const Node& node, std::vector<ConstantValue> inputs,
                    std::vector<ConstantValue> results);
  /// What was kept under this name as `value` in another dtype; null when nothing was.
  ConstantValue other_of(const std::string& name, const ConstantValue& value, DType dtype) const;
  void keep_other(const std::string& name, ConstantValue value, ConstantValue other);

 private:
  struct Folded {
    Node node;
    std::vector<ConstantValue> inputs;
    std::vector<ConstantValue> results;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, ConstantValue> by_name_;
  std::unordered_map<const void*, ConstantValue> by_source_;
  std::unordered_map<std::string, Folded> folded_;
  std::unordered_map<std::string, std::pair<ConstantValue, ConstantValue>> others_;
};

}  // namespace leat
