// Rows of what sums products: convolution, transposed convolution, matrix product.
#include <algorithm>

#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

struct ConvRow {
  std::string name;
  Shape x;
  Shape w;
  ConvOptions options = {};
  bool with_bias = true;
  DType dtype = DType::f32;
  bool weights_fed = false;
};

int64_t terms_of(const Shape& w) { return element_count(w) / std::max<int64_t>(w[0], 1); }

double tolerance_of(DType dtype, int64_t terms) {
  if (dtype == DType::bf16) return sum_tolerance(terms) + kBrainRounding;
  return sum_tolerance(terms) + (dtype == DType::f32 ? 0 : kHalfRounding);
}

const std::vector<ConvRow>& conv_rows() {
  static const std::vector<ConvRow> rows = {
      {"plain_3x3", {1, 3, 9, 9}, {5, 3, 3, 3}, {.window = {.pads = {1, 1, 1, 1}}}},
      {"one_of_each", {1, 1, 1, 1}, {1, 1, 1, 1}},
      {"pointwise", {2, 17, 5, 7}, {33, 17, 1, 1}, {}, false},
      {"wide_3x3", {1, 16, 14, 14}, {64, 16, 3, 3}, {.window = {.pads = {1, 1, 1, 1}}}},
      {"asymmetric_pads", {1, 4, 6, 7}, {9, 4, 3, 2}, {.window = {.pads = {0, 2, 3, 1}}}},
      {"stride_2_7x7",
       {1, 3, 23, 19},
       {17, 3, 7, 7},
       {.window = {.strides = {2, 2}, .pads = {3, 3, 3, 3}}}},
      {"strides_differ",
       {1, 5, 11, 13},
       {7, 5, 3, 3},
       {.window = {.strides = {1, 3}, .pads = {1, 0, 1, 0}}}},
      {"dilation",
       {1, 4, 12, 13},
       {6, 4, 3, 3},
       {.window = {.dilations = {2, 3}, .pads = {2, 3, 2, 3}}}},
      {"groups", {1, 12, 7, 7}, {8, 3, 3, 3}, {.window = {.pads = {1, 1, 1, 1}}, .groups = 4}},
      {"depthwise", {1, 17, 9, 9}, {17, 1, 3, 3}, {.window = {.pads = {1, 1, 1, 1}}, .groups = 17}},
      {"depthwise_twice",
       {2, 6, 8, 8},
       {12, 1, 5, 5},
       {.window = {.strides = {2, 2}, .pads = {2, 2, 2, 2}}, .groups = 6}},
      {"same_upper",
       {1, 3, 8, 8},
       {4, 3, 3, 3},
       {.window = {.strides = {2, 2}, .auto_pad = AutoPad::same_upper}}},
      {"same_lower", {1, 3, 8, 8}, {4, 3, 4, 4}, {.window = {.auto_pad = AutoPad::same_lower}}},
      {"one_dimension", {2, 5, 33}, {9, 5, 4}, {.window = {.strides = {2}, .pads = {1, 2}}}},
      {"three_dimensions",
       {1, 3, 5, 6, 7},
       {4, 3, 2, 3, 2},
       {.window = {.strides = {1, 2, 1}, .pads = {1, 1, 0, 0, 1, 1}}}},
      {"pads_beyond_kernel", {1, 2, 3, 3}, {3, 2, 2, 2}, {.window = {.pads = {3, 3, 3, 3}}}},
      {"no_batch", {0, 3, 5, 5}, {4, 3, 3, 3}},
      {"fed_weights",
       {1, 9, 6, 6},
       {10, 9, 3, 3},
       {.window = {.pads = {1, 1, 1, 1}}},
       true,
       DType::f32,
       true},
      {"f16", {1, 8, 9, 9}, {17, 8, 3, 3}, {.window = {.pads = {1, 1, 1, 1}}}, true, DType::f16},
      {"bf16",
       {1, 32, 9, 9},
       {40, 32, 3, 3},
       {.window = {.pads = {1, 1, 1, 1}}},
       true,
       DType::bf16},
      {"f16_depthwise",
       {1, 9, 7, 7},
       {9, 1, 3, 3},
       {.window = {.pads = {1, 1, 1, 1}}, .groups = 9},
       true,
       DType::f16},
      {"f16_fed_weights", {1, 7, 5, 5}, {5, 7, 1, 1}, {}, false, DType::f16, true},
      {"long_sum", {1, 512, 4, 4}, {8, 512, 3, 3}, {.window = {.pads = {1, 1, 1, 1}}}},
  };
  return rows;
}

void add_conv(OpCases& cases, const ConvRow& row) {
  cases.push_back({"conv_" + row.name,
                   [row](OpGraph& g) {
                     const TensorId x = g.feed(row.x, row.dtype);
                     const TensorId w =
                         row.weights_fed ? g.feed(row.w, row.dtype) : g.constant(row.w, row.dtype);
                     const TensorId bias =
                         row.with_bias ? g.constant({row.w[0]}, row.dtype) : kNoTensor;
                     return conv(g.graph, "y", x, w, bias, row.options);
                   },
                   tolerance_of(row.dtype, terms_of(row.w))});
}

struct ConvTransposeRow {
  std::string name;
  Shape x;
  Shape w;
  ConvTransposeOptions options;
  DType dtype = DType::f32;
};

