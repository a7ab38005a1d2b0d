// ONNX Resize and Upsample. Source: ONNX operator schemas Upsample 7/9, Resize 10/11/13/18/19.
// Upsample and Resize 10 have no coordinate mode: they are asymmetric, and round up
// where an axis shrinks.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

/// The value that belongs to a text attribute.
template <typename T, size_t count>
T choose(OnnxNode& node, std::string_view attribute, std::string_view fallback,
         const std::pair<std::string_view, T> (&values)[count]) {
  const std::string text = node.text(attribute, fallback);
  for (const auto& [name, value] : values) {
    if (name == text) return value;
  }
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"{}\" (\"{}\") is not a known mode.", attribute, text));
  return values[0].second;
}

ops::ResizeMode read_mode(OnnxNode& node) {
  using enum ops::ResizeMode;
  constexpr std::pair<std::string_view, ops::ResizeMode> kModes[] = {
      {"nearest", nearest}, {"linear", linear}, {"bilinear", linear}, {"cubic", cubic}};
  return choose(node, "mode", "nearest", kModes);
}

ops::NearestMode read_nearest_mode(OnnxNode& node) {
  using enum ops::NearestMode;
  constexpr std::pair<std::string_view, ops::NearestMode> kModes[] = {
      {"round_prefer_floor", round_prefer_floor},
      {"round_prefer_ceil", round_prefer_ceil},
      {"floor", floor},
      {"ceil", ceil}};
  return choose(node, "nearest_mode", "round_prefer_floor", kModes);
}

ops::CoordinateMode read_coordinate_mode(OnnxNode& node) {
  using enum ops::CoordinateMode;
  constexpr std::pair<std::string_view, ops::CoordinateMode> kModes[] = {
      {"half_pixel", half_pixel},
      {"half_pixel_symmetric", half_pixel_symmetric},
      {"pytorch_half_pixel", pytorch_half_pixel},
      {"align_corners", align_corners},
      {"asymmetric", asymmetric},
      {"tf_half_pixel_for_nn", tf_half_pixel_for_nn},
      {"tf_crop_and_resize", tf_crop_and_resize}};
  return choose(node, "coordinate_transformation_mode", "half_pixel", kModes);
}

