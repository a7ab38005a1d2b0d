// Rows of reductions, soft-max and its kin, pooling and normalisations.
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

const std::vector<std::pair<std::string, Reduction>>& reductions() {
  static const std::vector<std::pair<std::string, Reduction>> all = {
      {"sum", Reduction::sum},
      {"mean", Reduction::mean},
      {"max", Reduction::max},
      {"min", Reduction::min},
      {"product", Reduction::product},
      {"l1", Reduction::l1},
      {"l2", Reduction::l2},
      {"log_sum", Reduction::log_sum},
      {"log_sum_exp", Reduction::log_sum_exp},
      {"sum_square", Reduction::sum_square}};
  return all;
}

void add_reduce_cases(OpCases& cases) {
  struct Axes {
    std::string name;
    Shape shape;
    ReduceOptions options;
  };
  const Axes axes[] = {
      {"all", {3, 5, 7}, {}},
      {"last", {4, 33}, {.axes = Ints{-1}, .keep_dims = false}},
      {"first_and_last", {3, 4, 9}, {.axes = Ints{0, 2}}},
      {"one_element", {1}, {}},
      {"no_axis", {2, 3}, {.axes = Ints{}}},
  };
  for (const auto& [name, each_kind] : reductions()) {
    for (const Axes& row : axes) {
      cases.push_back({"reduce_" + name + "_" + row.name,
                       [kind = each_kind, row](OpGraph& g) {
                         // Positive: log_sum takes a logarithm. Near 1: products stay moderate.
                         const TensorId x = g.feed(row.shape, DType::f32, 0.5, 1.5);
                         return reduce(g.graph, "y", kind, x, row.options);
                       },
                       sum_tolerance(105)});
    }
  }
  // An empty reduction gives the neutral element.
  for (const auto& [name, each_kind] : reductions()) {
    if (each_kind == Reduction::mean) continue;  // 0 / 0
    cases.push_back({"reduce_" + name + "_empty", [kind = each_kind](OpGraph& g) {
                       return reduce(g.graph, "y", kind, g.feed({2, 0, 3}), {.axes = Ints{1}});
                     }});
  }
  for (Reduction kind : {Reduction::sum, Reduction::max, Reduction::min, Reduction::product}) {
    for (DType dtype : {DType::i32, DType::f16}) {
      const std::string number = std::to_string(static_cast<int>(kind));
      cases.push_back({"reduce_kind_" + number + "_" + std::string(name_of(dtype)),
                       [kind, dtype](OpGraph& g) {
                         const TensorId x = g.feed({4, 9}, dtype, -2, 3);
                         return reduce(g.graph, "y", kind, x, {.axes = Ints{1}});
                       },
                       4 * kHalfRounding});  // products of nine
    }
  }
  // More rounds of a loop than Mesa's software renderers allow (65,535), at 8 lanes a wave.
  cases.push_back({"reduce_max_beyond_loop_limit", [](OpGraph& g) {
                     std::vector<double> values(600000, 0.5);
                     values.back() = 2;
                     return reduce(g.graph, "y", Reduction::max, g.feed_values({600000}, values),
                                   {.axes = Ints{0}});
                   }});
  cases.push_back({"reduce_max_beyond_loop_limit_2d", [](OpGraph& g) {
                     std::vector<double> values(2 * 800 * 800, 0.5);
                     values[values.size() / 2 - 1] = 2;
                     values.back() = 3;
                     const TensorId x = g.feed_values({2, 800, 800}, values);
                     return reduce(g.graph, "y", Reduction::max, x, {.axes = Ints{1, 2}});
                   }});
  cases.push_back(
      {"reduce_sum_long",
       [](OpGraph& g) {
         return reduce(g.graph, "y", Reduction::sum, g.feed({3, 10007}), {.axes = Ints{1}});
       },
       sum_tolerance(10007)});
}

void add_arg_cases(OpCases& cases) {
  for (bool last : {false, true}) {
    for (int64_t axis : {0, 1, 2}) {
      const std::string name = std::to_string(axis) + (last ? "_last" : "_first");
      // Few different values, so that there are ties.
      cases.push_back({"arg_max_" + name, [=](OpGraph& g) {
                         const TensorId x = g.feed({3, 9, 5}, DType::i32, 0, 3);
                         return arg_max(
                             g.graph, "y", x,
                             {.axis = axis, .keep_dims = last, .select_last_index = last});
                       }});
      cases.push_back({"arg_min_" + name, [=](OpGraph& g) {
                         return arg_min(g.graph, "y", g.feed({3, 9, 5}),
                                        {.axis = axis, .select_last_index = last});
                       }});
    }
  }
}

