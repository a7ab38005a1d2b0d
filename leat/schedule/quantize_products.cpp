// See quantize_products.h.
#include "leat/schedule/quantize_products.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "leat/base/target_facts.h"
#include "leat/schedule/f32_products.h"
#include "leat/tensor/constant_memory.h"
#include "leat/tensor/ops_quantize.h"

namespace leat {

namespace {

/// k that a dot product takes; others would be put together byte by byte (whole_sums.cpp).
constexpr int64_t kGroup = 4;
constexpr double kWeightMost = 127, kActivationMost = 255;

/// Weights as i8, and for each column what stands for 1: by the dimensions that no k moves, which
/// the scales keep.
struct QuantizedWeights {
  HostTensor values;
  HostTensor scales;
};

QuantizedWeights quantized(const HostTensor& weights, const std::vector<bool>& is_kept) {
  Shape kept;
  for (size_t d = 0; d < is_kept.size(); ++d) {
    if (is_kept[d]) kept.push_back(weights.shape[d]);
  }
  QuantizedWeights result = {HostTensor::zeros(DType::i8, weights.shape),
                             HostTensor::zeros(DType::f32, kept)};
  const std::vector<int64_t> strides = row_major_strides(weights.shape);
  const auto column_of = [&](int64_t i) {
    int64_t column = 0;
    for (size_t d = 0; d < is_kept.size(); ++d) {
      if (is_kept[d]) column = column * weights.shape[d] + i / strides[d] % weights.shape[d];
    }
    return column;
  };
  std::vector<double> largest(static_cast<size_t>(element_count(kept)), 0);
  for (int64_t i = 0; i < element_count(weights.shape); ++i) {
    double& most = largest[static_cast<size_t>(column_of(i))];
    most = std::max(most, std::abs(weights.number(i)));
  }
  for (size_t column = 0; column < largest.size(); ++column) {
    result.scales.set_number(static_cast<int64_t>(column), largest[column] / kWeightMost);
  }
  for (int64_t i = 0; i < element_count(weights.shape); ++i) {
    const double scale = result.scales.number(column_of(i));
    const double number = scale > 0 ? std::nearbyint(weights.number(i) / scale) : 0;
    result.values.set_integer(i,
                              static_cast<int64_t>(std::clamp(number, -kWeightMost, kWeightMost)));
  }
  return result;
}

bool is_finite(const HostTensor& tensor) {
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) {
    if (!std::isfinite(tensor.number(i))) return false;
  }
  return true;
}

class Quantizing {
 public:
  Quantizing(Graph& graph, const Target& target) : graph_(graph), target_(target) {}

  Result<ProductCounts> run() {
    ProductCounts counts;
    for (Node& node : std::exchange(graph_.nodes, {})) {
      const auto product = find_f32_product(graph_, node);
      if (product) ++counts.all;
      if (product && is_quantized(node, *product)) {
        ++counts.rounded;
        TRY(quantize(node, *product));
      }
      graph_.nodes.push_back(std::move(node));
    }
    return counts;
  }

 private:
  bool is_quantized(const Node& node, const Contraction& product) const {
    const double reach =
        static_cast<double>(element_count(product.k)) * kActivationMost * kWeightMost;
    return is_dot_product(graph_, node, product) && product.k.back() % kGroup == 0 &&
           reach <= std::numeric_limits<int32_t>::max() &&
           node.inputs.size() + 4 <= target_.buffer_bindings_max &&
           element_count(node.extents) > 0 &&
           is_finite(*graph_.tensors[node.inputs[product.b.input]].constant);
  }

