// Convolution: one sum of products with the window's taps as reduce axes (implicit GEMM, no
// im2col).
#include <fmt/format.h>

#include "leat/tensor/channel_bias.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/products.h"
#include "leat/tensor/window.h"

namespace leat::ops {
namespace {

struct Conv {
  TensorId x, w, bias;
  Shape x_shape, w_shape, out_shape;
  int64_t groups;
  ResolvedWindow window;

  size_t spatial() const { return x_shape.size() - 2; }
  int64_t in_channels() const { return w_shape[1]; }            // of one group
  int64_t out_channels() const { return w_shape[0] / groups; }  // of one group
};

Result<void> check_channels(const Place& place, const Conv& conv) {
  if (conv.x_shape.size() != conv.w_shape.size()) {
    return place.error(fmt::format("The weight's shape {} does not have the rank of the input {}.",
                                   to_string(conv.w_shape), to_string(conv.x_shape)));
  }
  if (conv.groups < 1 || conv.w_shape[0] % conv.groups != 0 || conv.x_shape[1] % conv.groups != 0 ||
      conv.x_shape[1] / conv.groups != conv.w_shape[1] || conv.w_shape[1] == 0) {
    return place.error(
        fmt::format("The weight's shape {} does not fit the input's channels ({}) "
                    "in {} groups.",
                    to_string(conv.w_shape), conv.x_shape[1], conv.groups));
  }
  return {};
}

/// The loops of a convolution, and what its operands' channels are on them. Groups are an axis
/// where they are products of matrices. Where a group reads a single channel there is nothing to
/// multiply but the window, and the output's channels are one axis.
struct ConvLoops {
  Loops loops;
  Shape reduce;               // the window's taps, then the channels of a group
  Term image, in, w_in, out;  // in, w_in: channel of x and of w
  std::vector<Term> spatial, taps;
};

ConvLoops loops_of(NodeWriter& writer, const Conv& conv) {
  const bool grouped = conv.groups > 1;
  const bool depthwise = grouped && conv.in_channels() == 1;
  ConvLoops c;
  Shape& extents = c.loops.extents;
  const auto add = [&](int64_t extent) {
    extents.push_back(extent);
    return writer.axis(extents.size() - 1);
  };
  Term group = writer.integer(0);
  if (grouped && !depthwise) group = add(conv.groups);
  c.image = add(conv.x_shape[0]);
  if (depthwise) {
    c.out = add(conv.w_shape[0]);
    group = c.out / static_cast<double>(conv.out_channels());
  }
  for (int64_t extent : conv.window.output) c.spatial.push_back(add(extent));
  if (!depthwise)
    c.out = add(conv.out_channels()) + group * static_cast<double>(conv.out_channels());
  c.loops.index = {c.image, c.out};
  c.loops.index.insert(c.loops.index.end(), c.spatial.begin(), c.spatial.end());
  c.reduce = conv.window.kernel;
  for (size_t d = 0; d < c.reduce.size(); ++d) c.taps.push_back(writer.axis(extents.size() + d));
  c.w_in = writer.integer(0);
  if (!depthwise) {
    c.w_in = writer.axis(extents.size() + c.reduce.size());
    c.reduce.push_back(conv.in_channels());
  }
  c.in = c.w_in + group * static_cast<double>(conv.in_channels());
  return c;
}

}  // namespace

Result<TensorId> conv_of(Graph& graph, const Place& place, TensorId x, TensorId w, TensorId bias,
                         DType dtype, const ConvOptions& options, const Factors& factors) {
  Conv conv = {.x = x,
               .w = w,
               .bias = bias,
               .x_shape = shape_of(graph, x),
               .w_shape = shape_of(graph, w),
               .out_shape = {},
               .groups = options.groups,
               .window = {}};
  TRY_ASSIGN(const Ints input, spatial_extents(place, conv.x_shape));
  TRY(check_channels(place, conv));
  const Ints kernel(conv.w_shape.begin() + 2, conv.w_shape.end());
  TRY_ASSIGN(conv.window, resolve_window(place, options.window, kernel, input));
  TRY(require_bias(graph, place, dtype, bias, conv.w_shape[0]));
  conv.out_shape = {conv.x_shape[0], conv.w_shape[0]};
  conv.out_shape.insert(conv.out_shape.end(), conv.window.output.begin(), conv.window.output.end());
  TRY(require_shape(place, conv.out_shape));
  NodeWriter writer(graph, place);
  const ConvLoops c = loops_of(writer, conv);
  std::vector<Term> x_index = {c.image, c.in};
  std::vector<Term> w_index = {c.out, c.w_in};
  Term inside = writer.truth(true);
  for (size_t d = 0; d < conv.spatial(); ++d) {
    const WindowTap tap =
        window_tap(writer, conv.window, d, c.spatial[d], c.taps[d], conv.x_shape[2 + d]);
    x_index.push_back(tap.index);
    w_index.push_back(c.taps[d]);
    inside = both(inside, tap.inside);
  }
  Term pixel = writer.load(x, x_index, inside);
  if (factors.a) pixel = select(inside, factors.a(writer, pixel, x_index), 0);
  Term weight = writer.load(w, w_index);
  if (factors.b) weight = factors.b(writer, weight, w_index);
  const Term element = pixel * weight;
  const Term value = add_channel_bias(writer, writer.accumulator(element.type()), bias, c.out);
  return writer.reduce(dtype, conv.out_shape, c.loops, {ReduceOp::sum, c.reduce, element}, value);
}

Result<TensorId> conv(Graph& graph, std::string_view name, TensorId x, TensorId w, TensorId bias,
                      const ConvOptions& options) {
  const Place place(graph, "Conv", name);
  TRY(require_float(graph, place, x));
  TRY(require_same_dtype(graph, place, x, w));
  return conv_of(graph, place, x, w, bias, dtype_of(graph, x), options, {});
}

}  // namespace leat::ops
