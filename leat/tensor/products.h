// Sums of products whose factors are expressions of what the tensors hold: what matmul and conv
// share with their forms for quantised numbers, which subtract a zero point from each factor.
#pragma once

#include <functional>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

/// A factor: of `loaded`, the element of its tensor at `index`, one term per dimension.
using FactorOf =
    std::function<Term(NodeWriter& writer, Term loaded, const std::vector<Term>& index)>;

/// What a product multiplies; an empty function is the element itself. Both factors have one type,
/// in which they are summed, and which the result's dtype has.
struct Factors {
  FactorOf a, b;
};

/// matmul of ops.h with these factors. Errors: as there.
Result<TensorId> matmul_of(Graph& graph, const Place& place, TensorId a, TensorId b, DType dtype,
                           const Factors& factors);
/// conv of ops.h with these factors, of x and w; beyond the input's edge a factor is 0. The bias
/// has the result's dtype. Errors: as there.
Result<TensorId> conv_of(Graph& graph, const Place& place, TensorId x, TensorId w, TensorId bias,
                         DType dtype, const ConvOptions& options, const Factors& factors);

}  // namespace leat::ops