/// Scales only, asymmetric.
Result<TensorId> simple_resize(OnnxNode& node, std::vector<double> scales) {
  ops::ResizeOptions options;
  options.scales = std::move(scales);
  options.mode = read_mode(node);
  options.nearest_mode = ops::NearestMode::opset_10;
  options.coordinate_mode = ops::CoordinateMode::asymmetric;
  if (node.failure()) return *node.failure();
  return ops::resize(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_upsample(OnnxNode& node) {
  if (node.opset() < 9) {
    if (node.opset() >= 7) return simple_resize(node, node.numbers("scales"));
    return simple_resize(node,
                         {1, 1, node.number("height_scale", 1), node.number("width_scale", 1)});
  }
  return simple_resize(node, node.constant_numbers(1, "scales"));
}

/// The axes that scales, sizes and roi speak of.
Result<std::vector<size_t>> resize_axes(OnnxNode& node) {
  Ints axes = node.integers("axes");
  if (axes.empty()) {
    for (int64_t d = 0; d < node.rank(0); ++d) axes.push_back(d);
  }
  std::vector<size_t> resolved;
  for (int64_t axis : axes) {
    const int64_t counted = axis < 0 ? axis + node.rank(0) : axis;
    if (counted < 0 || counted >= node.rank(0)) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Axis ({}) is outside the input's rank ({}).", axis, node.rank(0)));
    }
    resolved.push_back(static_cast<size_t>(counted));
  }
  return resolved;
}

/// With an aspect ratio to keep, one scale holds for all axes and the sizes follow from it.
void keep_aspect_ratio(OnnxNode& node, const std::vector<size_t>& axes, bool not_larger,
                       ops::ResizeOptions& options) {
  double scale = not_larger ? INFINITY : 0;
  for (size_t axis : axes) {
    const double own =
        static_cast<double>(options.sizes[axis]) / static_cast<double>(node.shape(0)[axis]);
    scale = not_larger ? std::min(scale, own) : std::max(scale, own);
  }
  if (!std::isfinite(scale)) {
    node.fail(ErrorKind::invalid_argument, "The input is empty and has no aspect ratio to keep.");
    return;
  }
  options.scales.assign(node.shape(0).size(), 1);
  for (size_t axis : axes) {
    const double extent = scale * static_cast<double>(node.shape(0)[axis]);
    if (extent > static_cast<double>(kElementsMax)) {
      node.fail(
          ErrorKind::invalid_argument,
          fmt::format("Resized extent ({}) is larger than the limit ({}).", extent, kElementsMax));
      return;
    }
    options.scales[axis] = scale;
    options.sizes[axis] = static_cast<int64_t>(std::floor(extent + 0.5));
  }
}

Result<void> read_extents(OnnxNode& node, ops::ResizeOptions& options) {
  TRY_ASSIGN(const std::vector<size_t> axes, resize_axes(node));
  const std::vector<double> roi = node.constant_numbers(1, "roi");
  const std::vector<double> scales = node.constant_numbers(2, "scales");
  const Ints sizes = node.constant_integers(3, "sizes");
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (node.failure()) return {};
  if ((scales.empty() ? sizes.size() : scales.size()) != axes.size() ||
      (!scales.empty() && !sizes.empty())) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Numbers of scales ({}) and sizes ({}) do not fit the number of axes "
                             "({}).",
                             scales.size(), sizes.size(), axes.size()));
  }
  const size_t rank = node.shape(0).size();
  if (!scales.empty()) options.scales.assign(rank, 1);
  if (!sizes.empty()) options.sizes = node.shape(0);
  if (roi.size() == 2 * axes.size()) {
    options.roi.assign(2 * rank, 0);
    std::fill_n(options.roi.begin() + static_cast<std::ptrdiff_t>(rank), rank, 1.0);
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    if (!scales.empty()) options.scales[axes[i]] = scales[i];
    if (!sizes.empty()) options.sizes[axes[i]] = sizes[i];
    if (options.roi.empty()) continue;
    options.roi[axes[i]] = roi[i];
    options.roi[rank + axes[i]] = roi[axes.size() + i];
  }
  if (policy == "not_larger" || policy == "not_smaller") {
    if (!sizes.empty()) keep_aspect_ratio(node, axes, policy == "not_larger", options);
  } else if (policy != "stretch") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"keep_aspect_ratio_policy\" (\"{}\") is not a known policy.",
                          policy));
  }
  return {};
}

Result<TensorId> import_resize(OnnxNode& node) {
  if (node.opset() < 11) return simple_resize(node, node.constant_numbers(1, "scales"));
  ops::ResizeOptions options;
  options.mode = read_mode(node);
  options.nearest_mode = read_nearest_mode(node);
  options.coordinate_mode = read_coordinate_mode(node);
  options.cubic_coeff_a = node.number("cubic_coeff_a", -0.75);
  options.exclude_outside = node.integer("exclude_outside", 0) != 0;
  options.antialias = node.integer("antialias", 0) != 0;
  options.extrapolation_value = node.number("extrapolation_value", 0);
  TRY(read_extents(node, options));
  if (node.failure()) return *node.failure();
  return ops::resize(node.graph(), node.name(), node.input(0), options);
}

constexpr OnnxOperator kOperators[] = {
    {"Resize", 10, 1, 4, 1, "float, int", import_resize, "constant scales and sizes"},
    {"Upsample", 6, 1, 2, 1, "float, int", import_upsample, "constant scales; until opset 9"},
};

}  // namespace

std::span<const OnnxOperator> resize_operators() { return kOperators; }

}  // namespace leat::onnx_ops
