// What operators of attention outside the standard need around it: caches of keys, masks of
// padding, places in a sequence. The rules that all operators share stand in ops.h.
#pragma once

#include <string_view>

#include "leat/tensor/graph.h"

namespace leat::ops {

/// (B, heads, length, D): `fresh` (B, S, heads * D) or (B, heads, S, D), whose first row of batch
/// element b stands at starts[b] (B, i32; left out: 0), and around it what `past` (B, heads, P, D)
/// has there, if it is given, else 0.
Result<TensorId> key_cache(Graph& graph, std::string_view name, TensorId fresh, TensorId past,
                           TensorId starts, int64_t heads, int64_t length);

struct PaddingOptions {
  DType dtype = DType::f32;
  double masked = 0;  // what is added to scores of keys that are padding
  int64_t batch = 1, queries = 1, keys = 1;
};

/// Broadcasts to (B, 1, S, T): 0 for keys that count. `mask` of whole numbers is (B, T) or
/// (B, S, T), not 0 for these, (B), how many they are, or (2 * B), the ends of all batch elements,
/// then their starts.
Result<TensorId> padding_bias(Graph& graph, std::string_view name, TensorId mask,
                              const PaddingOptions& options);

/// i32 of (B): max(values[b] + added, 0).
Result<TensorId> moved_starts(Graph& graph, std::string_view name, TensorId values, int64_t added);

/// i32 of (B, S): starts[b] + s; of one start for all where it has only one, and from 0 on where it
/// is left out.
Result<TensorId> places_from(Graph& graph, std::string_view name, TensorId starts, int64_t batch,
                             int64_t length);

/// i32 of (B): the place of the first 0 in each row of the mask (B, S), or S; without a mask 0.
Result<TensorId> first_zero(Graph& graph, std::string_view name, TensorId mask, int64_t batch);

}  // namespace leat::ops
