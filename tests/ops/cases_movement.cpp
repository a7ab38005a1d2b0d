// Rows of operators that only move elements: results must be the reference's to the bit.
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

constexpr double kEqual = 0;

void add_view_cases(OpCases& cases) {
  cases.push_back({"reshape",
                   [](OpGraph& g) {
                     return reshape(g.graph, "y", g.feed({2, 3, 5}), {0, -1});
                   },
                   kEqual});
  cases.push_back({"flatten",
                   [](OpGraph& g) {
                     return flatten(g.graph, "y", g.feed({2, 3, 5}), 2);
                   },
                   kEqual});
  cases.push_back({"squeeze",
                   [](OpGraph& g) {
                     return squeeze(g.graph, "y", g.feed({1, 3, 1}), {});
                   },
                   kEqual});
  cases.push_back({"unsqueeze",
                   [](OpGraph& g) {
                     return unsqueeze(g.graph, "y", g.feed({3, 4}, DType::i64, -9, 9), {0, -1});
                   },
                   kEqual});
  const std::pair<std::string, Ints> permutations[] = {{"reversed", {}},
                                                       {"inner", {0, 1, 3, 2}},
                                                       {"channels_last", {0, 2, 3, 1}},
                                                       {"rotated", {3, 0, 1, 2}}};
  for (const auto& [name, permutation] : permutations) {
    for (DType dtype : {DType::f32, DType::f16, DType::u8, DType::boolean}) {
      cases.push_back({"transpose_" + name + "_" + std::string(name_of(dtype)),
                       [order = permutation, dtype](OpGraph& g) {
                         return transpose(g.graph, "y", g.feed({2, 3, 5, 9}, dtype, 0, 99), order);
                       },
                       kEqual});
    }
  }
  cases.push_back({"expand",
                   [](OpGraph& g) {
                     return expand(g.graph, "y", g.feed({3, 1}), {2, 1, 9});
                   },
                   kEqual});
  cases.push_back({"tile",
                   [](OpGraph& g) {
                     return tile(g.graph, "y", g.feed({3, 5}), {2, 3});
                   },
                   kEqual});
}

void add_slice_cases(OpCases& cases) {
  const std::pair<std::string, SliceOptions> slices[] = {
      {"inner", {.starts = {1, 2}, .ends = {3, 7}}},
      {"axes", {.starts = {-4}, .ends = {INT64_MAX}, .axes = {-1}}},
      {"steps", {.starts = {0, 1}, .ends = {4, 9}, .axes = {0, 1}, .steps = {2, 3}}},
      {"backwards", {.starts = {-1}, .ends = {INT64_MIN}, .axes = {1}, .steps = {-2}}},
      {"nothing", {.starts = {3}, .ends = {3}, .axes = {0}}},
  };
  for (const auto& [name, each_options] : slices) {
    cases.push_back({"slice_" + name,
                     [options = each_options](OpGraph& g) {
                       return slice(g.graph, "y", g.feed({4, 9}), options);
                     },
                     kEqual});
  }
  for (int64_t axis : {0, 1, 2}) {
    cases.push_back({"concat_" + std::to_string(axis),
                     [axis](OpGraph& g) {
                       std::vector<TensorId> parts;
                       for (int64_t extent : {3, 1, 0, 8}) {
                         Shape shape = {2, 3, 5};
                         shape[static_cast<size_t>(axis)] = extent;
                         parts.push_back(g.feed(shape));
                       }
                       return concat(g.graph, "y", parts, axis);
                     },
                     kEqual});
  }
  cases.push_back({"concat_of_itself",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({2, 3}, DType::i32, -9, 9);
                     const std::vector<TensorId> parts = {x, x};
                     return concat(g.graph, "y", parts, 1);
                   },
                   kEqual});
  cases.push_back({"split",
                   [](OpGraph& g) -> Result<TensorId> {
                     TRY_ASSIGN(const std::vector<TensorId> parts,
                                split(g.graph, "y", g.feed({2, 9, 3}), {1, 5, 0, 3}, 1));
                     g.graph.outputs.assign(parts.begin() + 1, parts.end());
                     return parts[0];
                   },
                   kEqual});
  cases.push_back({"split_evenly",
                   [](OpGraph& g) -> Result<TensorId> {
                     TRY_ASSIGN(const std::vector<TensorId> parts,
                                split_evenly(g.graph, "y", g.feed({7, 2}), 3, 0));
                     g.graph.outputs.assign(parts.begin() + 1, parts.end());
                     return parts[0];
                   },
                   kEqual});
}

