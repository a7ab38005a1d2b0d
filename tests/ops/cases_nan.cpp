// NaN among numbers: minima and maxima are NaN, those of windows pass over it, and the position of
// an extreme is that of the first NaN.
#include <cmath>
#include <limits>

#include "tests/ops/op_case.h"

namespace leat {
namespace {

using namespace ops;

/// Numbers of which some are NaN: each seventh, from the fourth on.
std::vector<double> some_nan(int64_t count) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(i % 7 == 3 ? std::nan("") : static_cast<double>(i * 37 % 23) - 11);
  }
  return values;
}

TensorId feed(OpGraph& g, const Shape& shape, DType dtype = DType::f32) {
  return g.feed_values(shape, some_nan(element_count(shape)), dtype);
}

/// One row in which the `place`-th is NaN, of an axis that one lane walks or that lanes share.
TensorId feed_rows(OpGraph& g, int64_t length, int64_t place) {
  std::vector<double> values;
  for (int64_t i = 0; i < 3 * length; ++i) {
    const bool is_nan = i / length == 1 && i % length == place;
    values.push_back(is_nan ? std::nan("") : static_cast<double>(i * 37 % 101) - 50);
  }
  return g.feed_values({3, length}, values);
}

void add_pairs(OpCases& cases) {
  for (const auto& [name, op] :
       {std::pair("min", ScalarOp::min), std::pair("max", ScalarOp::max)}) {
    for (const DType dtype : {DType::f32, DType::f16, DType::f64}) {
      cases.push_back({std::string("nan_") + name + "_" + std::string(name_of(dtype)),
                       [=](OpGraph& g) {
                         const double nan = std::nan("");
                         const TensorId a = g.feed_values({4}, {1, nan, 2, nan}, dtype);
                         const TensorId b = g.feed_values({4}, {nan, 3, -2, nan}, dtype);
                         return binary(g.graph, "y", op, a, b);
                       },
                       kFewUlp});
    }
    cases.push_back({std::string("nan_only_") + name, [=](OpGraph& g) {
                       return binary(g.graph, "y", op, feed(g, {40}),
                                     scalar(g.graph, "nan", DType::f32, std::nan("")));
                     }});
    cases.push_back({std::string("nan_constant_") + name, [=](OpGraph& g) {
                       const TensorId low = g.constant_values({4}, {0, 1, std::nan(""), 3});
                       return binary(g.graph, "y", op, low, feed(g, {5, 4}));
                     }});
  }
  cases.push_back({"nan_relu", [](OpGraph& g) {
                     return activation(g.graph, "y", Activation::relu, feed(g, {40}));
                   }});
  cases.push_back({"nan_hard_sigmoid", [](OpGraph& g) {
                     return activation(g.graph, "y", Activation::hard_sigmoid, feed(g, {40}));
                   }});
  cases.push_back({"nan_clip", [](OpGraph& g) {
                     return clip_to(g.graph, "y", feed(g, {40}, DType::f16), -3, 4);
                   }});
}

void add_rows(OpCases& cases) {
  for (const int64_t length : {5, 1000}) {
    for (const int64_t place : {int64_t{0}, length - 1}) {
      const std::string suffix = std::to_string(length) + "_" + std::to_string(place);
      for (const auto& [name, kind] :
           {std::pair("min", Reduction::min), std::pair("max", Reduction::max)}) {
        cases.push_back({std::string("nan_reduce_") + name + suffix, [=](OpGraph& g) {
                           return reduce(g.graph, "y", kind, feed_rows(g, length, place),
                                         {.axes = Ints{1}});
                         }});
      }
      cases.push_back({"nan_arg_max" + suffix, [=](OpGraph& g) {
                         return arg_max(g.graph, "y", feed_rows(g, length, place), {.axis = 1});
                       }});
      cases.push_back({"nan_arg_min" + suffix, [=](OpGraph& g) {
                         return arg_min(g.graph, "y", feed_rows(g, length, place), {.axis = 1});
                       }});
    }
  }
  cases.push_back({"nan_global_max_pool", [](OpGraph& g) {
                     return global_max_pool(g.graph, "y", feed(g, {2, 3, 2, 3}));
                   }});
  cases.push_back({"nan_max_pool", [](OpGraph& g) {
                     return max_pool(g.graph, "y", feed(g, {1, 2, 9, 9}),
                                     {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}});
                   }});
}

}  // namespace

void add_nan_cases(OpCases& cases) {
  add_pairs(cases);
  add_rows(cases);
}

}  // namespace leat
