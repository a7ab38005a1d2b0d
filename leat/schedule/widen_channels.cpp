// See widen_channels.h.
#include "leat/schedule/widen_channels.h"

#include <algorithm>
#include <map>
#include <optional>

#include "leat/base/target_facts.h"
#include "leat/schedule/layout.h"
#include "leat/tensor/contraction.h"

namespace leat {

namespace {

/// Channels of the copy: 8 bytes of 16-bit elements, which one lane copies at once, or a word of
/// bytes.
constexpr int64_t kChannels = 4;

/// Where a convolution's channels stand: the dimension of the filters, and the reduce axis.
struct Channels {
  size_t filter_dimension = 0;
  size_t reduce_axis = 0;
};

/// The only dimension of `index` that moves with `axis`, one for one, if it is that axis alone.
std::optional<size_t> dimension_of(const std::vector<Affine>& index, size_t axis) {
  std::optional<size_t> found;
  for (size_t d = 0; d < index.size(); ++d) {
    const Affine& affine = index[d];
    if (affine.coefficients[axis] == 0) continue;
    const auto others =
        std::ranges::count_if(affine.coefficients, [](int64_t c) { return c != 0; });
    if (found || affine.coefficients[axis] != 1 || others != 1 || affine.constant != 0) return {};
    found = d;
  }
  return found;
}

bool units_multiply(const Target& target, DType storage) {
  const TargetFacts facts = facts_of(target);
  return std::ranges::any_of(facts.matrix_shapes, [&](const MatrixShape& shape) {
    return shape.a == storage && shape.b == storage && shape.sum == DType::f32;
  });
}

bool is_byte(DType dtype) { return dtype == DType::i8 || dtype == DType::u8; }

/// Whether the target multiplies several channels at once, and takes them from memory as words
/// where there are four. A channel that is added counts as 0 by its filters.
bool takes_words(const Graph& graph, const Node& node, const Contraction& contraction,
                 const Target& target) {
  const DType x = graph.tensors[node.inputs[contraction.a.input]].dtype;
  const DType filters = graph.tensors[node.inputs[contraction.b.input]].dtype;
  const TargetFacts facts = facts_of(target);
  if (target.uniform_loads_broadcast && facts.has_dot_us && is_byte(x) && is_byte(filters)) {
    const auto of_filters = shifted_factor(node, contraction.b);
    return contraction.type == ScalarType::i32 && shifted_factor(node, contraction.a) &&
           of_filters && of_filters->shift == kNoExpr;
  }
  const DType storage = storage_on(target, x);
  if (!contraction.a.is_plain() || !contraction.b.is_plain() || x != filters) return false;
  if (size_bytes_of(storage) != 2) return false;
  if (target.uniform_loads_broadcast) return storage == DType::bf16 && facts.has_dot_bf16;
  return units_multiply(target, storage);
}

std::optional<Channels> channels_of(const Graph& graph, const Node& node,
                                    const Contraction& contraction, const Target& target,
                                    int64_t macs_min) {
  const ContractionOperand &a = contraction.a, &b = contraction.b;
  const Tensor& x = graph.tensors[node.inputs[a.input]];
  const Tensor& filters = graph.tensors[node.inputs[b.input]];
  const bool fits = is_convolution(contraction) && contraction.batch.empty() && filters.constant &&
                    !x.constant && x.shape.size() >= 3 && load_count(node, a.input) == 1 &&
                    load_count(node, b.input) == 1;
  if (!fits || !takes_words(graph, node, contraction, target)) return std::nullopt;
  const int64_t macs =
      element_count(contraction.m) * element_count(contraction.n) * element_count(contraction.k);
  if (x.shape[1] >= kChannels || x.shape[1] < 2 || macs < macs_min) return std::nullopt;
  const size_t k_first = contraction.m.size() + contraction.n.size();
  for (size_t j = 0; j < contraction.k.size(); ++j) {
    const std::optional<size_t> of_x = dimension_of(a.index, k_first + j);
    const std::optional<size_t> of_filters = dimension_of(b.index, k_first + j);
    if (!of_x || *of_x != 1 || !of_filters || a.bounded[1] || b.bounded[*of_filters]) continue;
    return Channels{*of_filters, contraction.axes[k_first + j] - node.extents.size()};
  }
  return std::nullopt;
}

HostTensor widened(const HostTensor& filters, size_t dimension) {
  Shape shape = filters.shape;
  const int64_t channels = shape[dimension];
  shape[dimension] = kChannels;
  HostTensor wide = HostTensor::zeros(filters.dtype, shape);
  int64_t inner = size_bytes_of(filters.dtype);
  for (size_t d = dimension + 1; d < shape.size(); ++d) inner *= shape[d];
  const int64_t run = channels * inner, count = static_cast<int64_t>(filters.bytes.size()) / run;
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(filters.bytes.begin() + i * run, run, wide.bytes.begin() + i * kChannels * inner);
  }
  return wide;
}

/// x with channels of zeros behind its own.
Node widening_copy(Graph& graph, TensorId x) {
  const Tensor source = graph.tensors[x];
  Shape shape = source.shape;
  shape[1] = kChannels;
  Node copy;
  copy.name = "widened_" + source.name;
  copy.op = "Pad";
  copy.inputs = {x};
  copy.extents = shape;
  std::vector<ExprId> axes;
  for (uint32_t d = 0; d < shape.size(); ++d) axes.push_back(copy.exprs.axis(d));
  const ExprId mask =
      copy.exprs.apply(ScalarOp::less, axes[1], copy.exprs.constant_int(source.shape[1]));
  copy.results.push_back({graph.add_tensor(copy.name, source.dtype, shape),
                          copy.exprs.load(0, scalar_type_of(source.dtype), axes, mask),
                          affine_axes(shape.size())});
  return copy;
}

}  // namespace

void widen_channels(Graph& graph, const Target& target, int64_t macs_min) {
  const TargetFacts facts = facts_of(target);
  const bool has_dots = facts.has_dot_us || facts.has_dot_bf16;
  if (target.uniform_loads_broadcast ? !has_dots : facts.matrix_shapes.empty()) return;
  if (target.uniform_loads_broadcast) macs_min = std::min(macs_min, kWidenedMacsMinOfWords);
  std::vector<Node> nodes;
  std::map<TensorId, TensorId> copies;
  for (Node& node : graph.nodes) {
    const auto contraction = find_contraction(graph, node);
    const auto channels =
        contraction ? channels_of(graph, node, *contraction, target, macs_min) : std::nullopt;
    if (channels) {
      TensorId& x = node.inputs[contraction->a.input];
      TensorId& filters = node.inputs[contraction->b.input];
      const auto [copy, is_first] = copies.try_emplace(x, kNoTensor);
      if (is_first) {
        nodes.push_back(widening_copy(graph, x));
        copy->second = nodes.back().results[0].output;
      }
      x = copy->second;
      filters =
          graph.add_constant(graph.tensors[filters].name + "/widened",
                             widened(*graph.tensors[filters].constant, channels->filter_dimension));
      node.reduce[channels->reduce_axis] = kChannels;
    }
    nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace leat
