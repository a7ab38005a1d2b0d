// The slices are copies on the host: the limit holds for what a kernel binds, and packed weights of
// a part must be one piece.
#include "leat/schedule/slice_constant.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "leat/schedule/layout.h"

namespace leat {

namespace {

/// An axis along which a contraction can be cut.
struct Cut {
  size_t axis = 0;          // of the node
  size_t constant_dim = 0;  // the constant's dimension that is this axis
  int64_t extent = 0;
};

/// The dimension that is `axis` and nothing else, when no other dimension has to do with it.
std::optional<size_t> only_dimension(const std::vector<Affine>& index, size_t axis) {
  std::optional<size_t> found;
  for (size_t d = 0; d < index.size(); ++d) {
    if (index[d].coefficients[axis] == 0) continue;
    Affine plain;
    plain.coefficients.assign(index[d].coefficients.size(), 0);
    plain.coefficients[axis] = 1;
    if (found || index[d] != plain) return std::nullopt;
    found = d;
  }
  return found;
}

/// The longest axis of the operand's own; none when the operand is read in another way too.
std::optional<Cut> find_cut(const Node& node, const Contraction& contraction, bool is_b) {
  const ContractionOperand& operand = is_b ? contraction.b : contraction.a;
  if (load_count(node, operand.input) != 1) return {};
  const Shape& extents = is_b ? contraction.n : contraction.m;
  const size_t first = contraction.batch.size() + (is_b ? contraction.m.size() : 0);
  std::optional<Cut> best;
  for (size_t i = 0; i < extents.size(); ++i) {
    const auto constant_dim = only_dimension(operand.index, first + i);
    if (!constant_dim || operand.bounded[*constant_dim]) continue;
    if (best && best->extent >= extents[i]) continue;
    best = Cut{contraction.axes[first + i], *constant_dim, extents[i]};
  }
  return best;
}

HostTensor slice_of(const HostTensor& whole, size_t dim, int64_t first, int64_t count) {
  HostTensor part;
  part.dtype = whole.dtype;
  part.shape = whole.shape;
  part.shape[dim] = count;
  const size_t row_bytes = static_cast<size_t>(row_major_strides(whole.shape)[dim]) *
                           static_cast<size_t>(size_bytes_of(whole.dtype));
  const size_t part_bytes = row_bytes * static_cast<size_t>(count);
  const size_t whole_bytes = row_bytes * static_cast<size_t>(whole.shape[dim]);
  part.bytes.resize(whole.bytes.size() / whole_bytes * part_bytes);
  const size_t skipped = row_bytes * static_cast<size_t>(first);
  for (size_t i = 0; i * part_bytes < part.bytes.size(); ++i) {
    std::memcpy(part.bytes.data() + i * part_bytes, whole.bytes.data() + i * whole_bytes + skipped,
                part_bytes);
  }
  return part;
}

/// Rows or columns [first, first + count) of the node, without its constant, which is input number
/// `input`: it is read as a slice from its begin, all else knows elements by their place in the
/// whole.
Node part_of(const Node& whole, const Cut& cut, uint32_t input, int64_t first, int64_t count) {
  Node part = whole;
  part.name += ".slice" + std::to_string(first);
  part.extents[cut.axis] = count;
  part.exprs = ExprTree();
  ExprSubstitution moved;
  for (uint32_t axis = 0; axis < whole.extents.size() + whole.reduce.size(); ++axis) {
    moved.axes.push_back(part.exprs.axis(axis));
  }
  moved.axes[cut.axis] =
      part.exprs.apply(ScalarOp::add, moved.axes[cut.axis], part.exprs.constant_int(first));
  NodeResult& result = part.results[0];
  result.value = copy_expr(whole.exprs, result.value, part.exprs, moved);
  moved.load = [&](const ExprNode& load, const std::vector<ExprId>&, ExprId mask) {
    if (load.index != input) return kNoExpr;
    std::vector<ExprId> indices;
    for (const ExprId index : load.indices) {
      indices.push_back(copy_expr(whole.exprs, index, part.exprs, {}));
    }
    return part.exprs.load_as(load, input, std::move(indices), mask);
  };
  part.element = copy_expr(whole.exprs, whole.element, part.exprs, moved);
  for (Affine& index : result.index) index.constant += index.coefficients[cut.axis] * first;
  return part;
}

/// Bytes of the constant of a part with `count` rows or columns, as it will lie in memory.
uint64_t constant_bytes(const Schedule& schedule, const Node& whole, uint32_t input, const Cut& cut,
                        int64_t count, const ContractionParams& params) {
  const TensorId id = whole.inputs[input];
  Shape shape = schedule.graph.tensors[id].shape;
  shape[cut.constant_dim] = count;
  int64_t elements = element_count(shape);
  if (schedule.placements[id].packed) {
    const auto part = find_contraction(schedule.graph, part_of(whole, cut, input, 0, count));
    elements = std::max(elements, packed_element_count(*part, params));
  }
  return static_cast<uint64_t>(elements * size_bytes_of(schedule.placements[id].storage));
}

/// The parts' extent: parts as few as the limit allows and about equal, in whole vectors.
int64_t part_extent(const Cut& cut, uint64_t limit, auto bytes_of_part) {
  constexpr int64_t kGranule = 64;
  int64_t parts = 2;
  auto extent = [&] {
    const int64_t even = (cut.extent + parts - 1) / parts;
    return even > kGranule ? (even + kGranule - 1) / kGranule * kGranule : even;
  };
  while (parts < cut.extent && bytes_of_part(extent()) > limit) ++parts;
  return extent();
}

/// A tensor for a slice of the whole's constant.
TensorId add_slice(Schedule& schedule, std::string name, HostTensor value, TensorId whole,
                   const Target& target) {
  const TensorId id = schedule.graph.add_constant(std::move(name), std::move(value));
  schedule.placements.push_back(row_major_placement(schedule.graph.tensors[id], target));
  schedule.placements[id].packed = schedule.placements[whole].packed;
  return id;
}

std::vector<Node> slice_operand(Schedule& schedule, const Node& whole, bool is_b,
                                const ContractionParams& params, const Target& target,
                                uint64_t bytes_max) {
  const auto contraction = find_contraction(schedule.graph, whole);
  CHECK(contraction.has_value());
  const ContractionOperand& operand = is_b ? contraction->b : contraction->a;
  const TensorId id = whole.inputs[operand.input];
  const std::shared_ptr<const HostTensor> constant = schedule.graph.tensors[id].constant;
  const std::optional<Cut> cut = constant ? find_cut(whole, *contraction, is_b) : std::nullopt;
  if (!cut || cut->extent < 2) return {};
  const auto bytes_of_part = [&](int64_t count) {
    return constant_bytes(schedule, whole, operand.input, *cut, count, params);
  };
  if (bytes_of_part(cut->extent) <= bytes_max) return {};
  const int64_t extent = part_extent(*cut, bytes_max, bytes_of_part);
  std::vector<Node> parts;
  for (int64_t first = 0; first < cut->extent; first += extent) {
    const int64_t count = std::min(extent, cut->extent - first);
    Node part = part_of(whole, *cut, operand.input, first, count);
    part.inputs[operand.input] =
        add_slice(schedule, part.name + ".constant",
                  slice_of(*constant, cut->constant_dim, first, count), id, target);
    parts.push_back(std::move(part));
  }
  // Nothing reads the whole any more.
  schedule.placements[id].space = Space::none;
  return parts;
}

}  // namespace

std::vector<Node> slice_large_constant(Schedule& schedule, const Node& node,
                                       const ContractionParams& params, const Target& target,
                                       uint64_t bytes_max) {
  std::vector<Node> parts = slice_operand(schedule, node, true, params, target, bytes_max);
  if (!parts.empty()) return parts;
  return slice_operand(schedule, node, false, params, target, bytes_max);
}

}  // namespace leat
