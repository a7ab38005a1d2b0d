// Small tensors of tests, to and from lists of numbers.
#pragma once

#include <utility>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

inline HostTensor floats(Shape shape, const std::vector<double>& values) {
  HostTensor made = HostTensor::zeros(DType::f32, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) made.set_number(static_cast<int64_t>(i), values[i]);
  return made;
}

inline HostTensor floats(const std::vector<double>& values) {
  return floats({static_cast<int64_t>(values.size())}, values);
}

inline std::vector<double> numbers(const HostTensor& tensor) {
  std::vector<double> values;
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) values.push_back(tensor.number(i));
  return values;
}

}  // namespace leat
