// NodeWriter: the frame that every named operator is written in. It collects inputs and expressions
// of one node, gives the node and its output tensor their names, and appends it to the graph. Place
// carries the operator and node name to every error message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/tensor/graph.h"
#include "leat/tensor/term.h"

namespace leat::ops {

/// Which operator is being added, for names and messages.
struct Place {
  std::string op;
  std::string name;

  /// An empty name becomes op + "_" + the number of nodes so far.
  Place(const Graph& graph, std::string_view op_name, std::string_view node_name);
  /// invalid_argument; `sentence` is full and ends with a full stop.
  Error error(std::string sentence) const;
};

/// Loop axes, and the output's coordinates as affine terms of them.
struct Loops {
  Shape extents;
  std::vector<Term> index;
};

/// The reduced axes stand behind the others.
struct Reduce {
  ReduceOp op = ReduceOp::sum;
  Shape extents;
  Term element;
};

/// Builds one node. The Terms that it hands out belong to it and die with the call that ends it.
class NodeWriter {
 public:
  /// The node is called place.name + suffix.
  NodeWriter(Graph& graph, const Place& place, std::string_view suffix = {});
  NodeWriter(const NodeWriter&) = delete;
  NodeWriter& operator=(const NodeWriter&) = delete;

  /// Of the type of `tensor`'s elements.
  Term number(TensorId tensor, double value);
  Term integer(int64_t value) { return Term(node_.exprs, node_.exprs.constant_int(value)); }
  Term number(ScalarType type, double value) {
    return Term(node_.exprs, node_.exprs.constant_of(type, value));
  }
  Term truth(bool value) { return Term(node_.exprs, node_.exprs.constant_bool(value)); }
  Term axis(size_t index);
  /// Axes 0 .. count-1.
  std::vector<Term> axes(size_t count);
  Term accumulator(ScalarType type);
  /// Of the reduction of `tensor`'s elements.
  Term accumulator(TensorId tensor);

  Term load(TensorId tensor, const std::vector<Term>& indices);
  Term load(TensorId tensor, const std::vector<Term>& indices, Term mask, double fill = 0);
  /// The element that numpy broadcasting puts at the coordinates `at`; what has only one element
  /// and is constant comes as a constant. A dimension is broadcast where `at_extents` is not its
  /// extent.
  Term broadcast(TensorId tensor, const std::vector<Term>& at, const Shape& at_extents);
  /// The same at axes 0, 1, ... of `extents`.
  Term broadcast(TensorId tensor, const Shape& extents);

  /// The element of a tensor that has one, whatever its rank; a constant if the tensor is.
  Term only_element(TensorId tensor);

  /// Input number of `tensor`, added if it is not there yet.
  uint32_t input(TensorId tensor);
  /// For names and flags.
  Node& node() { return node_; }

  /// Each appends the node; all but the _into forms make its output tensor first. Without Loops the
  /// axes are the output's coordinates.
  Result<TensorId> map(DType dtype, Shape shape, Term value);
  Result<void> map_into(TensorId output, const Loops& loops, Term value);
  Result<TensorId> reduce(DType dtype, Shape shape, const Reduce& reduce, Term value);
  Result<TensorId> reduce(DType dtype, Shape shape, const Loops& loops, const Reduce& reduce,
                          Term value);
  Result<void> reduce_into(TensorId output, const Loops& loops, const Reduce& reduce, Term value);

 private:
  Result<TensorId> append(DType dtype, Shape shape, Term value);
  Term stored(DType dtype, Term value);
  void set(const Loops& loops);
  void set(const Reduce& reduce);

  Graph& graph_;
  Node node_;
};

// --- Checks and arithmetic shared by the operators
// ------------------------------------------------

const Shape& shape_of(const Graph& graph, TensorId tensor);
DType dtype_of(const Graph& graph, TensorId tensor);
bool is_whole_number(DType dtype);  // integers, without bool
/// f32 for f16 and bf16, else the dtype itself: what statistics are kept in.
DType wide_dtype_of(DType dtype);

Result<void> require_float(const Graph& graph, const Place& place, TensorId tensor);
Result<void> require_same_dtype(const Graph& graph, const Place& place, TensorId a, TensorId b);
/// Axis in [0, rank).
Result<size_t> resolve_axis(const Place& place, int64_t axis, size_t rank);
/// Ascending and unique.
Result<std::vector<size_t>> resolve_axes(const Place& place, const std::vector<int64_t>& axes,
                                         size_t rank);
Result<Shape> broadcast_shapes(const Place& place, const Shape& a, const Shape& b);
/// check_shape with the place in the message.
Result<void> require_shape(const Place& place, const Shape& shape);
/// "(1, 2)" of any list.
std::string list_text(const std::vector<int64_t>& values);

/// A node with a program, whose rows are input 0's and whose results have these dtypes and this
/// shape; named name, name + "/1".
Result<std::vector<TensorId>> write_program(Graph& graph, const Place& place,
                                            std::vector<TensorId> inputs, const Program& program,
                                            const std::vector<DType>& dtypes, const Shape& shape);
Result<TensorId> write_program(Graph& graph, const Place& place, std::vector<TensorId> inputs,
                               const Program& program, DType dtype, const Shape& shape);

/// A small constant, for tables that expressions load from.
TensorId add_table_f32(Graph& graph, std::string name, Shape shape,
                       const std::vector<double>& values);
TensorId add_table_i32(Graph& graph, std::string name, Shape shape,
                       const std::vector<int64_t>& values);

}  // namespace leat::ops
