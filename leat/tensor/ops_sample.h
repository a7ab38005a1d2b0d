// Operators that read a picture at computed, fractional places. Each place lies between 2 (cubic:
// 4) positions of each dimension, over which a node's reduce axes run. Source: ONNX operator
// schemas GridSample 16/20/22, AffineGrid 20, RoiAlign 10/16/22, MaxRoiPool 1/22, DeformConv 19/22.
#pragma once

#include <cstdint>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

enum class SampleMode : uint8_t { nearest, linear, cubic };
enum class SamplePadding : uint8_t { zeros, border, reflection };

struct GridSampleOptions {
  SampleMode mode = SampleMode::linear;
  SamplePadding padding = SamplePadding::zeros;
  bool align_corners = false;  // -1 and 1 are the centres of the outer pixels, not their edges
};

/// x (N, C, spatial...) of one to three spatial dimensions, grid (N, output..., spatial rank) of
/// places in [-1, 1], the innermost dimension first. nearest: x of any dtype; else floats.
Result<TensorId> grid_sample(Graph& graph, std::string_view name, TensorId x, TensorId grid,
                             const GridSampleOptions& options);

/// theta (N, r, r + 1), size (N, C, spatial...) of r = 2 or 3: the grid (N, spatial..., r) that
/// theta makes of the pixels' places, whose last factor is 1.
Result<TensorId> affine_grid(Graph& graph, std::string_view name, TensorId theta, const Ints& size,
                             bool align_corners);

struct RoiAlignOptions {
  Ints output = {1, 1};        // height, width
  int64_t sampling_ratio = 0;  // samples of a cell in each dimension; 0: one per pixel of it
  double spatial_scale = 1;
  bool maximum = false;     // of the weighted neighbours of all samples; else their mean
  bool half_pixel = false;  // places are less by half a pixel, and regions may be smaller than one
};

/// x (N, C, H, W), regions (R, 4): x1, y1, x2, y2, images (R) whole numbers: (R, C, output...). A
/// region of an image that is not there gives 0. With sampling_ratio 0 and computed regions a cell
/// walks as many samples as an image has rows and columns, most of them for nothing.
Result<TensorId> roi_align(Graph& graph, std::string_view name, TensorId x, TensorId regions,
                           TensorId images, const RoiAlignOptions& options);

/// x (N, C, H, W), regions (R, 5): image, x1, y1, x2, y2, which are rounded to pixels after
/// scaling, the last ones inside. A cell without pixels gives 0.
Result<TensorId> max_roi_pool(Graph& graph, std::string_view name, TensorId x, TensorId regions,
                              const Ints& output, double spatial_scale);

struct DeformConvInputs {
  TensorId x = kNoTensor;        // (N, C, spatial...)
  TensorId w = kNoTensor;        // (K, C / groups, kernel...)
  TensorId offsets = kNoTensor;  // (N, offset_groups * taps * spatial rank, output...)
  TensorId bias = kNoTensor;     // (K), may be left out
  TensorId mask = kNoTensor;     // (N, offset_groups * taps, output...), may be left out
};

struct DeformConvOptions {
  Window window;
  int64_t groups = 1;
  int64_t offset_groups = 1;
};

/// A convolution whose taps are moved by offsets, read linearly with zeros outside.
Result<TensorId> deform_conv(Graph& graph, std::string_view name, const DeformConvInputs& inputs,
                             const DeformConvOptions& options);

}  // namespace leat::ops
