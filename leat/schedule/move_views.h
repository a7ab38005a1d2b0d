// What only moves elements, before fusion: a view that keeps their order is none, and one that
// several nodes read, all of which only move elements themselves, is read through by each. So the
// heads of a transformer, which are a product reshaped, transposed and split, become what reads
// them, and nothing is copied.
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

void see_through_moves(Graph& graph);

}  // namespace leat
