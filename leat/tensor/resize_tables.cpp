// Source of all formulas: ONNX Resize, opset 11 to 19: coordinate_transformation_mode,
// nearest_mode, the cubic convolution kernel of Keys with coefficient a, exclude_outside, and
// antialias, which stretches the kernel by 1 / scale when the image shrinks.
#include "leat/tensor/resize_tables.h"

#include <algorithm>
#include <cmath>

namespace leat::ops {
namespace {

/// The input coordinate of output position `at`.
double input_coordinate(const ResizeAxis& axis, CoordinateMode mode, double at) {
  const double in = static_cast<double>(axis.in);
  const double out = static_cast<double>(axis.out);
  const double resized = axis.scale * in;  // not whole when a scale was given
  switch (mode) {
    case CoordinateMode::half_pixel: return (at + 0.5) / axis.scale - 0.5;
    case CoordinateMode::half_pixel_symmetric:
      return in / 2 * (1 - out / resized) + (at + 0.5) / axis.scale - 0.5;
    case CoordinateMode::pytorch_half_pixel:
      return axis.out > 1 ? (at + 0.5) / axis.scale - 0.5 : 0;
    case CoordinateMode::align_corners: return resized == 1 ? 0 : at * (in - 1) / (resized - 1);
    case CoordinateMode::asymmetric: return at / axis.scale;
    case CoordinateMode::tf_half_pixel_for_nn: return (at + 0.5) / axis.scale;
    case CoordinateMode::tf_crop_and_resize:
      if (axis.out <= 1) return 0.5 * (axis.roi_start + axis.roi_end) * (in - 1);
      return axis.roi_start * (in - 1) +
             at * (axis.roi_end - axis.roi_start) * (in - 1) / (out - 1);
  }
  return at;
}

double nearest(double x, NearestMode mode, double scale) {
  switch (mode) {
    case NearestMode::opset_10: return scale < 1 ? std::ceil(x) : std::floor(x);
    case NearestMode::round_prefer_floor: return std::ceil(x - 0.5);
    case NearestMode::round_prefer_ceil: return std::floor(x + 0.5);
    case NearestMode::floor: return std::floor(x);
    case NearestMode::ceil: return std::ceil(x);
  }
  return x;
}

/// Weight of a tap at `distance` from the coordinate.
double linear_weight(double distance) { return std::max(0.0, 1 - std::fabs(distance)); }

double cubic_weight(double distance, double a) {
  const double d = std::fabs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

int64_t radius_of(const ResizeOptions& options) {
  return options.mode == ResizeMode::cubic ? 2 : 1;
}

double stretch_of(const ResizeAxis& axis, const ResizeOptions& options) {
  return options.antialias ? std::min(axis.scale, 1.0) : 1.0;
}

/// Taps below and including the coordinate's floor; as many stand above it.
int64_t half_taps(const ResizeAxis& axis, const ResizeOptions& options) {
  const double reach = static_cast<double>(radius_of(options)) / stretch_of(axis, options);
  return static_cast<int64_t>(std::ceil(std::min(reach, 1e9)));
}

void add_weighted_row(const ResizeAxis& axis, const ResizeOptions& options, double x,
                      AxisTaps& taps) {
  const double stretch = stretch_of(axis, options);
  const double base = std::floor(x);
  const int64_t half = taps.taps / 2;
  std::vector<double> weights;
  double sum = 0;
  for (int64_t t = 0; t < taps.taps; ++t) {
    const double position = base + static_cast<double>(t - half + 1);
    const double distance = (position - x) * stretch;
    double weight = options.mode == ResizeMode::cubic
                        ? cubic_weight(distance, options.cubic_coeff_a)
                        : linear_weight(distance);
    const double last = static_cast<double>(axis.in - 1);
    if (options.exclude_outside && (position < 0 || position > last)) weight = 0;
    weights.push_back(weight);
    sum += weight;
    taps.index.push_back(static_cast<int64_t>(std::clamp(position, 0.0, last)));
  }
  // Plain kernels sum to 1 by themselves.
  const bool normalise = (options.exclude_outside || options.antialias) && sum != 0;
  for (double weight : weights) taps.weight.push_back(normalise ? weight / sum : weight);
}

}  // namespace

bool is_identity(const ResizeAxis& axis, const ResizeOptions& options) {
  const CoordinateMode mode = options.coordinate_mode;
  const bool plain =
      mode != CoordinateMode::tf_crop_and_resize && mode != CoordinateMode::tf_half_pixel_for_nn;
  const bool whole_crop = mode == CoordinateMode::tf_crop_and_resize && axis.roi_start == 0 &&
                          axis.roi_end == 1 && axis.out > 1;
  return axis.in == axis.out && ((plain && axis.scale == 1) || whole_crop);
}

int64_t tap_count(const ResizeAxis& axis, const ResizeOptions& options) {
  return options.mode == ResizeMode::nearest ? 1 : 2 * half_taps(axis, options);
}

AxisTaps axis_taps(const ResizeAxis& axis, const ResizeOptions& options) {
  AxisTaps taps = {.taps = tap_count(axis, options), .index = {}, .weight = {}, .outside = {}};
  const double last = static_cast<double>(axis.in - 1);
  for (int64_t out = 0; out < axis.out; ++out) {
    const double x = input_coordinate(axis, options.coordinate_mode, static_cast<double>(out));
    taps.outside.push_back(x < 0 || x > last);
    if (options.mode == ResizeMode::nearest) {
      const double index = std::clamp(nearest(x, options.nearest_mode, axis.scale), 0.0, last);
      taps.index.push_back(static_cast<int64_t>(index));
    } else {
      add_weighted_row(axis, options, x, taps);
    }
  }
  return taps;
}

}  // namespace leat::ops