const std::vector<ConvTransposeRow>& conv_transpose_rows() {
  static const std::vector<ConvTransposeRow> rows = {
      {"plain", {1, 3, 5, 5}, {3, 4, 3, 3}, {}},
      {"stride_2",
       {1, 5, 6, 7},
       {5, 9, 3, 3},
       {.window = {.strides = {2, 2}, .pads = {1, 1, 1, 1}}, .output_padding = {1, 1}}},
      {"phases_without_taps", {1, 3, 4, 5}, {3, 2, 2, 2}, {.window = {.strides = {3, 4}}}},
      {"asymmetric_pads",
       {2, 4, 5, 5},
       {4, 3, 4, 4},
       {.window = {.strides = {2, 2}, .pads = {0, 1, 2, 1}}}},
      {"groups", {1, 6, 5, 5}, {6, 2, 3, 3}, {.window = {.strides = {2, 2}}, .groups = 3}},
      {"dilation",
       {1, 2, 5, 6},
       {2, 3, 3, 3},
       {.window = {.strides = {2, 1}, .dilations = {2, 2}}}},
      {"output_shape",
       {1, 3, 3, 3},
       {3, 2, 3, 3},
       {.window = {.strides = {3, 2}}, .output_shape = {10, 8}}},
      {"one_dimension", {1, 3, 7}, {3, 5, 4}, {.window = {.strides = {2}}}},
      {"f16", {1, 4, 5, 5}, {4, 6, 3, 3}, {.window = {.strides = {2, 2}}}, DType::f16},
  };
  return rows;
}

void add_conv_transpose(OpCases& cases, const ConvTransposeRow& row) {
  cases.push_back({"conv_transpose_" + row.name,
                   [row](OpGraph& g) {
                     const TensorId x = g.feed(row.x, row.dtype);
                     const TensorId w = g.constant(row.w, row.dtype);
                     const TensorId bias = g.constant({row.w[1] * row.options.groups}, row.dtype);
                     return conv_transpose(g.graph, "y", x, w, bias, row.options);
                   },
                   tolerance_of(row.dtype, element_count(row.w) / row.w[1])});
}

struct MatmulRow {
  std::string name;
  Shape a;
  Shape b;
  DType dtype = DType::f32;
  bool b_constant = false;
};

const std::vector<MatmulRow>& matmul_rows() {
  static const std::vector<MatmulRow> rows = {
      {"small", {3, 4}, {4, 5}},
      {"one_by_one", {1, 1}, {1, 1}},
      {"tails", {17, 33}, {33, 9}},
      {"constant_b", {65, 31}, {31, 67}, DType::f32, true},
      {"vector_matrix", {7}, {7, 9}},
      {"matrix_vector", {9, 7}, {7}},
      {"vectors", {19}, {19}},
      {"batch", {3, 5, 6}, {3, 6, 7}},
      {"broadcast_both", {2, 1, 5, 6}, {3, 6, 4}},
      {"broadcast_b", {2, 3, 9, 8}, {8, 5}},
      {"no_terms", {3, 0}, {0, 4}},
      {"no_rows", {0, 3}, {3, 4}},
      {"i32", {5, 9}, {9, 17}, DType::i32},
      {"i64", {3, 4}, {4, 5}, DType::i64},
      {"f16", {17, 24}, {24, 33}, DType::f16},
      {"f16_constant_b", {9, 16}, {16, 20}, DType::f16, true},
      {"bf16", {17, 24}, {24, 33}, DType::bf16},
      {"bf16_constant_b", {9, 18}, {18, 20}, DType::bf16, true},
      {"bf16_constant_b_odd", {9, 17}, {17, 20}, DType::bf16, true},
      {"bf16_constant_b_wide", {67, 96}, {96, 70}, DType::bf16, true},
      {"bf16_constant_b_even_rows", {64, 64}, {64, 64}, DType::bf16, true},
  };
  return rows;
}

void add_matmul(OpCases& cases, const MatmulRow& row) {
  const double bound = is_float(row.dtype) ? 1 : 7;
  cases.push_back({"matmul_" + row.name,
                   [row, bound](OpGraph& g) {
                     const TensorId a = g.feed(row.a, row.dtype, -bound, bound);
                     const TensorId b = row.b_constant ? g.constant(row.b, row.dtype, -bound, bound)
                                                       : g.feed(row.b, row.dtype, -bound, bound);
                     return matmul(g.graph, "y", a, b);
                   },
                   tolerance_of(row.dtype, row.a.back())});
}

struct GemmRow {
  std::string name;
  Shape a, b, c;
  GemmOptions options;
};

void add_gemm_cases(OpCases& cases) {
  const GemmRow rows[] = {
      {"plain", {5, 7}, {7, 9}, {9}, {}},
      {"transposed", {7, 5}, {9, 7}, {5, 1}, {.transpose_a = true, .transpose_b = true}},
      {"transposed_b", {1, 64}, {10, 64}, {10}, {.transpose_b = true}},
      {"scaled", {6, 3}, {3, 4}, {6, 4}, {.alpha = 0.5, .beta = -2}},
      {"scalar_c", {6, 3}, {3, 4}, {1}, {.beta = 0.25}},
  };
  for (const GemmRow& row : rows) {
    cases.push_back({"gemm_" + row.name,
                     [row](OpGraph& g) {
                       const TensorId a = g.feed(row.a);
                       const TensorId b = g.constant(row.b);
                       return gemm(g.graph, "y", a, b, g.constant(row.c), row.options);
                     },
                     sum_tolerance(64)});
  }
  cases.push_back({"gemm_without_c", [](OpGraph& g) {
                     const TensorId a = g.feed({4, 5});
                     return gemm(g.graph, "y", a, g.feed({5, 6}), kNoTensor, {});
                   }});
}

}  // namespace

void add_contraction_cases(OpCases& cases) {
  for (const ConvRow& row : conv_rows()) add_conv(cases, row);
  for (const ConvTransposeRow& row : conv_transpose_rows()) add_conv_transpose(cases, row);
  for (const MatmulRow& row : matmul_rows()) add_matmul(cases, row);
  add_gemm_cases(cases);
}

}  // namespace leat