void add_pad_cases(OpCases& cases) {
  const std::pair<std::string, PadMode> modes[] = {{"constant", PadMode::constant},
                                                   {"reflect", PadMode::reflect},
                                                   {"edge", PadMode::edge},
                                                   {"wrap", PadMode::wrap}};
  for (const auto& [name, each_mode] : modes) {
    cases.push_back({"pad_" + name,
                     [mode = each_mode](OpGraph& g) {
                       return pad(g.graph, "y", g.feed({2, 4, 5}),
                                  {.pads = {0, 3, 1, 1, 0, 4}, .mode = mode, .value = 0.5});
                     },
                     kEqual});
    cases.push_back({"pad_some_axes_" + name,
                     [mode = each_mode](OpGraph& g) {
                       return pad(g.graph, "y", g.feed({4, 5}, DType::i32, -9, 9),
                                  {.pads = {2, -1}, .axes = {1}, .mode = mode, .value = -3});
                     },
                     kEqual});
  }
  cases.push_back(
      {"pad_fed_value",
       [](OpGraph& g) {
         const TensorId x = g.feed({3, 3});
         return pad(g.graph, "y", x, {.pads = {1, 1, 0, 0}, .value_tensor = g.feed({1})});
       },
       kEqual});
  cases.push_back({"pad_nothing_with_elements",
                   [](OpGraph& g) {
                     return pad(g.graph, "y", g.feed({0, 2}), {.pads = {2, 0, 1, 1}, .value = 7});
                   },
                   kEqual});
}

void add_gather_cases(OpCases& cases) {
  for (bool constant : {true, false}) {
    const std::string end = constant ? "_constant" : "_fed";
    auto indices = [constant](OpGraph& g, const Shape& shape, const std::vector<double>& values) {
      return constant ? g.constant_values(shape, values, DType::i64)
                      : g.feed_values(shape, values, DType::i64);
    };
    cases.push_back({"gather" + end,
                     [indices](OpGraph& g) {
                       const TensorId x = g.feed({2, 5, 3});
                       return gather(g.graph, "y", x, indices(g, {2, 2}, {0, -1, 4, 2}), 1);
                     },
                     kEqual});
    cases.push_back({"gather_scalar" + end,
                     [indices](OpGraph& g) {
                       const TensorId x = g.feed({4, 3}, DType::f16);
                       return gather(g.graph, "y", x, indices(g, {}, {-2}), 0);
                     },
                     kEqual});
    cases.push_back({"gather_elements" + end,
                     [indices](OpGraph& g) {
                       const TensorId x = g.feed({3, 4});
                       return gather_elements(g.graph, "y", x,
                                              indices(g, {2, 4}, {0, 2, -1, 1, 2, 2, 0, -3}), 0);
                     },
                     kEqual});
    cases.push_back({"gather_nd" + end,
                     [indices](OpGraph& g) {
                       const TensorId x = g.feed({3, 4, 2}, DType::i32, -9, 9);
                       return gather_nd(g.graph, "y", x, indices(g, {2, 2}, {0, 3, -1, 1}), 0);
                     },
                     kEqual});
  }
  cases.push_back(
      {"gather_outside_reads_0",
       [](OpGraph& g) {
         const TensorId x = g.feed({4}, DType::f32, 1, 2);
         return gather(g.graph, "y", x, g.feed_values({4}, {3, 4, -5, 1000000}, DType::i32), 0);
       },
       kEqual});
  cases.push_back({"one_hot",
                   [](OpGraph& g) {
                     const TensorId at = g.feed_values({5}, {0, 2, -1, 3, 7}, DType::i64);
                     return one_hot(g.graph, "y", at, 4, g.constant_values({2}, {-1, 2}), 0);
                   },
                   kEqual});
}