void add_softmax_cases(OpCases& cases) {
  const std::pair<std::string, SoftmaxOptions> options[] = {
      {"last", {}}, {"channels", {.axis = 1}}, {"flat", {.axis = 1, .flatten = true}}};
  for (const auto& [name, each_row] : options) {
    cases.push_back({"softmax_" + name, [row = each_row](OpGraph& g) {
                       return softmax(g.graph, "y", g.feed({2, 5, 9}, DType::f32, -9, 9), row);
                     }});
    cases.push_back({"log_softmax_" + name, [row = each_row](OpGraph& g) {
                       return log_softmax(g.graph, "y", g.feed({2, 5, 9}, DType::f32, -9, 9), row);
                     }});
    cases.push_back({"hardmax_" + name, [row = each_row](OpGraph& g) {
                       return hardmax(g.graph, "y", g.feed({2, 5, 9}, DType::f32, -9, 9), row);
                     }});
  }
  cases.push_back({"softmax_large_numbers",
                   [](OpGraph& g) {
                     return softmax(g.graph, "y", g.feed({2, 9}, DType::f32, 900, 1000), {});
                   },
                   // x - max is exact to 2^-14 at 1000, and moves the result by as much.
                   1e-4});
  cases.push_back({"softmax_one", [](OpGraph& g) {
                     return softmax(g.graph, "y", g.feed({3, 1}), {});
                   }});
  cases.push_back({"softmax_f16",
                   [](OpGraph& g) {
                     return softmax(g.graph, "y", g.feed({2, 1000}, DType::f16, -5, 5), {});
                   },
                   kHalfRounding});
}

void add_cumsum_cases(OpCases& cases) {
  for (bool exclusive : {false, true}) {
    for (bool reverse : {false, true}) {
      cases.push_back(
          {std::string("cumsum") + (exclusive ? "_exclusive" : "") + (reverse ? "_reverse" : ""),
           [=](OpGraph& g) {
             return cumsum(g.graph, "y", g.feed({3, 9, 2}),
                           {.axis = 1, .exclusive = exclusive, .reverse = reverse});
           },
           sum_tolerance(9)});
    }
  }
  cases.push_back({"cumsum_long",
                   [](OpGraph& g) {
                     return cumsum(g.graph, "y", g.feed({2, 1003}), {.axis = 1});
                   },
                   sum_tolerance(1003)});
  cases.push_back({"cumsum_many_rows",
                   [](OpGraph& g) {
                     return cumsum(g.graph, "y", g.feed({5, 4099}), {.axis = 0, .reverse = true});
                   },
                   sum_tolerance(5)});
  cases.push_back(
      {"cumsum_i8_wraps", [](OpGraph& g) {
         return cumsum(g.graph, "y", g.feed({3, 50}, DType::i8, -100, 100), {.axis = 1});
       }});
}

void add_cumprod_cases(OpCases& cases) {
  for (bool exclusive : {false, true}) {
    // Rows of one lane each, and a row that lanes share, whose end is in the middle of a stretch.
    for (int64_t axis : {0, 1}) {
      const ScanOptions options = {.axis = axis, .exclusive = exclusive, .reverse = axis == 1};
      cases.push_back({std::string("cumprod") + (exclusive ? "_exclusive_" : "_") +
                           (axis == 1 ? "shared_reverse" : "many_rows"),
                       [=](OpGraph& g) {
                         const Shape shape = axis == 1 ? Shape{2, 103} : Shape{5, 4099};
                         // Near 1: products stay moderate.
                         return cumprod(g.graph, "y", g.feed(shape, DType::f32, 0.9, 1.1), options);
                       },
                       sum_tolerance(103)});
    }
  }
  for (const auto& [name, each_dtype] :
       {std::pair("cumprod_u8_wraps", DType::u8), std::pair("cumprod_i32", DType::i32)}) {
    cases.push_back({name, [dtype = each_dtype](OpGraph& g) {
                       const TensorId x = g.feed({3, 19}, dtype, dtype == DType::u8 ? 1 : -2, 4);
                       return cumprod(g.graph, "y", x, {.axis = 1});
                     }});
  }
  cases.push_back({"cumprod_f16",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({3, 19}, DType::f16, 0.7, 1.3);
                     return cumprod(g.graph, "y", x, {.axis = -1});
                   },
                   kHalfRounding});
}

