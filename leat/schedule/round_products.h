// The step that takes a user's word for rounding (Precision): factors of products of matrices in
// f32 become tensors of 16 bits, where the target stores and multiplies such. It stands before all
// others, which then see a graph that is as if the model had said so.
#pragma once

#include "leat/base/precision.h"
#include "leat/base/target.h"
#include "leat/schedule/plan.h"

namespace leat {

/// Rounds what products multiply, each factor once: constants here, the others where they are
/// stored. A tensor that nothing else reads is of 16 bits, as is what is only moved, or of which
/// the largest are taken, on its way to products; another one gets a copy. Sums and results stay
/// f32. Products stay as they are that have few terms, that the target would not multiply faster,
/// whose factors are made of few bits, or whose weights have no f16. Every node of the graph is
/// wanted, and no tensor is read before all of it is written. Precision::i8: quantize_products.h.
/// Precision::tf32 is the choice's matter. Errors: those of adding nodes.
Result<ProductCounts> round_products(Graph& graph, const Target& target, Precision precision);

}  // namespace leat
