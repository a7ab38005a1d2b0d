// Rows of operators that read at computed places, of sums by names, and of signals.
#include <string>

#include "leat/tensor/ops_einsum.h"
#include "leat/tensor/ops_sample.h"
#include "leat/tensor/ops_signal.h"
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

/// Places of a few pixels in f32 differ by some 1e-7 of themselves, and what lies there with them.
constexpr double kPlaces = 1e-5;

void add_grid_cases(OpCases& cases) {
  const std::pair<std::string, SampleMode> modes[] = {{"linear", SampleMode::linear},
                                                      {"cubic", SampleMode::cubic}};
  const std::pair<std::string, SamplePadding> paddings[] = {
      {"zeros", SamplePadding::zeros},
      {"border", SamplePadding::border},
      {"reflection", SamplePadding::reflection}};
  for (const auto& [mode_name, each_mode] : modes) {
    for (const auto& [padding_name, each_padding] : paddings) {
      cases.push_back({"grid_sample_" + mode_name + "_" + padding_name,
                       [mode = each_mode, padding = each_padding](OpGraph& g) {
                         const TensorId x = g.feed({2, 3, 5, 6});
                         const TensorId grid = g.feed({2, 4, 3, 2}, DType::f32, -1.7, 1.7);
                         const bool align_corners = padding == SamplePadding::border;
                         return grid_sample(g.graph, "y", x, grid, {mode, padding, align_corners});
                       },
                       kPlaces});
    }
  }
  cases.push_back({"grid_sample_nearest_u8", [](OpGraph& g) {
                     const TensorId x = g.feed({1, 2, 5, 6}, DType::u8, 0, 255);
                     // Not near the middle between two pixels.
                     const TensorId grid = g.feed_values({1, 1, 3, 2}, {-0.9, 0.9, 0, 0, 2, 0.1});
                     return grid_sample(g.graph, "y", x, grid, {SampleMode::nearest});
                   }});
  cases.push_back({"grid_sample_volume",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({1, 2, 3, 4, 5});
                     return grid_sample(g.graph, "y", x, g.feed({1, 2, 2, 3, 3}), {});
                   },
                   kPlaces});
  cases.push_back({"affine_grid", [](OpGraph& g) {
                     return affine_grid(g.graph, "y", g.feed({2, 3, 4}), {2, 1, 3, 4, 5}, false);
                   }});
}

void add_region_cases(OpCases& cases) {
  for (bool maximum : {false, true}) {
    for (int64_t ratio : {0, 2}) {
      cases.push_back({std::string("roi_align_") + (maximum ? "max_" : "mean_") +
                           (ratio == 0 ? "adaptive" : "fixed"),
                       [=](OpGraph& g) {
                         const TensorId x = g.feed({2, 3, 9, 7});
                         const TensorId regions = g.feed_values(
                             {3, 4}, {0.4, 1.2, 7.7, 6.9, -3, -5, 14, 11, 2, 2, 2.3, 2.2});
                         const TensorId images = g.feed_values({3}, {1, 0, 1}, DType::i64);
                         return roi_align(g.graph, "y", x, regions, images,
                                          {.output = {2, 3},
                                           .sampling_ratio = ratio,
                                           .spatial_scale = 0.75,
                                           .maximum = maximum,
                                           .half_pixel = true});
                       },
                       kPlaces});
    }
  }
  cases.push_back({"max_roi_pool",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({2, 3, 9, 7});
                     const TensorId regions = g.feed_values(
                         {3, 5}, {0, 0.4, 1.2, 6.7, 7.9, 1, 20, 20, 30, 30, 2, 0, 0, 4, 4});
                     return max_roi_pool(g.graph, "y", x, regions, {2, 3}, 0.9);
                   },
                   0});
  cases.push_back({"deform_conv",
                   [](OpGraph& g) {
                     const DeformConvInputs inputs = {.x = g.feed({2, 4, 6, 5}),
                                                      .w = g.feed({6, 2, 3, 2}),
                                                      .offsets = g.feed({2, 24, 6, 4}),
                                                      .bias = g.feed({6}),
                                                      .mask = g.feed({2, 12, 6, 4})};
                     return deform_conv(
                         g.graph, "y", inputs,
                         {.window = {.pads = {1, 0, 1, 0}}, .groups = 2, .offset_groups = 2});
                   },
                   kPlaces});
}

void add_einsum_cases(OpCases& cases) {
  const std::pair<std::string, std::vector<Shape>> equations[] = {
      {"bij,bjk->bik", {{3, 5, 4}, {3, 4, 6}}},
      {"ij,jk->ki", {{5, 4}, {4, 6}}},
      {"...ii->...i", {{2, 3, 3}}},
      {"ij,jk,kl->il", {{3, 4}, {4, 5}, {5, 2}}},
      {"bhqd,bkhd->bhqk", {{2, 3, 5, 4}, {2, 6, 3, 4}}}};
  for (const auto& [each_equation, each_shapes] : equations) {
    std::string name = "einsum_";
    for (char c : each_equation) name += (c >= 'a' && c <= 'z') ? c : '_';
    cases.push_back({name,
                     [equation = each_equation, shapes = each_shapes](OpGraph& g) {
                       std::vector<TensorId> inputs;
                       for (const Shape& shape : shapes) inputs.push_back(g.feed(shape));
                       return einsum(g.graph, "y", equation, inputs);
                     },
                     sum_tolerance(20)});
  }
  cases.push_back({"det", [](OpGraph& g) { return det(g.graph, "y", g.feed({3, 4, 4})); }, 1e-5});
}

void add_signal_cases(OpCases& cases) {
  struct Row {
    std::string name;
    Shape shape;
    DftOptions options;
  };
  const Row rows[] = {
      {"real_half", {2, 20, 3, 1}, {.axis = 1, .onesided = true}},
      {"complex_inverse", {2, 3, 21, 2}, {.axis = 2, .inverse = true}},
      {"half_to_real", {2, 9, 2, 2}, {.axis = 1, .inverse = true, .onesided = true}},
      {"padded", {2, 10, 1}, {.axis = 1, .length = 16}},
      {"long", {1, 1040, 2}, {.axis = 1}}};
  for (const Row& row : rows) {
    cases.push_back(
        {"dft_" + row.name,
         [row](OpGraph& g) { return dft(g.graph, "y", g.feed(row.shape), row.options); },
         sum_tolerance(1040)});
  }
  cases.push_back({"stft",
                   [](OpGraph& g) {
                     const TensorId signal = g.feed({2, 50, 1});
                     return stft(g.graph, "y", signal, g.feed({16}), {.step = 5});
                   },
                   sum_tolerance(16)});
  cases.push_back({"hann_window_long", [](OpGraph& g) {
                     return signal_window(g.graph, "y", SignalWindow::hann, {.size = 300000});
                   }});
  cases.push_back({"mel_weight_matrix", [](OpGraph& g) {
                     const MelOptions options = {.bins = 8,
                                                 .dft_length = 64,
                                                 .sample_rate = 8000,
                                                 .lower_hertz = 0,
                                                 .upper_hertz = 4000};
                     return mel_weight_matrix(g.graph, "y", options);
                   }});
}

}  // namespace

void add_sample_cases(OpCases& cases) {
  add_grid_cases(cases);
  add_region_cases(cases);
  add_einsum_cases(cases);
  add_signal_cases(cases);
}

}  // namespace leat
