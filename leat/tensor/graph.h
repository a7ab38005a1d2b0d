// The op graph: tensors, and nodes that compute them. A node is loops over axes, of which the last
// ones may be reduced, and expressions of what they read:
//
//   for each point of `extents`:   accumulator = reduce over `reduce` of element
//                                  each result's tensor [index] = value
//
// That is all there is of it, save for what is neither (Program): convolutions, soft-max,
// transpositions and the rest are functions in ops.h that append one node or a chain of them, and
// what a node is fit for (contraction.h) is found in its expressions. Several nodes may write
// disjoint regions of one tensor (concat, the phases of a transposed convolution). Tensors are
// addressed by logical coordinates everywhere; where an element lies in memory is the schedule's
// business.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/dtype.h"
#include "leat/base/result.h"
#include "leat/base/shape.h"
#include "leat/tensor/affine.h"
#include "leat/tensor/expr.h"
#include "leat/tensor/program.h"

namespace leat {

/// Values on the host, row-major, in the dtype's own width (bool: one byte, 0 or 1; types of less
/// than 8 bits: one byte each, i4 and i2 with their sign).
struct HostTensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;

  /// Element `index` in row-major order, as double or whole number (f16/bf16 widened; of a small
  /// float the whole number is its code).
  double number(int64_t index) const;
  int64_t integer(int64_t index) const;
  void set_number(int64_t index, double value);  // rounds or truncates to the dtype
  void set_integer(int64_t index, int64_t value);
  static HostTensor zeros(DType dtype, Shape shape);
};

/// The expression type of a tensor's elements: see expr.h; i32 for the codes of small floats.
ScalarType scalar_type_of(DType dtype);

using TensorId = uint32_t;
inline constexpr TensorId kNoTensor = 0xffffffffu;

struct Tensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::shared_ptr<const HostTensor> constant;  // null when computed or fed
};

/// What a node stores: `value` at the coordinates `index` of its tensor, one form over the node's
/// extents per dimension, which takes each value once.
struct NodeResult {
  TensorId output = kNoTensor;
  ExprId value = kNoExpr;  // over the accumulator, the extents' axes, loads of inputs
  std::vector<Affine> index;
};

/// Axis i < extents.size() runs over extents[i], axis extents.size() + j over reduce[j]. With
/// ReduceOp::none there are no reduce axes, `element` is kNoExpr and the accumulator does not
/// appear. An empty reduction gives 0, 1, +inf or -inf (sum, product, min, both max; whole
/// numbers: the type's limits). A node with a program (program.h) has neither expressions nor
/// indices; its extents are input 0's with 1 for the program's axis, those of a written kernel its
/// first result's.
struct Node {
  std::string name;  // from the model where it has one; unique in the graph
  std::string op;    // the operator it came from: "Conv", "Softmax"
  std::vector<TensorId> inputs;
  Shape extents;
  Shape reduce;
  ReduceOp reduce_op = ReduceOp::none;
  ExprTree exprs;
  ExprId element = kNoExpr;
  std::vector<NodeResult> results;
  bool reshape = false;  // a copy that keeps the row-major order of elements
  std::optional<Program> program;
};

/// Whether the node computes a value of its axes alone, without a reduction.
inline bool is_map(const Node& node) { return node.reduce_op == ReduceOp::none && !node.program; }

/// Indices that are known when the network runs only, and have to be in their extents then.
struct IndexCheck {
  std::string node;               // that takes them, with its operator
  TensorId guarded = kNoTensor;   // what is computed with them: where nobody wants it, none asks
  TensorId position = kNoTensor;  // i32, of rank 0: of the first that is outside, row-major, or
                                  // their count
  TensorId index = kNoTensor;     // i64, of rank 0: that index, or 0
  Shape shape;                    // of the indices
  std::vector<int64_t> extents;   // of the index at position p: extents[p % size]
};

class ConstantMemory;

struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;  // in an order in which they can run
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<IndexCheck> checks;
  /// What may still be folded: some seconds, some memory, and more in proportion to the constants
  /// that the graph is given, so that a small file does not buy hours or gigabytes.
  double fold_steps_left = 1 << 26;
  int64_t fold_bytes_left = int64_t{64} << 20;
  /// Of a model that may be made for other shapes (constant_memory.h), or null.
  std::shared_ptr<ConstantMemory> memory;

  TensorId add_tensor(std::string name, DType dtype, Shape shape);
  TensorId add_constant(std::string name, HostTensor value);
  TensorId add_constant(std::string name, std::shared_ptr<const HostTensor> value);
  /// Appends the node. Extents and indices that are not given are those of the first result's
  /// tensor. If every input is a constant and the results are not large, the node is evaluated at
  /// once and its outputs become constants (only for nodes that write all of them). A node that
  /// writes no element is dropped. Errors: internal, when the node is malformed (an index that
  /// leaves its tensor).
  Result<void> add_node(Node node);
};

/// Loads of input number `input` in the whole node.
size_t load_count(const Node& node, uint32_t input);
/// Whether the result's coordinates are the axes, and the tensor is all that the axes run over.
bool is_whole(const Graph& graph, const Node& node, const NodeResult& result);

/// FLOP of one run: 1 per apply of an expression, 1 per step of a reduction; what the factors of a
/// sum of products of two tensors are made of is not counted.
double flop_count(const Node& node);

/// "conv_3: Conv sum(3,3,64) of load0[...] * load1[...] => ...", one line a node.
std::string to_string(const Graph& graph);

/// The reference: runs one node in double and 64-bit integers. `inputs` in node order; `outputs`,
/// in the order of its results, are whole tensors, of which the node writes its regions.
Result<void> evaluate_node(const Graph& graph, const Node& node,
                           std::span<const HostTensor* const> inputs,
                           std::span<HostTensor* const> outputs);
/// Some elements of what the node computes: for each point, coordinates over the node's extents,
/// the value of each result. The node has no program. Errors: internal, when it reads outside an
/// input.
Result<std::vector<std::vector<double>>> evaluate_points(const Graph& graph, const Node& node,
                                                         std::span<const HostTensor* const> inputs,
                                                         std::span<const Shape> points);
/// evaluate_node for a node with a program that is no written kernel.
void evaluate_program(const Node& node, std::span<const HostTensor* const> inputs,
                      std::span<HostTensor* const> outputs);
/// Runs the whole graph; one value per graph input, results in the order of graph.outputs.
Result<std::vector<HostTensor>> evaluate(const Graph& graph, std::span<const HostTensor> inputs);

}  // namespace leat
