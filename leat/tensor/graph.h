// The op graph: tensors, and nodes of the two families that compute them. Named operators
// (convolution, soft-max, ...) are functions in ops.h that append one node or a chain of them.
//
// contraction:  out[m,n] = result( sum_k A(m,k) * B(k,n) ), batched; A and B are affine index maps.
// map_reduce:   out[i] = result( reduce_j element(inputs at maps of i and j) ).
//
// A node writes the region of its output tensor that its view names; several nodes may write
// disjoint regions of one tensor (concat, the phases of a transposed convolution). Tensors are
// addressed by logical coordinates everywhere; where an element lies in memory is the schedule's
// business.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/base/dtype.h"
#include "leat/base/result.h"
#include "leat/base/shape.h"
#include "leat/tensor/expr.h"

namespace leat {

/// Values on the host, row-major, in the dtype's own width (bool: one byte, 0 or 1).
struct HostTensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;

  /// Element `index` in row-major order, as double or whole number (f16/bf16 widened).
  double number(int64_t index) const;
  int64_t integer(int64_t index) const;
  void set_number(int64_t index, double value);  // rounds or truncates to the dtype
  void set_integer(int64_t index, int64_t value);
  static HostTensor zeros(DType dtype, Shape shape);
};

/// The expression type of a tensor's elements: f32 for floats, b1 for bool, i32 for all others.
ScalarType scalar_type_of(DType dtype);

using TensorId = uint32_t;
inline constexpr TensorId kNoTensor = 0xffffffffu;

struct Tensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::shared_ptr<const HostTensor> constant;  // null when computed or fed
};

/// constant + sum of coefficients[i] * axis i. `coefficients` has one entry per loop axis.
struct Affine {
  int64_t constant = 0;
  std::vector<int64_t> coefficients;

  bool operator==(const Affine&) const = default;
};

/// One factor of a contraction: input number, and per tensor dimension an affine index. A bounded
/// dimension reads 0 outside the tensor; an unbounded one never leaves it.
struct ContractionOperand {
  uint32_t input = 0;
  std::vector<Affine> index;
  std::vector<bool> bounded;
};

/// Loop axes are numbered batch, m, n, k, in that order. out_index has one Affine per output
/// dimension over all axes, with k's coefficients 0; it covers the node's out_extents exactly once.
struct Contraction {
  Shape batch, m, n, k;
  ContractionOperand a;  // over batch, m, k
  ContractionOperand b;  // over batch, n, k
  std::vector<Affine> out_index;
};

enum class ReduceOp : uint8_t { none, sum, product, min, max };

/// Axis d < rank is output coordinate d; axis rank + j is reduce axis j. With ReduceOp::none there
/// are no reduce axes, `element` is kNoExpr and the accumulator does not appear. An empty reduction
/// gives 0, 1, +inf or -inf (sum, product, min, max; i32: the type's limits).
struct MapReduce {
  Shape reduce;
  ReduceOp op = ReduceOp::none;
  ExprId element = kNoExpr;
};

enum class Family : uint8_t { contraction, map_reduce };

/// Element at coordinate c goes to the output tensor's coordinate c * step + offset, per dimension.
struct OutputView {
  std::vector<int64_t> offset;
  std::vector<int64_t> step;
};

struct Node {
  std::string name;  // from the model where it has one; unique in the graph
  std::string op;    // the operator it came from: "Conv", "Softmax"
  Family family = Family::map_reduce;
  std::vector<TensorId> inputs;
  TensorId output = kNoTensor;
  Shape out_extents;  // iteration space; the output's shape unless a view narrows it
  OutputView view;
  Contraction contraction;
  MapReduce map_reduce;
  ExprTree exprs;
  ExprId result = kNoExpr;  // over the accumulator, axes = output coordinates (before the
                            // view) and loads of inputs at expressions of those
  bool reshape = false;     // a copy that keeps the row-major order of elements
};

struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;  // in an order in which they can run
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;

  TensorId add_tensor(std::string name, DType dtype, Shape shape);
  TensorId add_constant(std::string name, HostTensor value);
  /// Appends the node; out_extents and view default to the whole output. If every input is a
  /// constant and the result is not large, the node is evaluated at once and its output becomes a
  /// constant (only for nodes that write all of it). A node that writes no element is dropped.
  /// Errors: internal, when the node is malformed (a view or an index that leaves its tensor).
  Result<void> add_node(Node node);
};

/// FLOP of one run: 2 per multiply-add of a contraction, 1 per apply of an expression.
double flop_count(const Graph& graph, const Node& node);

/// "conv_3: Conv contraction m(1,56,56) n(64) k(3,3,64) ...", one line a node.
std::string to_string(const Graph& graph);

/// The reference: runs one node in double and 64-bit integers. `inputs` in node order; `output` has
/// the full output tensor, of which the node writes its region.
Result<void> evaluate_node(const Graph& graph, const Node& node,
                           std::span<const HostTensor* const> inputs, HostTensor& output);
/// Runs the whole graph; one value per graph input, results in the order of graph.outputs.
Result<std::vector<HostTensor>> evaluate(const Graph& graph, std::span<const HostTensor> inputs);

}  // namespace leat
