// See constant_memory.h.
#include "leat/tensor/constant_memory.h"

#include <algorithm>
#include <utility>

namespace leat {

namespace {

/// Whether both compute the same of the same inputs; what their tensors are called is not asked.
bool computes_same(const Node& a, const Node& b) {
  const auto same_result = [](const NodeResult& x, const NodeResult& y) {
    return x.value == y.value && x.index == y.index;
  };
  return a.extents == b.extents && a.reduce == b.reduce && a.reduce_op == b.reduce_op &&
         a.element == b.element && a.exprs == b.exprs && a.program == b.program &&
         std::ranges::equal(a.results, b.results, same_result);
}

}  // namespace

ConstantValue ConstantMemory::shared(const std::string& name, HostTensor value) {
  const std::lock_guard lock(mutex_);
  ConstantValue& kept = by_name_[name];
  const bool is_same = kept && kept->dtype == value.dtype && kept->shape == value.shape &&
                       kept->bytes == value.bytes;
  if (!is_same) kept = std::make_shared<HostTensor>(std::move(value));
  return kept;
}

ConstantValue ConstantMemory::read_of(const void* source) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_source_.find(source);
  return found == by_source_.end() ? nullptr : found->second;
}

void ConstantMemory::keep_read(const void* source, ConstantValue value) {
  const std::lock_guard lock(mutex_);
  by_source_.insert_or_assign(source, std::move(value));
}

std::vector<ConstantValue> ConstantMemory::results_of(const Node& node,
                                                      std::span<const ConstantValue> inputs) {
  const std::lock_guard lock(mutex_);
  const auto found = folded_.find(node.name);
  if (found == folded_.end()) return {};
  const Folded& folded = found->second;
  if (!std::ranges::equal(folded.inputs, inputs) || !computes_same(folded.node, node)) return {};
  return folded.results;
}

void ConstantMemory::keep_results(const Node& node, std::vector<ConstantValue> inputs,
                                  std::vector<ConstantValue> results) {
  const std::lock_guard lock(mutex_);
  folded_.insert_or_assign(node.name, Folded{node, std::move(inputs), std::move(results)});
}

ConstantValue ConstantMemory::other_of(const std::string& name, const ConstantValue& value,
                                       DType dtype) const {
  const std::lock_guard lock(mutex_);
  const auto found = others_.find(name);
  if (found == others_.end()) return nullptr;
  const auto& [kept, other] = found->second;
  return kept == value && other->dtype == dtype ? other : nullptr;
}

void ConstantMemory::keep_other(const std::string& name, ConstantValue value, ConstantValue other) {
  const std::lock_guard lock(mutex_);
  others_.insert_or_assign(name, std::pair(std::move(value), std::move(other)));
}

}  // namespace leat
