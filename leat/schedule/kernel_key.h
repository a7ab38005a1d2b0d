// The identity of a kernel: all that decides its code but parameters and target, without a name in
// it. Nodes with equal keys are one kernel: chosen, lowered, compiled and loaded once.
//
// It falls into a structure and the numbers in it, which are all that other shapes of a model's
// inputs usually change; lowering reads them here, plain or open (number.h).
#pragma once

#include <functional>
#include <string>

#include "leat/schedule/number.h"
#include "leat/schedule/plan.h"

namespace leat {

/// Bytes, not for people. The placements of the node's tensors must have their strides.
std::string kernel_key(const Schedule& schedule, const Node& node);

struct TensorNumbers {
  Numbers shape;
  Numbers strides;
  Number element_count;
};

struct NodeNumbers {
  Numbers extents;
  Numbers reduce;
  Numbers constants;  // by expression: a whole number, or the bits of an f32; 0 for others
  std::vector<TensorNumbers> inputs;
  std::vector<TensorNumbers> outputs;                 // of each result
  std::vector<std::vector<NumberForm>> result_index;  // of each result
};

/// Of a product of matrices: what find_contraction gives, without what is no number.
struct ContractionNumbers {
  Numbers batch, m, n, k;
  std::vector<NumberForm> a_index, b_index, out_index;
};

/// Told each number in order, and whether no shape makes it negative.
using TakeNumber = std::function<Number(int64_t value, bool natural)>;
inline Number plain_number(int64_t value, bool) { return value; }
NodeNumbers numbers_of(const Schedule& schedule, const Node& node, const TakeNumber& take);
ContractionNumbers numbers_of(const Contraction& contraction, const TakeNumber& take);

/// What decides the code of a step, whose node may be lowered as a product: two steps of equal
/// structure and numbers are the same kernel.
struct StepKey {
  std::string structure;
  std::vector<int64_t> numbers;
};
StepKey step_key(const Schedule& schedule, const Step& step);

}  // namespace leat
