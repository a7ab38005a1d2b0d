// The frame of the operators; see node_writer.h.
#include "leat/tensor/node_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/base/check.h"

namespace leat::ops {
namespace {

std::string name_or_number(const Graph& graph, std::string_view op, std::string_view name) {
  return name.empty() ? fmt::format("{}_{}", op, graph.nodes.size()) : std::string(name);
}

}  // namespace

Place::Place(const Graph& graph, std::string_view op_name, std::string_view node_name)
    : op(op_name), name(name_or_number(graph, op_name, node_name)) {}

Error Place::error(std::string sentence) const {
  return Error(ErrorKind::invalid_argument, std::move(sentence))
      .during(fmt::format("adding {} \"{}\"", op, name));
}

NodeWriter::NodeWriter(Graph& graph, const Place& place, std::string_view suffix) : graph_(graph) {
  node_.name = place.name + std::string(suffix);
  node_.op = place.op;
}

Term NodeWriter::axis(size_t index) {
  return Term(node_.exprs, node_.exprs.axis(static_cast<uint32_t>(index)));
}

std::vector<Term> NodeWriter::axes(size_t count) {
  std::vector<Term> terms;
  for (size_t i = 0; i < count; ++i) terms.push_back(axis(i));
  return terms;
}

Term NodeWriter::accumulator(ScalarType type) {
  return Term(node_.exprs, node_.exprs.accumulator(type));
}

Term NodeWriter::accumulator(TensorId tensor) {
  return accumulator(scalar_type_of(graph_.tensors[tensor].dtype));
}

Term NodeWriter::number(TensorId tensor, double value) {
  return number(scalar_type_of(graph_.tensors[tensor].dtype), value);
}

uint32_t NodeWriter::input(TensorId tensor) {
  const auto found = std::ranges::find(node_.inputs, tensor);
  if (found == node_.inputs.end()) {
    node_.inputs.push_back(tensor);
    return static_cast<uint32_t>(node_.inputs.size() - 1);
  }
  return static_cast<uint32_t>(found - node_.inputs.begin());
}

Term NodeWriter::load(TensorId tensor, const std::vector<Term>& indices) {
  return load(tensor, indices, truth(true));
}

Term NodeWriter::load(TensorId tensor, const std::vector<Term>& indices, Term mask, double fill) {
  const Tensor& source = graph_.tensors[tensor];
  CHECK(indices.size() == source.shape.size());
  std::vector<ExprId> ids;
  for (const Term& index : indices) ids.push_back(index.id());
  const ScalarType type = scalar_type_of(source.dtype);
  const uint32_t number = input(tensor);
  return Term(node_.exprs, node_.exprs.load(number, type, std::move(ids), mask.id(), fill));
}

Term NodeWriter::broadcast(TensorId tensor, const std::vector<Term>& at, const Shape& at_extents) {
  const Tensor& source = graph_.tensors[tensor];
  if (source.constant && element_count(source.shape) == 1) {
    const ScalarType type = scalar_type_of(source.dtype);
    if (is_float(type)) return number(type, source.constant->number(0));
    return Term(node_.exprs, node_.exprs.constant_whole(type, source.constant->integer(0)));
  }
  CHECK(at.size() >= source.shape.size());
  const size_t lead = at.size() - source.shape.size();
  std::vector<Term> indices;
  for (size_t d = 0; d < source.shape.size(); ++d) {
    const bool whole = source.shape[d] == at_extents[lead + d];
    indices.push_back(whole ? at[lead + d] : integer(0));
  }
  return load(tensor, indices);
}

Term NodeWriter::only_element(TensorId tensor) {
  const size_t rank = graph_.tensors[tensor].shape.size();
  return broadcast(tensor, std::vector<Term>(rank, integer(0)), Shape(rank, 1));
}

Term NodeWriter::broadcast(TensorId tensor, const Shape& extents) {
  return broadcast(tensor, axes(extents.size()), extents);
}

void NodeWriter::set(const Loops& loops) {
  node_.extents = loops.extents;
  node_.results.resize(1);
  for (const Term& term : loops.index) {
    const auto form = affine_of(node_.exprs, term.id(), loops.extents.size());
    CHECK(form.has_value());
    node_.results[0].index.push_back(*form);
  }
}

void NodeWriter::set(const Reduce& reduce) {
  node_.reduce_op = reduce.op;
  node_.reduce = reduce.extents;
  node_.element = reduce.element.id();
}

/// Positions and counts are i32, and stored in tensors of 64 bits too; a float may be of the other
/// type.
Term NodeWriter::stored(DType dtype, Term value) {
  const ScalarType type = scalar_type_of(dtype);
  const bool is_count = value.type() == ScalarType::i32 && is_whole(type);
  return is_count || (is_float(value.type()) && is_float(type)) ? convert(value, type) : value;
}

Result<TensorId> NodeWriter::append(DType dtype, Shape shape, Term value) {
  if (auto fits = check_shape(shape); !fits) {
    return fits.error().during(fmt::format("adding {} \"{}\"", node_.op, node_.name));
  }
  const TensorId output = graph_.add_tensor(node_.name, dtype, std::move(shape));
  node_.results.resize(1);
  node_.results[0].output = output;
  node_.results[0].value = stored(dtype, value).id();
  TRY(graph_.add_node(std::move(node_)));
  return output;
}

Result<TensorId> NodeWriter::map(DType dtype, Shape shape, Term value) {
  return append(dtype, std::move(shape), value);
}

Result<void> NodeWriter::map_into(TensorId output, const Loops& loops, Term value) {
  set(loops);
  node_.results[0].output = output;
  node_.results[0].value = stored(graph_.tensors[output].dtype, value).id();
  return graph_.add_node(std::move(node_));
}

Result<TensorId> NodeWriter::reduce(DType dtype, Shape shape, const Reduce& reduce, Term value) {
  set(reduce);
  return append(dtype, std::move(shape), value);
}

Result<TensorId> NodeWriter::reduce(DType dtype, Shape shape, const Loops& loops,
                                    const Reduce& reduce, Term value) {
  set(loops);
  set(reduce);
  return append(dtype, std::move(shape), value);
}

Result<void> NodeWriter::reduce_into(TensorId output, const Loops& loops, const Reduce& reduce,
                                     Term value) {
  set(reduce);
  return map_into(output, loops, value);
}

// --- Checks and arithmetic
// ------------------------------------------------------------------------

const Shape& shape_of(const Graph& graph, TensorId tensor) {
  CHECK(tensor < graph.tensors.size());
  return graph.tensors[tensor].shape;
}

DType dtype_of(const Graph& graph, TensorId tensor) {
  CHECK(tensor < graph.tensors.size());
  return graph.tensors[tensor].dtype;
}

bool is_whole_number(DType dtype) {
  return !is_float(dtype) && dtype != DType::boolean && !is_small_float(dtype);
}

DType wide_dtype_of(DType dtype) {
  return is_float(dtype) && size_bytes_of(dtype) < 4 ? DType::f32 : dtype;
}

Result<void> require_float(const Graph& graph, const Place& place, TensorId tensor) {
  const DType dtype = dtype_of(graph, tensor);
  if (is_float(dtype)) return {};
  return place.error(fmt::format("The dtype ({}) of tensor \"{}\" is not a float.", name_of(dtype),
                                 graph.tensors[tensor].name));
}

Result<void> require_same_dtype(const Graph& graph, const Place& place, TensorId a, TensorId b) {
  if (dtype_of(graph, a) == dtype_of(graph, b)) return {};
  return place.error(fmt::format("The dtypes ({} and {}) of tensors \"{}\" and \"{}\" differ.",
                                 name_of(dtype_of(graph, a)), name_of(dtype_of(graph, b)),
                                 graph.tensors[a].name, graph.tensors[b].name));
}

Result<size_t> resolve_axis(const Place& place, int64_t axis, size_t rank) {
  const int64_t count = static_cast<int64_t>(rank);
  if (axis >= -count && axis < count) return static_cast<size_t>(axis < 0 ? axis + count : axis);
  return place.error(fmt::format("Axis ({}) is outside the rank ({}).", axis, rank));
}

Result<std::vector<size_t>> resolve_axes(const Place& place, const std::vector<int64_t>& axes,
                                         size_t rank) {
  std::vector<size_t> resolved;
  for (int64_t axis : axes) {
    TRY_ASSIGN(const size_t index, resolve_axis(place, axis, rank));
    resolved.push_back(index);
  }
  std::ranges::sort(resolved);
  if (std::ranges::adjacent_find(resolved) != resolved.end()) {
    return place.error(fmt::format("The axes {} name one axis twice.", list_text(axes)));
  }
  return resolved;
}

Result<Shape> broadcast_shapes(const Place& place, const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape shape = longer;
  const size_t lead = longer.size() - shorter.size();
  for (size_t d = 0; d < shorter.size(); ++d) {
    int64_t& extent = shape[lead + d];
    if (extent == 1) {
      extent = shorter[d];
    } else if (shorter[d] != 1 && shorter[d] != extent) {
      return place.error(fmt::format("The shapes {} and {} cannot be broadcast together.",
                                     to_string(a), to_string(b)));
    }
  }
  return shape;
}

Result<void> require_shape(const Place& place, const Shape& shape) {
  if (auto fits = check_shape(shape); !fits) return place.error(fits.error().message());
  return {};
}

std::string list_text(const std::vector<int64_t>& values) { return to_string(Shape(values)); }

namespace {

HostTensor table(DType dtype, Shape shape, size_t count) {
  HostTensor value = HostTensor::zeros(dtype, std::move(shape));
  CHECK(element_count(value.shape) == static_cast<int64_t>(count));
  return value;
}

}  // namespace

TensorId add_table_f32(Graph& graph, std::string name, Shape shape,
                       const std::vector<double>& values) {
  HostTensor value = table(DType::f32, std::move(shape), values.size());
  for (size_t i = 0; i < values.size(); ++i) value.set_number(static_cast<int64_t>(i), values[i]);
  return graph.add_constant(std::move(name), std::move(value));
}

TensorId add_table_i32(Graph& graph, std::string name, Shape shape,
                       const std::vector<int64_t>& values) {
  HostTensor value = table(DType::i32, std::move(shape), values.size());
  for (size_t i = 0; i < values.size(); ++i) value.set_integer(static_cast<int64_t>(i), values[i]);
  return graph.add_constant(std::move(name), std::move(value));
}

Result<std::vector<TensorId>> write_program(Graph& graph, const Place& place,
                                            std::vector<TensorId> inputs, const Program& program,
                                            const std::vector<DType>& dtypes, const Shape& shape) {
  Node node;
  node.name = place.name;
  node.op = place.op;
  node.extents = shape_of(graph, inputs[0]);
  node.extents[program.axis] = 1;
  node.inputs = std::move(inputs);
  node.program = program;
  std::vector<TensorId> outputs;
  for (const DType dtype : dtypes) {
    const std::string suffix = outputs.empty() ? "" : "/" + std::to_string(outputs.size());
    outputs.push_back(graph.add_tensor(place.name + suffix, dtype, shape));
    node.results.push_back({.output = outputs.back(), .value = kNoExpr, .index = {}});
  }
  TRY(graph.add_node(std::move(node)));
  return outputs;
}

Result<TensorId> write_program(Graph& graph, const Place& place, std::vector<TensorId> inputs,
                               const Program& program, DType dtype, const Shape& shape) {
  TRY_ASSIGN(
      const std::vector<TensorId> outputs,
      write_program(graph, place, std::move(inputs), program, std::vector<DType>{dtype}, shape));
  return outputs[0];
}

}  // namespace leat::ops
