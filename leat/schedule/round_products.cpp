// See round_products.h. Rounding and what only moves elements, or takes the largest, may change
// places, so a tensor is narrow if all its readers are products, or such whose results are narrow.
#include "leat/schedule/round_products.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "leat/base/half.h"
#include "leat/base/target_facts.h"
#include "leat/schedule/copy_node.h"
#include "leat/schedule/f32_products.h"
#include "leat/schedule/fuse.h"
#include "leat/schedule/layout.h"
#include "leat/schedule/quantize_products.h"
#include "leat/tensor/constant_memory.h"
#include "leat/tensor/contraction.h"

namespace leat {

namespace {

/// The numbers of a node's inputs that are multiplied.
struct FactorInputs {
  uint32_t a = 0, b = 0;
};

std::optional<DType> storage_of(Precision precision) {
  switch (precision) {
    case Precision::bf16: return DType::bf16;
    case Precision::f16: return DType::f16;
    case Precision::f32:
    case Precision::tf32:
    case Precision::i8: return std::nullopt;
  }
  return std::nullopt;
}

/// Null where a finite number would become infinite.
ConstantValue rounded_to(const HostTensor& value, DType dtype) {
  HostTensor rounded = HostTensor::zeros(dtype, value.shape);
  const size_t count = value.bytes.size() / sizeof(float);
  for (size_t i = 0; i < count; ++i) {
    float number = 0;
    std::memcpy(&number, value.bytes.data() + i * sizeof number, sizeof number);
    const uint16_t bits =
        dtype == DType::f16 ? half_from_float(number) : bfloat16_from_float(number);
    const float kept = dtype == DType::f16 ? float_from_half(bits) : float_from_bfloat16(bits);
    if (std::isinf(kept) && !std::isinf(number)) return nullptr;
    std::memcpy(rounded.bytes.data() + i * sizeof bits, &bits, sizeof bits);
  }
  return std::make_shared<const HostTensor>(std::move(rounded));
}

/// The value of a load where it is masked is the same after rounding.
bool is_plain_load(const ExprNode& expr) {
  return expr.kind == ExprKind::load && (expr.number == 0 || std::isinf(expr.number));
}

/// Whether the node's one result may as well be rounded before it: elements are only moved, or the
/// largest or smallest are taken.
bool may_round_before(const Node& node) {
  if (node.program || node.results.size() != 1 || node.inputs.size() != 1) return false;
  const ExprNode& value = node.exprs.node(node.results[0].value);
  if (is_map(node)) return is_plain_load(value);
  const bool is_extreme = node.reduce_op == ReduceOp::max || node.reduce_op == ReduceOp::min ||
                          node.reduce_op == ReduceOp::max_number;
  return is_extreme && value.kind == ExprKind::accumulator &&
         is_plain_load(node.exprs.node(node.element));
}

class Rounding {
 public:
  Rounding(Graph& graph, const Target& target, DType narrow)
      : graph_(graph),
        target_(target),
        narrow_(narrow),
        uses_(graph.tensors.size()),
        products_(graph.nodes.size()) {
    for (const TensorId input : graph.inputs) uses_[input].stays = true;
    for (const TensorId output : graph.outputs) uses_[output].stays = true;
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      const Node& node = graph.nodes[n];
      const bool is_known = !node.program || node.program->op == ProgramOp::softmax;
      for (const NodeResult& result : node.results) {
        uses_[result.output].maker = n;
        if (!is_known) uses_[result.output].stays = true;
      }
    }
  }

  ProductCounts run() {
    ProductCounts counts;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const auto product = find_f32_product(graph_, graph_.nodes[n]);
      if (!product) continue;
      ++counts.all;
      if (!is_rounded(graph_.nodes[n], *product)) continue;
      ++counts.rounded;
      products_[n] = FactorInputs{product->a.input, product->b.input};
    }
    while (ask_readers()) {
    }
    for (TensorId id = 0; id < uses_.size(); ++id) {
      if (is_narrow(id)) graph_.tensors[id].dtype = narrow_;
    }
    round_factors();
    return counts;
  }

 private:
  struct Uses {
    std::optional<size_t> maker;  // the last node that writes it
    bool is_factor = false;       // of a product, or of what may round before
    bool stays = false;           // f32: somebody else reads it
  };

  DType dtype_of(TensorId id) const { return graph_.tensors[id].dtype; }

  bool is_rounded(const Node& node, const Contraction& product) {
    const bool fits = target_.uniform_loads_broadcast ? is_dot_product(graph_, node, product)
                                                      : has_plain_factors(node, product);
    return fits && is_roundable(node.inputs[product.a.input]) &&
           is_roundable(node.inputs[product.b.input]);
  }