void add_top_k_cases(OpCases& cases) {
  for (const bool largest : {true, false}) {
    for (const int64_t axis : {0, 1, 2}) {
      const std::string name =
          std::string("top_k_") + (largest ? "largest_" : "smallest_") + std::to_string(axis);
      const TopKOptions wanted = {.k = 2, .axis = axis, .largest = largest};
      cases.push_back(
          {name + "_values", [=](OpGraph& g) -> Result<TensorId> {
             TRY_ASSIGN(const TopKResult found, top_k(g.graph, "y", g.feed({3, 5, 40}), wanted));
             return found.values;
           }});
      // Few distinct values: most are equal to another.
      cases.push_back({name + "_indices", [=](OpGraph& g) -> Result<TensorId> {
                         TRY_ASSIGN(
                             const TopKResult found,
                             top_k(g.graph, "y", g.feed({3, 5, 40}, DType::i32, -3, 3), wanted));
                         return found.indices;
                       }});
    }
  }
}

const std::vector<std::pair<std::string, Window>>& windows() {
  static const std::vector<std::pair<std::string, Window>> all = {
      {"2x2", {.kernel = {2, 2}, .strides = {2, 2}}},
      {"3x3_padded", {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}},
      {"asymmetric", {.kernel = {3, 2}, .pads = {2, 0, 0, 1}}},
      {"ceil", {.kernel = {3, 3}, .strides = {2, 2}, .pads = {0, 0, 1, 1}, .ceil_mode = true}},
      {"dilated", {.kernel = {2, 3}, .dilations = {2, 2}}},
      {"same", {.kernel = {3, 3}, .strides = {2, 2}, .auto_pad = AutoPad::same_upper}},
  };
  return all;
}

}  // namespace

void add_pool_cases(OpCases& cases) {
  for (const auto& [name, each_window] : windows()) {
    cases.push_back({"max_pool_" + name, [window = each_window](OpGraph& g) -> Result<TensorId> {
                       const TensorId x = g.feed({2, 5, 9, 10});
                       TRY_ASSIGN(const TensorId y, max_pool(g.graph, "y", x, window));
                       TRY_ASSIGN(const TensorId at, max_pool_indices(g.graph, "at", x, y, window));
                       g.graph.outputs.push_back(at);
                       return y;
                     }});
    cases.push_back({"average_pool_" + name, [window = each_window](OpGraph& g) {
                       return average_pool(g.graph, "y", g.feed({2, 5, 9, 10}), window);
                     }});
    cases.push_back({"lp_pool_" + name,
                     [window = each_window](OpGraph& g) {
                       return lp_pool(g.graph, "y", g.feed({2, 5, 9, 10}), window, 3);
                     },
                     4 * kFewUlp});  // pow in and out
  }
  cases.push_back(
      {"average_pool_with_pads", [](OpGraph& g) {
         return average_pool(g.graph, "y", g.feed({1, 3, 7, 7}), windows()[1].second, true);
       }});
  cases.push_back({"max_pool_u8", [](OpGraph& g) {
                     return max_pool(g.graph, "y", g.feed({1, 3, 7, 7}, DType::u8, 0, 256),
                                     windows()[1].second);
                   }});
  cases.push_back(
      {"max_pool_f16", [](OpGraph& g) {
         return max_pool(g.graph, "y", g.feed({1, 17, 7, 7}, DType::f16), windows()[1].second);
       }});
  cases.push_back(
      {"max_pool_1d", [](OpGraph& g) {
         return max_pool(g.graph, "y", g.feed({2, 3, 17}), {.kernel = {3}, .strides = {2}});
       }});
  cases.push_back({"max_pool_3d", [](OpGraph& g) {
                     return max_pool(g.graph, "y", g.feed({1, 2, 5, 5, 5}), {.kernel = {2, 3, 2}});
                   }});
  for (DType dtype : {DType::f32, DType::f16}) {
    const double tolerance = dtype == DType::f32 ? sum_tolerance(91) : kHalfRounding;
    const std::string end = "_" + std::string(name_of(dtype));
    cases.push_back({"global_max_pool" + end, [dtype](OpGraph& g) {
                       return global_max_pool(g.graph, "y", g.feed({2, 17, 7, 13}, dtype));
                     }});
    cases.push_back({"global_average_pool" + end,
                     [dtype](OpGraph& g) {
                       return global_average_pool(g.graph, "y", g.feed({2, 17, 7, 13}, dtype));
                     },
                     tolerance});
    cases.push_back({"global_lp_pool" + end,
                     [dtype](OpGraph& g) {
                       return global_lp_pool(g.graph, "y", g.feed({2, 17, 7, 13}, dtype));
                     },
                     tolerance});
  }
}

