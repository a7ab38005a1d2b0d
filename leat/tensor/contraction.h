// A node seen as a product of matrices. Nobody says that a node is one; it is found in what the
// node computes:
//   out[m,n] = value( sum over k of A(m,k) * B(k,n) ), batched,
// where each factor is one load at affine indices, which reads 0 outside its tensor.
#pragma once

#include <optional>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

/// One factor: input number, and per tensor dimension an affine index. A bounded dimension reads 0
/// outside the tensor; an unbounded one never leaves it.
struct ContractionOperand {
  uint32_t input = 0;
  std::vector<Affine> index;
  std::vector<bool> bounded;
};

/// The loop axes by the factors that move with them: both (batch), A (m), B (n); k is reduced. They
/// are numbered batch, m, n, k, in that order, and within each as the node has them.
struct Contraction {
  Shape batch, m, n, k;
  std::vector<uint32_t> axes;     // the node's number of each
  ContractionOperand a;           // over batch, m, k
  ContractionOperand b;           // over batch, n, k
  std::vector<Affine> out_index;  // of the node's one result, k's coefficients 0
};

/// Nothing unless the node sums float products of two such factors, of which each has an axis of
/// its own (for one of them an axis of neither may stand), and has one result.
std::optional<Contraction> find_contraction(const Graph& graph, const Node& node);

}  // namespace leat
