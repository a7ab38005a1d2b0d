// Window geometry. Source: ONNX Conv and the pooling operators: auto_pad, ceil_mode, and the rule
// that no window may start in the end padding.
#include "leat/tensor/window.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat::ops {
namespace {

struct Limits {
  size_t count;
  int64_t low;
};

Result<Ints> fill_list(const Place& place, std::string_view what, const Ints& values, Limits limits,
                       int64_t otherwise) {
  if (values.empty()) return Ints(limits.count, otherwise);
  if (values.size() != limits.count) {
    return place.error(fmt::format("The number of {} ({}) does not fit the spatial rank ({}).",
                                   what, values.size(), limits.count));
  }
  for (int64_t value : values) {
    if (value < limits.low || value > kElementsMax) {
      return place.error(fmt::format("The {} {} are outside {} to {}.", what, list_text(values),
                                     limits.low, kElementsMax));
    }
  }
  return values;
}

/// Pads of SAME_UPPER and SAME_LOWER: the result is ceil(input / stride).
void pad_to_same(ResolvedWindow& window, size_t d, int64_t input, bool upper) {
  const int64_t output = (input + window.strides[d] - 1) / window.strides[d];
  const int64_t needed = (output - 1) * window.strides[d] + window.reach(d) - input;
  const int64_t total = std::max<int64_t>(needed, 0);
  window.pads_begin[d] = upper ? total / 2 : total - total / 2;
  window.pads_end[d] = total - window.pads_begin[d];
}

}  // namespace

Result<ResolvedWindow> fill_window(const Place& place, const Window& window, const Ints& kernel,
                                   size_t spatial) {
  ResolvedWindow resolved;
  const Ints& given = window.kernel.empty() ? kernel : window.kernel;
  if (given.empty()) return place.error("The window has no kernel extents.");
  TRY_ASSIGN(resolved.kernel, fill_list(place, "kernel extents", given, {spatial, 1}, 1));
  TRY_ASSIGN(resolved.strides, fill_list(place, "strides", window.strides, {spatial, 1}, 1));
  TRY_ASSIGN(resolved.dilations, fill_list(place, "dilations", window.dilations, {spatial, 1}, 1));
  TRY_ASSIGN(const Ints pads, fill_list(place, "pads", window.pads, {2 * spatial, 0}, 0));
  if (!kernel.empty() && resolved.kernel != kernel) {
    return place.error(fmt::format("The kernel extents {} are not those of the weight {}.",
                                   list_text(resolved.kernel), list_text(kernel)));
  }
  if (window.auto_pad != AutoPad::none &&
      std::ranges::any_of(pads, [](int64_t pad) { return pad != 0; })) {
    return place.error(fmt::format("The pads {} stand beside auto_pad.", list_text(pads)));
  }
  const auto middle = pads.begin() + static_cast<ptrdiff_t>(spatial);
  resolved.pads_begin.assign(pads.begin(), middle);
  resolved.pads_end.assign(middle, pads.end());
  return resolved;
}

Result<ResolvedWindow> resolve_window(const Place& place, const Window& window, const Ints& kernel,
                                      const Ints& input) {
  TRY_ASSIGN(ResolvedWindow resolved, fill_window(place, window, kernel, input.size()));
  for (size_t d = 0; d < input.size(); ++d) {
    if (window.auto_pad == AutoPad::same_upper || window.auto_pad == AutoPad::same_lower) {
      pad_to_same(resolved, d, input[d], window.auto_pad == AutoPad::same_upper);
    }
    const int64_t begin = resolved.pads_begin[d];
    const int64_t padded = input[d] + begin + resolved.pads_end[d];
    if (padded > kElementsMax) {
      return place.error(fmt::format(
          "The padded input ({}) in spatial dimension {} is larger than the limit ({}).", padded, d,
          kElementsMax));
    }
    const int64_t room = padded - resolved.reach(d);
    if (room < 0) {
      return place.error(
          fmt::format("The window's extent ({}) is larger than the padded input "
                      "({}) in spatial dimension {}.",
                      resolved.reach(d), room + resolved.reach(d), d));
    }
    const int64_t stride = resolved.strides[d];
    int64_t output = (window.ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
    if (window.ceil_mode && (output - 1) * stride >= input[d] + begin) --output;
    resolved.output.push_back(output);
  }
  return resolved;
}

WindowTap window_tap(NodeWriter& writer, const ResolvedWindow& window, size_t d, Term output,
                     Term tap, int64_t extent) {
  const Term index = output * static_cast<double>(window.strides[d]) +
                     tap * static_cast<double>(window.dilations[d]) -
                     static_cast<double>(window.pads_begin[d]);
  Term inside = writer.truth(true);
  if (window.pads_begin[d] > 0) inside = 0 <= index;
  const int64_t last =
      (window.output[d] - 1) * window.strides[d] + window.reach(d) - 1 - window.pads_begin[d];
  // Also where this extent's last window happens to end before the padding: other extents' do not,
  // and their kernel is the same then.
  if (window.pads_end[d] > 0 || last >= extent) {
    inside = both(inside, index < static_cast<double>(extent));
  }
  return {index, inside};
}

Result<Ints> spatial_extents(const Place& place, const Shape& shape) {
  if (shape.size() < 3) {
    return place.error(fmt::format("The input's shape {} has no spatial dimension after N and C.",
                                   to_string(shape)));
  }
  return Ints(shape.begin() + 2, shape.end());
}

}  // namespace leat::ops
