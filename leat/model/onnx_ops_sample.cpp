// ONNX operators that read pictures at computed places. Source: ONNX operator schemas GridSample
// 16/20/22, AffineGrid 20, RoiAlign 10/16/22, MaxRoiPool 1/22, DeformConv 19/22.
#include "leat/tensor/ops_sample.h"

#include <fmt/format.h>

#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"

namespace leat::onnx_ops {
namespace {

void fail_mode(OnnxNode& node, std::string_view attribute, std::string_view value) {
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"{}\" (\"{}\") is not a known one.", attribute, value));
}

/// Opset 16 has names of its own for the modes in two dimensions.
ops::SampleMode read_mode(OnnxNode& node) {
  const std::string mode = node.text("mode", "linear");
  if (mode == "nearest") return ops::SampleMode::nearest;
  if (mode == "cubic" || mode == "bicubic") return ops::SampleMode::cubic;
  if (mode != "linear" && mode != "bilinear") fail_mode(node, "mode", mode);
  return ops::SampleMode::linear;
}

ops::SamplePadding read_padding(OnnxNode& node) {
  const std::string padding = node.text("padding_mode", "zeros");
  if (padding == "border") return ops::SamplePadding::border;
  if (padding == "reflection") return ops::SamplePadding::reflection;
  if (padding != "zeros") fail_mode(node, "padding_mode", padding);
  return ops::SamplePadding::zeros;
}

Result<TensorId> import_grid_sample(OnnxNode& node) {
  const ops::GridSampleOptions options = {.mode = read_mode(node),
                                          .padding = read_padding(node),
                                          .align_corners = node.flag("align_corners", false)};
  return ops::grid_sample(node.graph(), node.name(), node.input(0), node.input(1), options);
}

Result<TensorId> import_affine_grid(OnnxNode& node) {
  const Ints size = node.constant_integers(1, "size");
  const bool align_corners = node.flag("align_corners", false);
  if (node.failure()) return *node.failure();
  return ops::affine_grid(node.graph(), node.name(), node.input(0), size, align_corners);
}

/// Opset 10 knows no half pixels.
bool has_half_pixels(OnnxNode& node) {
  if (node.opset() < 16) return false;
  const std::string mode = node.text("coordinate_transformation_mode", "half_pixel");
  if (mode != "half_pixel" && mode != "output_half_pixel") {
    fail_mode(node, "coordinate_transformation_mode", mode);
  }
  return mode == "half_pixel";
}

Result<TensorId> import_roi_align(OnnxNode& node) {
  const std::string mode = node.text("mode", "avg");
  if (mode != "avg" && mode != "max") fail_mode(node, "mode", mode);
  const ops::RoiAlignOptions options = {
      .output = {node.integer("output_height", 1), node.integer("output_width", 1)},
      .sampling_ratio = node.integer("sampling_ratio", 0),
      .spatial_scale = node.number("spatial_scale", 1),
      .maximum = mode == "max",
      .half_pixel = has_half_pixels(node)};
  return ops::roi_align(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                        options);
}

Result<TensorId> import_max_roi_pool(OnnxNode& node) {
  const Ints output = node.integers("pooled_shape");
  const double spatial_scale = node.number("spatial_scale", 1);
  return ops::max_roi_pool(node.graph(), node.name(), node.input(0), node.input(1), output,
                           spatial_scale);
}

Result<TensorId> import_deform_conv(OnnxNode& node) {
  const ops::DeformConvInputs inputs = {.x = node.input(0),
                                        .w = node.input(1),
                                        .offsets = node.input(2),
                                        .bias = node.input(3),
                                        .mask = node.input(4)};
  const ops::DeformConvOptions options = {.window = read_window(node),
                                          .groups = node.integer("group", 1),
                                          .offset_groups = node.integer("offset_group", 1)};
  return ops::deform_conv(node.graph(), node.name(), inputs, options);
}

constexpr OnnxOperator kOperators[] = {
    {"GridSample", 16, 2, 2, 1, "float; nearest: all", import_grid_sample,
     "one to three spatial dimensions"},
    {"AffineGrid", 20, 2, 2, 1, "float", import_affine_grid, "constant size"},
    {"RoiAlign", 10, 3, 3, 1, "float", import_roi_align},
    {"MaxRoiPool", 6, 2, 2, 1, "float", import_max_roi_pool},
    {"DeformConv", 19, 3, 5, 1, "float", import_deform_conv, "one to three spatial dimensions"},
};

}  // namespace

std::span<const OnnxOperator> sample_operators() { return kOperators; }

}  // namespace leat::onnx_ops
