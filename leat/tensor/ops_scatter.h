// Operators that write where other tensors say, and their like. Rules of ops.h hold.
//
// Updates of one place are applied in the indices' row-major order, so that duplicates give the
// same result in every run: of several without a reduction the last stays. Negative indices count
// from the end. Constant indices are checked here; a computed one that points outside is skipped.
#pragma once

#include "leat/tensor/ops.h"

namespace leat::ops {

/// A copy of data, in which updates[..., i, ...] is at [..., indices[..., i, ...], ...] along the
/// axis, or joins what is there: sum, product, min or max. updates: data's dtype, indices' shape,
/// which is no larger than data's besides the axis.
Result<TensorId> scatter_elements(Graph& graph, std::string_view name, TensorId data,
                                  TensorId indices, TensorId updates, int64_t axis,
                                  ReduceOp reduction);
/// indices (..., q) name slices of data, which are updates' last dimensions.
Result<TensorId> scatter_nd(Graph& graph, std::string_view name, TensorId data, TensorId indices,
                            TensorId updates, ReduceOp reduction);

struct TensorScatterOptions {
  int64_t axis = -2;
  bool circular = false;  // what would stand behind the end begins again
};
/// past with `update` along the axis from the batch's starts[b] (i64, or left out: 0) on; without
/// `circular` what leaves the tensor is not written.
Result<TensorId> tensor_scatter(Graph& graph, std::string_view name, TensorId past, TensorId update,
                                TensorId starts, const TensorScatterOptions& options);

/// x (N, C, spatial...) at the places that max_pool_indices gave for it, with zeros between. An
/// index outside the plane of its channel, where max_pool_indices has none, is skipped.
/// output_shape: empty, or no smaller than what the window implies.
Result<TensorId> max_unpool(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                            const Window& window, const Ints& output_shape);

/// x (N, C * block elements, blocks) as an image (N, C, image...): sums where blocks overlap.
/// window.kernel is the block.
Result<TensorId> col2im(Graph& graph, std::string_view name, TensorId x, const Ints& image,
                        const Window& window);

struct ReverseOptions {
  int64_t batch_axis = 1;
  int64_t time_axis = 0;
};
/// The first lengths[b] elements along the time axis reversed.
Result<TensorId> reverse_sequence(Graph& graph, std::string_view name, TensorId x, TensorId lengths,
                                  const ReverseOptions& options);

/// The bits as another type of the same width; whole numbers, bool, f16 and bf16.
Result<TensorId> bit_cast(Graph& graph, std::string_view name, TensorId x, DType dtype);

}  // namespace leat::ops