void add_block_cases(OpCases& cases) {
  for (bool crd : {false, true}) {
    cases.push_back({crd ? "depth_to_space_crd" : "depth_to_space",
                     [crd](OpGraph& g) {
                       return depth_to_space(g.graph, "y", g.feed({2, 12, 3, 5}), 2, crd);
                     },
                     kEqual});
  }
  for (bool crd : {false, true}) {
    cases.push_back({crd ? "space_to_depth_crd" : "space_to_depth",
                     [crd](OpGraph& g) {
                       return space_to_depth(g.graph, "y", g.feed({2, 3, 6, 9}), 3, crd);
                     },
                     kEqual});
  }
  for (bool upper : {false, true}) {
    for (int64_t k : {-1, 0, 2}) {
      cases.push_back({std::string(upper ? "triu_" : "tril_") + std::to_string(k + 1),
                       [=](OpGraph& g) {
                         return trilu(g.graph, "y", g.feed({2, 4, 5}), upper, k);
                       },
                       kEqual});
    }
  }
  cases.push_back({"image_scaler", [](OpGraph& g) {
                     const std::vector<float> bias = {0.5f, -1, 2};
                     return image_scaler(g.graph, "y", g.feed({1, 3, 5, 5}), 0.25, bias);
                   }});
  cases.push_back({"crop",
                   [](OpGraph& g) {
                     return crop(g.graph, "y", g.feed({1, 3, 9, 9}), {1, 2, 3, 0}, {});
                   },
                   kEqual});
  cases.push_back({"crop_to_size",
                   [](OpGraph& g) {
                     return crop(g.graph, "y", g.feed({1, 3, 9, 9}), {1, 2, 0, 0}, {4, 5});
                   },
                   kEqual});
  cases.push_back({"affine", [](OpGraph& g) {
                     return affine(g.graph, "y", g.feed({1, 3, 5, 5}), 1.5, -0.5);
                   }});
}

/// Results that are constants reach the output too.
void add_create_cases(OpCases& cases) {
  cases.push_back({"eye_like",
                   [](OpGraph& g) {
                     return eye_like(g.graph, "y", {3, 5}, DType::f32, 1);
                   },
                   kEqual});
  cases.push_back({"constant_of_shape",
                   [](OpGraph& g) {
                     HostTensor value = HostTensor::zeros(DType::i64, {1});
                     value.set_integer(0, -7);
                     return constant_of_shape(g.graph, "y", {2, 3}, value);
                   },
                   kEqual});
  cases.push_back({"range",
                   [](OpGraph& g) {
                     HostTensor start = HostTensor::zeros(DType::f32, {});
                     HostTensor limit = start;
                     HostTensor delta = start;
                     limit.set_number(0, -2);
                     delta.set_number(0, -0.5);
                     return range(g.graph, "y", start, limit, delta);
                   },
                   kEqual});
  cases.push_back({"output_is_an_input",
                   [](OpGraph& g) -> Result<TensorId> {
                     return g.feed({3, 3});
                   },
                   kEqual});
}

}  // namespace

void add_movement_cases(OpCases& cases) {
  add_view_cases(cases);
  add_slice_cases(cases);
  add_pad_cases(cases);
  add_gather_cases(cases);
  add_block_cases(cases);
  add_create_cases(cases);
}

}  // namespace leat
