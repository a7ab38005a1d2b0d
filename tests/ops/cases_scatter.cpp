// Rows of scatters and their like: all reductions, rows of every number and length, so that lanes
// own rows or share them, and all stored types.
#include "leat/tensor/ops_scatter.h"

#include <cmath>

#include "tests/ops/op_case.h"

namespace leat {
namespace {

using namespace ops;

constexpr std::pair<std::string_view, ReduceOp> kReductions[] = {{"none", ReduceOp::none},
                                                                 {"add", ReduceOp::sum},
                                                                 {"mul", ReduceOp::product},
                                                                 {"min", ReduceOp::min},
                                                                 {"max", ReduceOp::max}};

void add_elements(OpCases& cases) {
  struct Row {
    std::string name;
    Shape data, indices;
    int64_t axis;
  };
  const std::vector<Row> rows = {{"list", {70}, {90}, 0},
                                 {"long_list", {5000}, {300}, 0},
                                 {"few_rows", {3, 40}, {2, 60}, 1},
                                 {"columns", {40, 3}, {60, 3}, 0},
                                 {"many_rows", {9, 700, 5}, {8, 333, 7}, 2},
                                 {"middle", {6, 7, 150}, {6, 9, 140}, 1}};
  for (const Row& row : rows) {
    for (const auto& [name, each_op] : kReductions) {
      cases.push_back(
          {"scatter_" + row.name + "_" + std::string(name), [=, op = each_op](OpGraph& g) {
             const double extent = static_cast<double>(row.data[static_cast<size_t>(row.axis)]);
             // Some point outside.
             const TensorId where = g.feed(row.indices, DType::i64, -extent - 1, extent + 1);
             return scatter_elements(g.graph, "y", g.feed(row.data), where, g.feed(row.indices),
                                     row.axis, op);
           }});
    }
  }
  for (const DType dtype : {DType::f16, DType::f64, DType::i8, DType::u8, DType::i16, DType::i32,
                            DType::u32, DType::i64, DType::u64}) {
    for (const auto& [name, each_op] : kReductions) {
      cases.push_back({"scatter_of_" + std::string(name_of(dtype)) + "_" + std::string(name),
                       [=, op = each_op](OpGraph& g) {
                         const TensorId data = g.feed({12, 9}, dtype, 0, 100);
                         const TensorId where = g.feed({20, 8}, DType::i32, -12, 12);
                         return scatter_elements(
                             g.graph, "y", data, where,
                             g.feed({20, 8}, dtype, 0, is_float(dtype) ? 1 : 100), 0, op);
                       },
                       dtype == DType::f16 ? kHalfRounding : kFewUlp});
    }
  }
  for (const auto& [name, each_op] : kReductions) {
    cases.push_back({"scatter_of_nan_" + std::string(name), [op = each_op](OpGraph& g) {
                       const double nan = std::nan("");
                       const TensorId data = g.feed_values({4}, {nan, 1, 2, nan});
                       const TensorId where = g.feed_values({5}, {0, 1, 2, 3, 1}, DType::i64);
                       return scatter_elements(g.graph, "y", data, where,
                                               g.feed_values({5}, {5, nan, 2, nan, 7}), 0, op);
                     }});
  }
  cases.push_back({"scatter_of_bool", [](OpGraph& g) {
                     const TensorId data = g.feed({12, 9}, DType::boolean);
                     const TensorId where = g.constant({20, 8}, DType::i64, -12, 12);
                     return scatter_elements(g.graph, "y", data, where,
                                             g.feed({20, 8}, DType::boolean), 0, ReduceOp::none);
                   }});
}

void add_slices(OpCases& cases) {
  for (const auto& [name, each_op] : kReductions) {
    for (const int64_t depth : {1, 2, 3}) {
      for (const bool constant : {false, true}) {
        const std::string full = "scatter_nd_" + std::string(name) + "_" + std::to_string(depth) +
                                 (constant ? "_constant" : "");
        cases.push_back(
            {full, [=, op = each_op](OpGraph& g) {
               const Shape shape = {6, 6, 33};
               Shape wanted = {3, 7};
               wanted.insert(wanted.end(), shape.begin() + depth, shape.end());
               const TensorId where = constant ? g.constant({3, 7, depth}, DType::i64, -6, 6)
                                               : g.feed({3, 7, depth}, DType::i64, -7, 7);
               return scatter_nd(g.graph, "y", g.feed(shape), where, g.feed(wanted), op);
             }});
      }
    }
  }
}

void add_gathering(OpCases& cases) {
  for (const bool circular : {false, true}) {
    cases.push_back({circular ? "tensor_scatter_circular" : "tensor_scatter", [=](OpGraph& g) {
                       const TensorId starts = g.feed({3}, DType::i64, -9, 12);
                       return tensor_scatter(g.graph, "y", g.feed({3, 2, 8, 5}),
                                             g.feed({3, 2, 3, 5}), starts, {.circular = circular});
                     }});
  }
  cases.push_back({"max_unpool", [](OpGraph& g) {
                     const TensorId where = g.feed({2, 3, 4, 5}, DType::i64, 0, 2 * 3 * 8 * 10);
                     return max_unpool(g.graph, "y", g.feed({2, 3, 4, 5}), where,
                                       {.kernel = {2, 2}, .strides = {2, 2}}, {2, 3, 9, 10});
                   }});
  cases.push_back({"col2im", [](OpGraph& g) {
                     Window window;
                     window.kernel = {3, 2}, window.strides = {2, 1}, window.dilations = {1, 2};
                     window.pads = {1, 0, 1, 1};
                     return col2im(g.graph, "y", g.feed({2, 3 * 6, 5 * 6}), {9, 7}, window);
                   }});
  cases.push_back({"reverse_sequence", [](OpGraph& g) {
                     const TensorId lengths = g.feed({5}, DType::i64, 0, 8);
                     return reverse_sequence(g.graph, "y", g.feed({7, 5, 3}), lengths, {});
                   }});
  for (const auto& [each_from, each_to] :
       {std::pair(DType::i8, DType::u8), std::pair(DType::u32, DType::i32),
        std::pair(DType::f16, DType::u16), std::pair(DType::i16, DType::f16),
        std::pair(DType::i64, DType::u64)}) {
    cases.push_back(
        {"bit_cast_" + std::string(name_of(each_from)) + "_" + std::string(name_of(each_to)),
         [from = each_from, to = each_to](OpGraph& g) {
           return bit_cast(g.graph, "y", g.feed({33}, from, -100, 100), to);
         }});
  }
}

}  // namespace

void add_scatter_cases(OpCases& cases) {
  add_elements(cases);
  add_slices(cases);
  add_gathering(cases);
}

}  // namespace leat
