// Transposed convolution: one node per output phase. Outputs whose coordinate has the same
// remainder by the stride are hit by the same taps, so each phase is an ordinary dense contraction
// over those taps that writes a strided view of the output: no atomics, no zeros multiplied. In one
// dimension,
//   out[o0 + q * stride] = sum over t of x[q + base - t * back] * w[first + t * step]
// where first is the lowest tap r with (o0 + pad - r * dilation) divisible by the stride. Phases
// that no tap hits write the bias.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "leat/tensor/channel_bias.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/window.h"

namespace leat::ops {
namespace {

/// A stride product beyond this makes more nodes than a network can use.
constexpr int64_t kPhasesMax = 4096;

/// One dimension of one phase.
struct Phase {
  int64_t offset = 0;  // o0
  int64_t count = 0;   // outputs
  int64_t taps = 0;
  int64_t first = 0;
  int64_t step = 1;
  int64_t base = 0;
  int64_t back = 0;
  bool bounded = false;
};

struct ConvTranspose {
  TensorId x, w, bias;
  Shape x_shape, w_shape, out_shape;
  int64_t groups;
  ResolvedWindow window;

  size_t spatial() const { return x_shape.size() - 2; }
  int64_t in_channels() const { return x_shape[1] / groups; }
  int64_t out_channels() const { return w_shape[1]; }  // of one group
};

Phase phase_of(const ConvTranspose& conv, size_t d, int64_t offset) {
  const ResolvedWindow& window = conv.window;
  const int64_t stride = window.strides[d];
  const int64_t dilation = window.dilations[d];
  Phase phase = {.offset = offset};
  phase.count = (window.output[d] - offset + stride - 1) / stride;
  const int64_t shifted = offset + window.pads_begin[d];
  phase.step = stride / std::gcd(stride, dilation);  // taps that hit lie this far apart
  while (phase.first < phase.step && (shifted - phase.first * dilation) % stride != 0) {
    ++phase.first;
  }
  if (phase.first < std::min(phase.step, window.kernel[d])) {
    phase.taps = (window.kernel[d] - 1 - phase.first) / phase.step + 1;
  }
  phase.base = (shifted - phase.first * dilation) / stride;
  phase.back = phase.step * dilation / stride;
  const int64_t lowest = phase.base - (phase.taps - 1) * phase.back;
  const int64_t highest = phase.count - 1 + phase.base;
  phase.bounded = lowest < 0 || highest >= conv.x_shape[2 + d];
  return phase;
}

/// Axes: [group], N, outputs of the phase..., K/groups; reduced: taps..., C/groups.
Result<void> write_products(NodeWriter& writer, const ConvTranspose& conv,
                            const std::vector<Phase>& phases, TensorId output) {
  const bool grouped = conv.groups > 1;
  Loops loops;
  const auto add = [&](int64_t extent) {
    loops.extents.push_back(extent);
    return writer.axis(loops.extents.size() - 1);
  };
  const Term group = grouped ? add(conv.groups) : writer.integer(0);
  const Term image = add(conv.x_shape[0]);
  std::vector<Term> outputs;
  for (const Phase& phase : phases) outputs.push_back(add(phase.count));
  const Term channel = add(conv.out_channels());
  const Term out = channel + group * static_cast<double>(conv.out_channels());
  const size_t first_tap = loops.extents.size();
  // Groups of one channel have nothing to multiply but the taps.
  const bool depthwise = grouped && conv.in_channels() == 1 && conv.out_channels() == 1;
  const Term in = (depthwise ? writer.integer(0) : writer.axis(first_tap + phases.size())) +
                  group * static_cast<double>(conv.in_channels());
  loops.index = {image, out};
  std::vector<Term> x_index = {image, in};
  std::vector<Term> w_index = {in, channel};
  Term inside = writer.truth(true);
  Shape reduce;
  for (size_t d = 0; d < phases.size(); ++d) {
    const Phase& phase = phases[d];
    const Term tap = writer.axis(first_tap + d);
    const Term index =
        outputs[d] - tap * static_cast<double>(phase.back) + static_cast<double>(phase.base);
    if (phase.bounded) {
      inside = both(inside, both(0 <= index, index < static_cast<double>(conv.x_shape[2 + d])));
    }
    x_index.push_back(index);
    w_index.push_back(tap * static_cast<double>(phase.step) + static_cast<double>(phase.first));
    loops.index.push_back(outputs[d] * static_cast<double>(conv.window.strides[d]) +
                          static_cast<double>(phase.offset));
    reduce.push_back(phase.taps);
  }
  if (!depthwise) reduce.push_back(conv.in_channels());
  const Term pixel = writer.load(conv.x, x_index, inside);
  const Term element = pixel * writer.load(conv.w, w_index);
  const Term value = add_channel_bias(writer, writer.accumulator(element.type()), conv.bias, out);
  return writer.reduce_into(output, loops, {ReduceOp::sum, reduce, element}, value);
}

/// A phase that no tap hits.
Result<void> write_bias(NodeWriter& writer, const ConvTranspose& conv,
                        const std::vector<Phase>& phases, TensorId output) {
  Loops loops = {{conv.out_shape[0], conv.out_shape[1]}, {writer.axis(0), writer.axis(1)}};
  for (size_t d = 0; d < phases.size(); ++d) {
    loops.extents.push_back(phases[d].count);
    loops.index.push_back(writer.axis(2 + d) * static_cast<double>(conv.window.strides[d]) +
                          static_cast<double>(phases[d].offset));
  }
  const Term value = add_channel_bias(writer, writer.number(conv.x, 0), conv.bias, writer.axis(1));
  return writer.map_into(output, loops, value);
}

/// Output extents, and the begin pads where output_shape or auto_pad decide them.
/// Source: ONNX ConvTranspose, the formulas of output_shape and auto_pad.
Result<void> resolve_output(const Place& place, const ConvTransposeOptions& options,
                            ConvTranspose& conv) {
  ResolvedWindow& window = conv.window;
  const AutoPad auto_pad = options.window.auto_pad;
  const bool same = auto_pad == AutoPad::same_upper || auto_pad == AutoPad::same_lower;
  const Ints none(conv.spatial(), 0);
  const Ints& padding = options.output_padding.empty() ? none : options.output_padding;
  const Ints& shape = options.output_shape;
  if (padding.size() != conv.spatial() || (!shape.empty() && shape.size() != conv.spatial())) {
    return place.error(
        fmt::format("output_padding {} or output_shape {} does not fit the spatial "
                    "rank ({}).",
                    list_text(padding), list_text(shape), conv.spatial()));
  }
  for (size_t d = 0; d < conv.spatial(); ++d) {
    const int64_t input = conv.x_shape[2 + d];
    if (padding[d] < 0 || padding[d] > kElementsMax || input < 1) {
      return place.error(
          fmt::format("The output padding ({}) or input extent ({}) is out of range "
                      "in spatial dimension {}.",
                      padding[d], input, d));
    }
    const int64_t full = window.strides[d] * (input - 1) + padding[d] + window.reach(d);
    int64_t output = full - window.pads_begin[d] - window.pads_end[d];
    if (!shape.empty() || same) {
      output = shape.empty() ? input * window.strides[d] : shape[d];
      const int64_t total = std::max<int64_t>(full - output, 0);
      window.pads_begin[d] = auto_pad == AutoPad::same_upper ? total / 2 : total - total / 2;
    }
    if (output < 1 || output > kElementsMax) {
      return place.error(
          fmt::format("The output extent ({}) in spatial dimension {} is outside 1 "
                      "to {}.",
                      output, d, kElementsMax));
    }
    window.output.push_back(output);
  }
  return {};
}

Result<ConvTranspose> resolve(const Graph& graph, const Place& place, TensorId x, TensorId w,
                              TensorId bias, const ConvTransposeOptions& options) {
  ConvTranspose conv = {.x = x,
                        .w = w,
                        .bias = bias,
                        .x_shape = shape_of(graph, x),
                        .w_shape = shape_of(graph, w),
                        .out_shape = {},
                        .groups = options.groups,
                        .window = {}};
  TRY_ASSIGN(const Ints input, spatial_extents(place, conv.x_shape));
  if (conv.w_shape.size() != conv.x_shape.size() || conv.groups < 1 ||
      conv.w_shape[0] != conv.x_shape[1] || conv.x_shape[1] % conv.groups != 0 ||
      conv.x_shape[1] == 0 || conv.w_shape[1] > kElementsMax / conv.groups) {
    return place.error(
        fmt::format("The weight's shape {} does not fit the input's shape {} in {} "
                    "groups.",
                    to_string(conv.w_shape), to_string(conv.x_shape), conv.groups));
  }
  const Ints kernel(conv.w_shape.begin() + 2, conv.w_shape.end());
  TRY_ASSIGN(conv.window, fill_window(place, options.window, kernel, input.size()));
  TRY(resolve_output(place, options, conv));
  TRY(require_bias(graph, place, dtype_of(graph, x), bias, conv.w_shape[1] * conv.groups));
  conv.out_shape = {conv.x_shape[0], conv.w_shape[1] * conv.groups};
  conv.out_shape.insert(conv.out_shape.end(), conv.window.output.begin(), conv.window.output.end());
  TRY(require_shape(place, conv.out_shape));
  return conv;
}

}  // namespace

Result<TensorId> conv_transpose(Graph& graph, std::string_view name, TensorId x, TensorId w,
                                TensorId bias, const ConvTransposeOptions& options) {
  const Place place(graph, "ConvTranspose", name);
  TRY(require_float(graph, place, x));
  TRY(require_same_dtype(graph, place, x, w));
  TRY_ASSIGN(const ConvTranspose conv, resolve(graph, place, x, w, bias, options));
  Shape phase_counts;
  double count = 1;
  for (size_t d = 0; d < conv.spatial(); ++d) {
    if (conv.window.strides[d] > kPhasesMax) count = HUGE_VAL;
    phase_counts.push_back(std::min(conv.window.strides[d], conv.window.output[d]));
    count *= static_cast<double>(phase_counts.back());
  }
  if (count > static_cast<double>(kPhasesMax)) {
    return place.error(fmt::format("The product of the strides {} is larger than the limit ({}).",
                                   list_text(conv.window.strides), kPhasesMax));
  }
  const TensorId output = graph.add_tensor(place.name, dtype_of(graph, x), conv.out_shape);
  Ints offsets(conv.spatial(), 0);
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
    std::vector<Phase> phases;
    int64_t rest = i;
    for (size_t d = conv.spatial(); d > 0; --d) {
      offsets[d - 1] = rest % phase_counts[d - 1];
      rest /= phase_counts[d - 1];
    }
    for (size_t d = 0; d < conv.spatial(); ++d) phases.push_back(phase_of(conv, d, offsets[d]));
    NodeWriter writer(graph, place, count > 1 ? fmt::format("/{}", i) : "");
    const bool hit = std::ranges::all_of(phases, [](const Phase& phase) { return phase.taps > 0; });
    TRY(hit ? write_products(writer, conv, phases, output)
            : write_bias(writer, conv, phases, output));
  }
  return output;
}

}  // namespace leat::ops
