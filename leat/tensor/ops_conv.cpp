// Convolution: one contraction with the window's taps as part of k (implicit GEMM, no im2col).
// Where every group has a single input channel there is nothing to contract over but the window,
// and the node is a map-reduce.
#include <fmt/format.h>

#include "leat/tensor/contraction_index.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
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

/// Axes: [group], N, spatial..., K/groups, kernel..., C/groups.
Contraction contraction_of(const Conv& conv) {
  const ResolvedWindow& window = conv.window;
  const size_t spatial = conv.spatial();
  const bool grouped = conv.groups > 1;
  Contraction c;
  if (grouped) c.batch = {conv.groups};
  c.m = {conv.x_shape[0]};
  c.m.insert(c.m.end(), window.output.begin(), window.output.end());
  c.n = {conv.out_channels()};
  c.k = window.kernel;
  c.k.push_back(conv.in_channels());
  const size_t first_m = c.batch.size();
  const size_t first_n = first_m + c.m.size();
  const size_t first_k = first_n + 1;
  const size_t count = first_k + c.k.size();
  const size_t channel = count - 1;
  const auto grouped_index = [&](size_t axis, int64_t group_size) {
    std::vector<std::pair<size_t, int64_t>> terms = {{axis, 1}};
    if (grouped) terms.push_back({0, group_size});
    return affine_of(count, std::move(terms));
  };
  c.a = {.input = 0, .index = {affine_of(count, {{first_m, 1}})}, .bounded = {false, false}};
  c.a.index.push_back(grouped_index(channel, conv.in_channels()));
  c.b = {.input = 1, .index = {grouped_index(first_n, conv.out_channels())}, .bounded = {}};
  c.b.index.push_back(affine_of(count, {{channel, 1}}));
  c.out_index = {affine_of(count, {{first_m, 1}}), grouped_index(first_n, conv.out_channels())};
  for (size_t d = 0; d < spatial; ++d) {
    const size_t out = first_m + 1 + d;
    const size_t tap = first_k + d;
    c.a.index.push_back(affine_of(count, {{out, window.strides[d]}, {tap, window.dilations[d]}},
                                  -window.pads_begin[d]));
    c.a.bounded.push_back(window.leaves(d, conv.x_shape[2 + d]));
    c.b.index.push_back(affine_of(count, {{tap, 1}}));
    c.out_index.push_back(affine_of(count, {{out, 1}}));
  }
  c.b.bounded.assign(conv.w_shape.size(), false);
  return c;
}

/// One input channel per group: the sum runs over the window alone.
Result<TensorId> depthwise(Graph& graph, const Place& place, const Conv& conv) {
  NodeWriter writer(graph, place);
  const size_t rank = conv.x_shape.size();
  std::vector<Term> x_index = {writer.axis(0),
                               writer.axis(1) / static_cast<double>(conv.out_channels())};
  std::vector<Term> w_index = {writer.axis(1), writer.integer(0)};
  Term inside = writer.truth(true);
  for (size_t d = 0; d < conv.spatial(); ++d) {
    const WindowTap tap = window_tap(writer, conv.window, d, writer.axis(2 + d),
                                     writer.axis(rank + d), conv.x_shape[2 + d]);
    x_index.push_back(tap.index);
    w_index.push_back(writer.axis(rank + d));
    inside = both(inside, tap.inside);
  }
  const Term element = writer.load(conv.x, x_index, inside) * writer.load(conv.w, w_index);
  const Term result = add_channel_bias(writer, writer.accumulator(), conv.bias);
  return writer.reduce(dtype_of(graph, conv.x), conv.out_shape, ReduceOp::sum, conv.window.kernel,
                       element, result);
}

}  // namespace

Result<TensorId> conv(Graph& graph, std::string_view name, TensorId x, TensorId w, TensorId bias,
                      const ConvOptions& options) {
  const Place place(graph, "Conv", name);
  TRY(require_float(graph, place, x));
  TRY(require_same_dtype(graph, place, x, w));
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
  TRY(require_bias(graph, place, x, bias, conv.w_shape[0]));
  conv.out_shape = {conv.x_shape[0], conv.w_shape[0]};
  conv.out_shape.insert(conv.out_shape.end(), conv.window.output.begin(), conv.window.output.end());
  TRY(require_shape(place, conv.out_shape));
  if (conv.groups > 1 && conv.in_channels() == 1) return depthwise(graph, place, conv);
  NodeWriter writer(graph, place);
  writer.input(x);
  writer.node().inputs.push_back(w);  // input 1, even if it is the same tensor as x
  const Term result = add_channel_bias(writer, writer.accumulator(), bias);
  return writer.contract(dtype_of(graph, x), conv.out_shape, contraction_of(conv), result);
}

}  // namespace leat::ops
