// Products of matrices of two f32 tensors, which a user may let be rounded: what steps that do so
// ask of one.
#pragma once

#include <optional>

#include "leat/tensor/contraction.h"

namespace leat {

/// The product of two f32 tensors that the node is.
std::optional<Contraction> find_f32_product(const Graph& graph, const Node& node);
/// Whether it has some terms, and each factor is what is stored, and read for it alone.
bool has_plain_factors(const Node& node, const Contraction& product);
/// Whether a CPU that multiplies several k at once takes it: plain factors, of which one is weights
/// that can be packed (check_dot in legality.cpp).
bool is_dot_product(const Graph& graph, const Node& node, const Contraction& product);

}  // namespace leat
