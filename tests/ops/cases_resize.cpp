// Rows of Resize: each mode with each way to map coordinates, up and down.
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

using Named = std::pair<std::string, CoordinateMode>;

const Named kCoordinates[] = {
    {"half_pixel", CoordinateMode::half_pixel},
    {"symmetric", CoordinateMode::half_pixel_symmetric},
    {"pytorch", CoordinateMode::pytorch_half_pixel},
    {"align_corners", CoordinateMode::align_corners},
    {"asymmetric", CoordinateMode::asymmetric},
};

void add_resize(OpCases& cases, const std::string& name, const ResizeOptions& options) {
  // Weights of a cubic sum to 1 but their magnitudes to 1.5 a dimension.
  cases.push_back({"resize_" + name,
                   [options](OpGraph& g) {
                     return resize(g.graph, "y", g.feed({1, 2, 5, 6}), options);
                   },
                   2 * kFewUlp});
}

}  // namespace

void add_resize_cases(OpCases& cases) {
  const std::vector<double> up = {1, 1, 2, 1.5};
  const std::vector<double> down = {1, 1, 0.6, 0.5};
  const std::pair<std::string, ResizeMode> modes[] = {{"nearest", ResizeMode::nearest},
                                                      {"linear", ResizeMode::linear},
                                                      {"cubic", ResizeMode::cubic}};
  for (const auto& [mode_name, mode] : modes) {
    for (const auto& [name, coordinates] : kCoordinates) {
      add_resize(cases, mode_name + "_" + name + "_up",
                 {.scales = up, .mode = mode, .coordinate_mode = coordinates});
      add_resize(cases, mode_name + "_" + name + "_down",
                 {.scales = down, .mode = mode, .coordinate_mode = coordinates});
    }
    add_resize(cases, mode_name + "_to_sizes", {.sizes = {1, 2, 9, 4}, .mode = mode});
    add_resize(cases, mode_name + "_crop",
               {.sizes = {1, 2, 4, 7},
                .mode = mode,
                .coordinate_mode = CoordinateMode::tf_crop_and_resize,
                .roi = {0, 0, 0.2, 0.3, 1, 1, 1.4, 0.8},
                .extrapolation_value = 9});
  }
  const std::pair<std::string, NearestMode> roundings[] = {
      {"prefer_ceil", NearestMode::round_prefer_ceil},
      {"floor", NearestMode::floor},
      {"ceil", NearestMode::ceil}};
  for (const auto& [name, rounding] : roundings) {
    add_resize(cases, "nearest_" + name, {.scales = up, .nearest_mode = rounding});
  }
  add_resize(cases, "nearest_tf_half_pixel",
             {.scales = up, .coordinate_mode = CoordinateMode::tf_half_pixel_for_nn});
  for (ResizeMode mode : {ResizeMode::linear, ResizeMode::cubic}) {
    const std::string end = mode == ResizeMode::linear ? "_linear" : "_cubic";
    add_resize(cases, "antialias" + end, {.scales = down, .mode = mode, .antialias = true});
    add_resize(cases, "exclude_outside" + end,
               {.scales = up, .mode = mode, .exclude_outside = true});
  }
  cases.push_back({"resize_f16",
                   [](OpGraph& g) {
                     return resize(g.graph, "y", g.feed({1, 9, 4, 4}, DType::f16),
                                   {.scales = {1, 1, 2, 2}, .mode = ResizeMode::linear});
                   },
                   kHalfRounding});
}

}  // namespace leat
