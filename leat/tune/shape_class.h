// What nodes have in common that are likely to want the same parameters, and how far two of them
// are apart.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/schedule/plan.h"

namespace leat {

struct ShapeClass {
  std::string type;              // of what is read: "f32"
  std::string kind;              // "product packed vector-k taps 9"
  std::vector<int64_t> numbers;  // m, n, k, batch of a product; outputs and length of loops
  bool operator==(const ShapeClass&) const = default;
};

ShapeClass shape_class_of(const Schedule& schedule, const Node& node);

/// "f32 product packed vector-k taps 9: 3136 64 576 1", and back.
std::string to_string(const ShapeClass& shape);
std::optional<ShapeClass> parse_shape_class(const std::string& text);

/// Sum of |log2| of the numbers' ratios, and one for another element type; nothing between kinds
/// that have nothing in common.
std::optional<double> distance_between(const ShapeClass& a, const ShapeClass& b);

}  // namespace leat