  bool is_roundable(TensorId id) {
    if (graph_.tensors[id].constant) return rounded_constant(id) != kNoTensor;
    return !is_of_few_bits(id);
  }

  /// Whether it is made of numbers of fewer bits, as dequantised ones are, and perhaps moved.
  bool is_of_few_bits(TensorId id) const {
    while (uses_[id].maker) {
      const Node& maker = graph_.nodes[*uses_[id].maker];
      if (moves_only(maker)) {
        id = maker.inputs[maker.exprs.node(maker.results[0].value).index];
        continue;
      }
      return is_map(maker) && std::ranges::any_of(maker.inputs, [&](TensorId input) {
               const Tensor& tensor = graph_.tensors[input];
               return size_bytes_of(tensor.dtype) == 1 && tensor.dtype != DType::boolean &&
                      element_count(tensor.shape) == element_count(maker.extents);
             });
    }
    return false;
  }

  bool is_narrow(TensorId id) const {
    const Uses& uses = uses_[id];
    return uses.is_factor && !uses.stays && uses.maker && dtype_of(id) == DType::f32;
  }

  /// What each tensor's readers make of it, last ones first; whether that changed anything.
  bool ask_readers() {
    bool changed = false;
    const auto set = [&](bool& flag) { changed |= !std::exchange(flag, true); };
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      const bool is_passed = may_round_before(node) && is_narrow(node.results[0].output);
      for (uint32_t i = 0; i < node.inputs.size(); ++i) {
        const auto& product = products_[n];
        const bool is_factor = is_passed || (product && (i == product->a || i == product->b));
        set(is_factor ? uses_[node.inputs[i]].is_factor : uses_[node.inputs[i]].stays);
      }
    }
    return changed;
  }

  void round_factors() {
    std::vector<Node> nodes;
    std::map<TensorId, TensorId> copies;
    for (size_t n = 0; n < products_.size(); ++n) {
      Node& node = graph_.nodes[n];
      for (uint32_t i = 0; products_[n] && i < node.inputs.size(); ++i) {
        TensorId& id = node.inputs[i];
        const bool is_factor = i == products_[n]->a || i == products_[n]->b;
        if (!is_factor || dtype_of(id) == narrow_) continue;
        if (graph_.tensors[id].constant) {
          id = rounded_constant(id);
          continue;
        }
        const auto [copy, is_first] = copies.try_emplace(id, kNoTensor);
        if (is_first) {
          nodes.push_back(copy_node(graph_, id, narrow_));
          copy->second = nodes.back().results[0].output;
        }
        id = copy->second;
      }
      nodes.push_back(std::move(node));
    }
    graph_.nodes = std::move(nodes);
  }

  /// A model made for other shapes finds the same object.
  TensorId rounded_constant(TensorId id) {
    const auto known = constants_.find(id);
    if (known != constants_.end()) return known->second;
    const ConstantValue value = graph_.tensors[id].constant;
    const std::string name = "rounded_" + graph_.tensors[id].name;
    ConstantValue rounded = graph_.memory ? graph_.memory->other_of(name, value, narrow_) : nullptr;
    if (!rounded) {
      rounded = rounded_to(*value, narrow_);
      if (rounded && graph_.memory) graph_.memory->keep_other(name, value, rounded);
    }
    const TensorId made = rounded ? graph_.add_constant(name, std::move(rounded)) : kNoTensor;
    constants_.emplace(id, made);
    return made;
  }

  Graph& graph_;
  const Target& target_;
  DType narrow_;
  std::vector<Uses> uses_;                             // of the tensors that there were
  std::vector<std::optional<FactorInputs>> products_;  // by node; nothing: it stays
  std::map<TensorId, TensorId> constants_;             // kNoTensor: not to be rounded
};

bool has_products_of(const Target& target, DType dtype) {
  if (storage_on(target, dtype) != dtype) return false;
  return !target.uniform_loads_broadcast || dtype == DType::bf16;
}

uint32_t count_products(const Graph& graph) {
  return static_cast<uint32_t>(std::ranges::count_if(
      graph.nodes, [&](const Node& node) { return find_f32_product(graph, node).has_value(); }));
}

}  // namespace

Result<ProductCounts> round_products(Graph& graph, const Target& target, Precision precision) {
  const bool has_bytes = facts_of(target).has_dot_us && target.uniform_loads_broadcast;
  if (precision == Precision::i8 && has_bytes) return quantize_products(graph, target);
  const std::optional<DType> narrow = storage_of(precision);
  if (!narrow || !has_products_of(target, *narrow)) {
    return ProductCounts{.all = count_products(graph)};
  }
  return Rounding(graph, target, *narrow).run();
}

}  // namespace leat
