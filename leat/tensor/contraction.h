// A node seen as a product of matrices. Nobody says that a node is one; it is found in what the
// node computes:
//   out[m,n] = value( sum over k of A(m,k) * B(k,n) ), batched,
// where each factor is an expression of one load at affine indices, a cast or a dequantisation of
// it, and 0 where that load would leave its tensor.
#pragma once

#include <optional>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

/// One factor: input number, and per tensor dimension an affine index. A bounded dimension reads 0
/// outside the tensor; an unbounded one never leaves it. The factor is `value`, an expression of
/// the node whose loads are `load`, the one of `input` that moves with k, and others that do not
/// move with k (scales, zero points); `inside` is the condition that `bounded` describes.
struct ContractionOperand {
  uint32_t input = 0;
  std::vector<Affine> index;
  std::vector<bool> bounded;
  ExprId load = kNoExpr;
  ExprId value = kNoExpr;
  ExprId inside = kNoExpr;  // none where nothing is bounded

  /// Whether the factor is what is loaded.
  bool is_plain() const { return value == load; }
};

/// A factor that is a whole number of memory less another, which does not move with k.
struct ShiftedFactor {
  ExprId shift = kNoExpr;  // of the node's expressions, i32; none where nothing is subtracted
};

/// The loop axes by the factors that move with them: both (batch), A (m), B (n); k is reduced. They
/// are numbered batch, m, n, k, in that order, and within each as the node has them.
struct Contraction {
  Shape batch, m, n, k;
  std::vector<uint32_t> axes;         // the node's number of each
  ContractionOperand a;               // over batch, m, k
  ContractionOperand b;               // over batch, n, k
  std::vector<Affine> out_index;      // of the node's one result, k's coefficients 0
  ScalarType type = ScalarType::f32;  // of the sums: f32, or i32, which wraps
};

/// Nothing unless the node sums f32 or i32 products of two such factors, of which each has an axis
/// of its own (for one of them an axis of neither may stand), and has one result.
std::optional<Contraction> find_contraction(const Graph& graph, const Node& node);

/// Nothing unless the factor of the node is the i32 that it loads, or that less what stands still.
std::optional<ShiftedFactor> shifted_factor(const Node& node, const ContractionOperand& operand);

}  // namespace leat
