// See shape_class.h.
#include "leat/tune/shape_class.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "leat/schedule/candidates.h"

namespace leat {

namespace {

constexpr double kOtherType = 1;

std::string type_of(const Schedule& schedule, TensorId id) {
  return std::string(name_of(schedule.placements[id].storage));
}

}  // namespace

ShapeClass shape_class_of(const Schedule& schedule, const Node& node) {
  if (node.program) {
    const TensorId first = node.inputs.empty() ? node.results[0].output : node.inputs[0];
    return {type_of(schedule, first),
            fmt::format("program {}", facts_of(node.program->op).name),
            {element_count(node.extents)}};
  }
  if (const auto product = find_contraction(schedule.graph, node)) {
    const int64_t k_inner = product->k.empty() ? 1 : product->k.back();
    const bool is_packed = schedule.placements[node.inputs[product->b.input]].packed;
    return {takes_tf32(schedule, node, *product) ? std::string(name_of(Precision::tf32))
                                                 : type_of(schedule, node.inputs[product->a.input]),
            fmt::format("product{}{}{} taps {}", is_packed ? " packed" : "",
                        !is_packed && element_count(product->m) == 1 ? " of one row" : "",
                        k_inner % 4 == 0 ? " vector-k" : "", element_count(product->k) / k_inner),
            {element_count(product->m), element_count(product->n), element_count(product->k),
             element_count(product->batch)}};
  }
  return {type_of(schedule, node.results[0].output),
          is_map(node) ? "map" : "reduction",
          {element_count(node.extents), element_count(node.reduce)}};
}

std::string to_string(const ShapeClass& shape) {
  return fmt::format("{} {}: {}", shape.type, shape.kind, fmt::join(shape.numbers, " "));
}

std::optional<ShapeClass> parse_shape_class(const std::string& text) {
  const size_t space = text.find(' '), colon = text.find(": ");
  if (colon == text.npos || space > colon) return std::nullopt;
  ShapeClass shape = {text.substr(0, space), text.substr(space + 1, colon - space - 1), {}};
  std::istringstream numbers(text.substr(colon + 2));
  for (int64_t number = 0; numbers >> number;) shape.numbers.push_back(number);
  return numbers.eof() ? std::optional(shape) : std::nullopt;
}

std::optional<double> distance_between(const ShapeClass& a, const ShapeClass& b) {
  if (a.kind != b.kind || a.numbers.size() != b.numbers.size()) return std::nullopt;
  double distance = a.type == b.type ? 0 : kOtherType;
  for (size_t i = 0; i < a.numbers.size(); ++i) {
    const double x = static_cast<double>(std::max<int64_t>(a.numbers[i], 1));
    const double y = static_cast<double>(std::max<int64_t>(b.numbers[i], 1));
    distance += std::abs(std::log2(x / y));
  }
  return distance;
}

}  // namespace leat
