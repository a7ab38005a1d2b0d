// The geometry of a sliding window: what conv, conv_transpose and pooling share. ops.h has the
// options as a model states them; ResolvedWindow has every number filled in and checked.
#pragma once

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

/// One entry per spatial dimension each.
struct ResolvedWindow {
  Ints kernel, strides, dilations, pads_begin, pads_end;
  Ints output;  // extents of the result

  /// Input elements from the first to the last tap.
  int64_t reach(size_t d) const { return (kernel[d] - 1) * dilations[d] + 1; }
  /// True when some window has a tap outside [0, extent).
  bool leaves(size_t d, int64_t extent) const {
    return pads_begin[d] > 0 ||
           (output[d] - 1) * strides[d] + reach(d) - 1 - pads_begin[d] >= extent;
  }
};

/// Fills in defaults and checks that every list has `spatial` entries of sane size. `kernel` is
/// used when window.kernel is empty. auto_pad and `output` are left to the caller.
Result<ResolvedWindow> fill_window(const Place& place, const Window& window, const Ints& kernel,
                                   size_t spatial);
/// The same for conv and pooling over `input` (spatial extents), with pads and output computed.
Result<ResolvedWindow> resolve_window(const Place& place, const Window& window, const Ints& kernel,
                                      const Ints& input);

/// Where one tap of a window reads in one dimension, and whether that is inside the input.
struct WindowTap {
  Term index;
  Term inside;  // constant true where no window leaves the input
};
WindowTap window_tap(NodeWriter& writer, const ResolvedWindow& window, size_t d, Term output,
                     Term tap, int64_t extent);

/// Checks rank >= 3 and returns the extents after N and C.
Result<Ints> spatial_extents(const Place& place, const Shape& shape);

}  // namespace leat::ops
