// See f32_products.h.
#include "leat/schedule/f32_products.h"

#include <algorithm>

namespace leat {

namespace {

/// Products of fewer terms are as fast in f32: what they cost is their results.
constexpr int64_t kTermsMin = 8;

}  // namespace

std::optional<Contraction> find_f32_product(const Graph& graph, const Node& node) {
  auto found = find_contraction(graph, node);
  if (!found || found->type != ScalarType::f32) return std::nullopt;
  for (const ContractionOperand* operand : {&found->a, &found->b}) {
    if (graph.tensors[node.inputs[operand->input]].dtype != DType::f32) return std::nullopt;
  }
  return found;
}

bool has_plain_factors(const Node& node, const Contraction& product) {
  const ContractionOperand &a = product.a, &b = product.b;
  const size_t loads = a.input == b.input ? 2 : 1;
  return a.is_plain() && b.is_plain() && element_count(product.k) >= kTermsMin &&
         load_count(node, a.input) == loads && load_count(node, b.input) == loads;
}

bool is_dot_product(const Graph& graph, const Node& node, const Contraction& product) {
  const ContractionOperand &a = product.a, &b = product.b;
  if (!has_plain_factors(node, product) || a.input == b.input) return false;
  if (!graph.tensors[node.inputs[b.input]].constant || std::ranges::count(b.bounded, true) > 0) {
    return false;
  }
  const size_t last = product.axes.size() - 1;  // its k are together inside or outside
  for (size_t d = 0; d < a.index.size(); ++d) {
    if (a.bounded[d] && a.index[d].coefficients[last] != 0) return false;
  }
  return product.k.back() > 1;
}

}  // namespace leat
