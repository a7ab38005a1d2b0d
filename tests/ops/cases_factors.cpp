// Rows of products of matrices whose factors are more than what is loaded: casts and
// dequantisations of narrow whole numbers, which the schedule makes part of the product.
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

enum class Scale { none, one, by_column };

struct FactorRow {
  std::string name;
  int64_t m, k, n;
  DType a = DType::u8;
  DType b = DType::i8;
  Scale scale = Scale::one;
  bool b_constant = false;
};

/// (x - zero) * scale as f32; x itself when it is f32.
Result<TensorId> dequantised(OpGraph& g, const std::string& name, TensorId x, Scale scale,
                             const Shape& columns) {
  if (g.graph.tensors[x].dtype == DType::f32) return x;
  TRY_ASSIGN(const TensorId number, cast(g.graph, name + "_cast", x, DType::f32));
  if (scale == Scale::none) return number;
  const Shape shape = scale == Scale::one ? Shape{1} : columns;
  TRY_ASSIGN(const TensorId moved, binary(g.graph, name + "_moved", ScalarOp::sub, number,
                                          g.constant(shape, DType::f32, 1, 3)));
  return binary(g.graph, name, ScalarOp::mul, moved, g.constant(shape, DType::f32, 0.01, 0.02));
}

TensorId constant_unfolded(OpGraph& g, const Shape& shape, DType dtype) {
  g.graph.fold_steps_left = 0;
  return g.constant(shape, dtype, 0, 100);
}

Result<TensorId> product(OpGraph& g, const FactorRow& row) {
  const TensorId a = g.feed({row.m, row.k}, row.a, 0, 100);
  const Shape b_shape = {row.k, row.n};
  const TensorId b =
      row.b_constant ? constant_unfolded(g, b_shape, row.b) : g.feed(b_shape, row.b, 0, 100);
  TRY_ASSIGN(const TensorId left, dequantised(g, "left", a, row.scale, {row.m, 1}));
  TRY_ASSIGN(const TensorId right, dequantised(g, "right", b, row.scale, {row.n}));
  return matmul(g.graph, "y", left, right);
}

const std::vector<FactorRow>& factor_rows() {
  static const std::vector<FactorRow> rows = {
      {"casts", 5, 7, 9, DType::u8, DType::i8, Scale::none},
      {"one_scale", 17, 33, 9},
      {"a_only", 33, 16, 65, DType::i8, DType::f32},
      {"b_only", 33, 16, 65, DType::f32, DType::u8},
      {"by_column", 18, 24, 40, DType::u8, DType::i8, Scale::by_column},
      {"by_column_tiles", 130, 64, 132, DType::u8, DType::i8, Scale::by_column},
      {"few_rows", 1, 256, 192, DType::f32, DType::i8, Scale::by_column},
      {"constant_b", 66, 48, 70, DType::u8, DType::i8, Scale::by_column, true},
      {"constant_b_few_rows", 2, 512, 260, DType::f32, DType::i8, Scale::by_column, true},
      {"words", 9, 20, 11, DType::i16, DType::u16, Scale::one},
      {"halves", 9, 20, 36, DType::f16, DType::bf16, Scale::none},
  };
  return rows;
}

/// The padding of a convolution is 0, not what 0 would be dequantised to.
Result<TensorId> padded_conv(OpGraph& g, bool constant_weights, Scale scale) {
  const TensorId x = g.feed({1, 5, 9, 10}, DType::u8, 0, 100);
  const Shape w_shape = {20, 5, 3, 3};
  const TensorId w = constant_weights ? constant_unfolded(g, w_shape, DType::i8)
                                      : g.feed(w_shape, DType::i8, 0, 100);
  TRY_ASSIGN(const TensorId left, dequantised(g, "left", x, Scale::one, {}));
  TRY_ASSIGN(const TensorId right, dequantised(g, "right", w, scale, {20, 1, 1, 1}));
  return conv(g.graph, "y", left, right, kNoTensor, {.window = {.pads = {1, 1, 2, 0}}});
}

/// As a rule numbers of some hundred terms, each below 4.
constexpr double kFactorTolerance = 2e-5;

}  // namespace

void add_factor_cases(OpCases& cases) {
  for (const FactorRow& row : factor_rows()) {
    const bool is_half = row.a == DType::f16;
    cases.push_back({"factor_" + row.name, [row](OpGraph& g) { return product(g, row); },
                     is_half ? kHalfRounding : kFactorTolerance});
  }
  cases.push_back({"factor_padded_conv",
                   [](OpGraph& g) { return padded_conv(g, false, Scale::by_column); },
                   kFactorTolerance});
  cases.push_back({"factor_padded_conv_constant",
                   [](OpGraph& g) { return padded_conv(g, true, Scale::by_column); },
                   kFactorTolerance});
}

}  // namespace leat