void add_reduction_cases(OpCases& cases) {
  add_reduce_cases(cases);
  add_arg_cases(cases);
  add_softmax_cases(cases);
  add_cumsum_cases(cases);
  add_cumprod_cases(cases);
  add_top_k_cases(cases);
}

namespace {

void add_batch_norm_cases(OpCases& cases) {
  for (bool constant : {true, false}) {
    for (DType dtype : {DType::f32, DType::f16}) {
      cases.push_back({std::string("batch_norm_") + (constant ? "constant_" : "fed_") +
                           std::string(name_of(dtype)),
                       [=](OpGraph& g) {
                         const TensorId x = g.feed({2, 5, 3, 3}, dtype);
                         auto value = [&](double low, double high) {
                           return constant ? g.constant({5}, dtype, low, high)
                                           : g.feed({5}, dtype, low, high);
                         };
                         const BatchNormInputs inputs = {.scale = value(0.5, 1.5),
                                                         .bias = value(-1, 1),
                                                         .mean = value(-1, 1),
                                                         .variance = value(0.5, 2)};
                         return batch_norm(g.graph, "y", x, inputs);
                       },
                       dtype == DType::f32 ? 2 * kFewUlp : 2 * kHalfRounding});
    }
  }
}

}  // namespace

void add_norm_cases(OpCases& cases) {
  // Means and variances of up to 192 numbers, then a division by a deviation of 0.5.
  const double tolerance = sum_tolerance(192);
  add_batch_norm_cases(cases);
  cases.push_back({"instance_norm",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({2, 3, 5, 7});
                     const TensorId scale = g.constant({3});
                     return instance_norm(g.graph, "y", x, scale, g.constant({3}));
                   },
                   tolerance});
  for (bool per_group : {false, true}) {
    cases.push_back({per_group ? "group_norm_per_group" : "group_norm",
                     [per_group](OpGraph& g) {
                       const TensorId x = g.feed({2, 6, 4, 5});
                       const int64_t count = per_group ? 3 : 6;
                       const TensorId scale = g.constant({count});
                       return group_norm(g.graph, "y", x, scale, g.constant({count}),
                                         {.groups = 3, .per_group = per_group});
                     },
                     tolerance});
  }
  for (int64_t axis : {-1, 1}) {
    cases.push_back({axis == 1 ? "layer_norm_from_1" : "layer_norm_last",
                     [axis](OpGraph& g) -> Result<TensorId> {
                       const TensorId x = g.feed({3, 5, 17});
                       const Shape shape = axis == 1 ? Shape{5, 17} : Shape{17};
                       const TensorId scale = g.constant(shape);
                       TRY_ASSIGN(const LayerNormResult result,
                                  layer_norm(g.graph, "y", x, scale, g.constant(shape), axis));
                       g.graph.outputs = {result.mean, result.inverse_deviation};
                       return result.y;
                     },
                     tolerance});
  }
  cases.push_back({"rms_norm",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({3, 33});
                     return rms_norm(g.graph, "y", x, g.constant({33}));
                   },
                   tolerance});
  for (int64_t size : {1, 4, 5}) {
    cases.push_back({"lrn_" + std::to_string(size),
                     [size](OpGraph& g) {
                       return lrn(g.graph, "y", g.feed({2, 7, 3, 5}),
                                  {.size = size, .alpha = 0.02, .beta = 0.6, .bias = 2});
                     },
                     4 * kFewUlp});
  }
  cases.push_back({"mean_variance_norm",
                   [](OpGraph& g) {
                     return mean_variance_norm(g.graph, "y", g.feed({2, 3, 4, 5}), {0, 2, 3});
                   },
                   tolerance});
  for (int64_t p : {1, 2}) {
    cases.push_back({"lp_norm_" + std::to_string(p),
                     [p](OpGraph& g) {
                       return lp_norm(g.graph, "y", g.feed({3, 17}), {.axis = 1, .p = p});
                     },
                     tolerance});
  }
}

}  // namespace leat