  /// The node, of whole numbers that are made before it.
  Result<void> quantize(Node& node, const Contraction& product) {
    TRY_ASSIGN(const ops::Quantized x, activations(node.inputs[product.a.input]));
    const ExprNode b_load = node.exprs.node(product.b.load);
    std::vector<bool> is_kept;
    for (const Affine& index : product.b.index) {
      const auto of_k = std::span(index.coefficients).last(product.k.size());
      is_kept.push_back(std::ranges::all_of(of_k, [](int64_t c) { return c == 0; }));
    }
    const auto [weights, scales] = weights_of(node.inputs[product.b.input], is_kept);
    node.inputs[product.a.input] = x.values;
    node.inputs[product.b.input] = weights;
    const auto added = [&](TensorId id) {
      node.inputs.push_back(id);
      return static_cast<uint32_t>(node.inputs.size() - 1);
    };
    const ExprTree old = std::exchange(node.exprs, {});
    ExprTree& tree = node.exprs;
    const auto copied = [&](const std::vector<ExprId>& list) {
      std::vector<ExprId> copies;
      for (const ExprId id : list) copies.push_back(copy_expr(old, id, tree, {}));
      return copies;
    };
    // Beyond the edge it is the zero point, which stands for 0.
    const ExprId inside =
        product.a.inside == kNoExpr ? kNoExpr : copy_expr(old, product.a.inside, tree, {});
    const ExprId loaded = tree.load(product.a.input, ScalarType::i32,
                                    copied(old.node(product.a.load).indices), inside);
    ExprId a =
        tree.apply(ScalarOp::sub, loaded, tree.load(added(x.zero_point), ScalarType::i32, {}));
    if (inside != kNoExpr) a = tree.apply(ScalarOp::select, inside, a, tree.constant_int(0));
    const std::vector<ExprId> places = copied(b_load.indices);
    const ExprId b = tree.load(product.b.input, ScalarType::i32, places);
    const bool is_turned = old.node(node.element).arguments[0] == product.b.value;
    node.element = is_turned ? tree.apply(ScalarOp::mul, b, a) : tree.apply(ScalarOp::mul, a, b);
    std::vector<ExprId> column;
    for (size_t d = 0; d < is_kept.size(); ++d) {
      if (is_kept[d]) column.push_back(places[d]);
    }
    // The scales may be as large and as small as floats are, so each meets the sum by itself.
    ExprSubstitution ended;
    ended.accumulator = tree.apply(ScalarOp::to_f32, tree.accumulator(ScalarType::i32));
    for (const ExprId scale : {tree.load(added(x.scale), ScalarType::f32, {}),
                               tree.load(added(scales), ScalarType::f32, column)}) {
      ended.accumulator = tree.apply(ScalarOp::mul, ended.accumulator, scale);
    }
    NodeResult& result = node.results[0];
    result.value = copy_expr(old, result.value, tree, ended);
    return {};
  }

  Result<ops::Quantized> activations(TensorId x) {
    const auto known = activations_.find(x);
    if (known != activations_.end()) return known->second;
    TRY_ASSIGN(const ops::Quantized made,
               ops::dynamic_quantize(graph_, "quantized_" + graph_.tensors[x].name, x));
    activations_.emplace(x, made);
    return made;
  }

  /// A model made for other shapes finds the same objects.
  std::pair<TensorId, TensorId> weights_of(TensorId id, const std::vector<bool>& is_kept) {
    const auto known = weights_.find({id, is_kept});
    if (known != weights_.end()) return known->second;
    const ConstantValue whole = graph_.tensors[id].constant;
    std::string name = "quantized_" + graph_.tensors[id].name + "/";
    for (const bool kept : is_kept) name += kept ? 'c' : 'k';
    ConstantMemory* const memory = graph_.memory.get();
    ConstantValue values = memory ? memory->other_of(name, whole, DType::i8) : nullptr;
    ConstantValue scales = memory ? memory->other_of(name + "/scale", whole, DType::f32) : nullptr;
    if (!values || !scales) {
      QuantizedWeights made = quantized(*whole, is_kept);
      values = std::make_shared<const HostTensor>(std::move(made.values));
      scales = std::make_shared<const HostTensor>(std::move(made.scales));
      if (memory != nullptr) {
        memory->keep_other(name, whole, values);
        memory->keep_other(name + "/scale", whole, scales);
      }
    }
    const auto made = std::pair(graph_.add_constant(name, std::move(values)),
                                graph_.add_constant(name + "/scale", std::move(scales)));
    weights_.emplace(std::pair(id, is_kept), made);
    return made;
  }

  Graph& graph_;
  const Target& target_;
  std::map<TensorId, ops::Quantized> activations_;
  std::map<std::pair<TensorId, std::vector<bool>>, std::pair<TensorId, TensorId>> weights_;
};

}  // namespace

Result<ProductCounts> quantize_products(Graph& graph, const Target& target) {
  return Quantizing(graph, target).run();
}

}  // namespace leat
