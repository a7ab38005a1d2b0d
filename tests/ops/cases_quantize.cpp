// Rows of quantised numbers. Where a rounding meets a half, a device and the reference may differ
// by one step: scales here are powers of two, so that quotients are exact.
#include "leat/tensor/ops_quantize.h"

#include "tests/ops/op_case.h"

namespace leat {
namespace {

using namespace ops;

void add_steps(OpCases& cases) {
  for (const DType dtype : {DType::i8, DType::u8, DType::i16, DType::u16, DType::i4, DType::u4,
                            DType::i2, DType::u2, DType::f8e4m3fn, DType::f8e5m2, DType::f4e2m1}) {
    for (const bool by_axis : {false, true}) {
      const Shape shape = by_axis ? Shape{5} : Shape{};
      const std::vector<double> scales =
          by_axis ? std::vector<double>{0.5, 0.25, 2, 1, 0.125} : std::vector<double>{0.25};
      const std::string name = std::string(name_of(dtype)) + (by_axis ? "_by_axis" : "");
      cases.push_back({"quantize_" + name, [=](OpGraph& g) -> Result<TensorId> {
                         const TensorId x = g.feed({3, 5, 7}, DType::f32, -70, 70);
                         const TensorId scale = g.feed_values(shape, scales);
                         const TensorId zero = g.feed(shape, dtype, 0, 2);
                         TRY_ASSIGN(const TensorId y,
                                    quantize(g.graph, "y", x, scale, zero, dtype, {}));
                         g.graph.outputs.push_back(y);
                         return dequantize(g.graph, "back", y, scale, zero, DType::f32, {});
                       }});
    }
  }
  cases.push_back({"quantize_blocked", [](OpGraph& g) -> Result<TensorId> {
                     const QuantizeOptions options = {.axis = 1, .block_size = 3};
                     const TensorId x = g.feed({2, 8, 5}, DType::f16, -70, 70);
                     const TensorId scale =
                         g.constant_values({2, 3, 5}, std::vector<double>(30, 0.5), DType::f16);
                     const TensorId zero = g.feed({2, 3, 5}, DType::i8, -9, 9);
                     TRY_ASSIGN(const TensorId y,
                                quantize(g.graph, "y", x, scale, zero, DType::i8, options));
                     g.graph.outputs.push_back(y);
                     return dequantize(g.graph, "back", y, scale, zero, DType::f16, options);
                   }});
  cases.push_back({"dynamic_quantize", [](OpGraph& g) -> Result<TensorId> {
                     const TensorId x = g.feed_values({2, 3}, {-1.5, 0, 1, 254, 253.5, 0.25});
                     TRY_ASSIGN(const Quantized y, dynamic_quantize(g.graph, "y", x));
                     g.graph.outputs.push_back(y.scale);
                     g.graph.outputs.push_back(y.zero_point);
                     return y.values;
                   }});
}

struct ProductRow {
  std::string name;
  int64_t m, k, n;
  DType a, b;
  bool lists;       // of zero points
  bool b_constant;  // with its zero points
};

Result<TensorId> integer_product(OpGraph& g, const ProductRow& row) {
  const auto numbers = [&](const Shape& shape, DType dtype, bool constant) {
    const double low = dtype == DType::i8 ? -128 : 0;
    return constant ? g.constant(shape, dtype, low, low + 256)
                    : g.feed(shape, dtype, low, low + 256);
  };
  const Shape one = {};
  const Quantized a = {numbers({row.m, row.k}, row.a, false), g.constant_values({}, {0.5}),
                       numbers(row.lists ? Shape{row.m} : one, row.a, false)};
  const Quantized b = {numbers({row.k, row.n}, row.b, row.b_constant),
                       g.constant_values({}, {0.25}),
                       numbers(row.lists ? Shape{row.n} : one, row.b, row.b_constant)};
  TRY_ASSIGN(const TensorId sums, matmul_integer(g.graph, "sums", a, b));
  g.graph.outputs.push_back(sums);
  return quantized_matmul(
      g.graph, "y", a, b,
      {g.constant_values({}, {4096}), g.feed({}, DType::u8, 0, 255), DType::u8});
}

void add_products(OpCases& cases) {
  for (const ProductRow& row :
       std::vector<ProductRow>{{"few", 3, 7, 5, DType::u8, DType::i8, false, false},
                               {"lists", 17, 33, 40, DType::u8, DType::i8, true, false},
                               {"constant", 17, 33, 40, DType::i8, DType::i8, false, true},
                               {"constant_lists", 130, 66, 70, DType::u8, DType::u8, true, true},
                               {"tiles", 128, 64, 128, DType::u8, DType::i8, false, true},
                               {"one_row", 1, 300, 260, DType::u8, DType::i8, false, true},
                               {"one_column", 300, 64, 1, DType::i8, DType::u8, false, false},
                               {"long", 2, 4096, 3, DType::u8, DType::u8, false, false}}) {
    cases.push_back(
        {"integer_product_" + row.name, [row](OpGraph& g) { return integer_product(g, row); }});
  }
  for (const int64_t groups : {1, 2, 8}) {
    for (const bool constant : {false, true}) {
      const std::string name =
          "integer_conv_" + std::to_string(groups) + (constant ? "_constant" : "");
      cases.push_back(
          {name, [=](OpGraph& g) -> Result<TensorId> {
             const Shape w_shape = {16, 8 / groups, 3, 3};
             const auto weights = [&](const Shape& shape) {
               return constant ? g.constant(shape, DType::i8, -128, 127)
                               : g.feed(shape, DType::i8, -128, 127);
             };
             const Quantized x = {g.feed({2, 8, 9, 7}, DType::u8, 0, 256),
                                  g.constant_values({}, {0.5}), g.feed({}, DType::u8, 0, 256)};
             const Quantized w = {weights(w_shape), g.constant_values({}, {0.25}), weights({16})};
             const TensorId bias = g.constant({16}, DType::i32, -9999, 9999);
             ConvOptions options;
             options.groups = groups;
             options.window.pads = {1, 0, 1, 2};
             options.window.strides = {2, 1};
             TRY_ASSIGN(const TensorId sums,
                        conv_integer(g.graph, "sums", x, w, kNoTensor, options));
             g.graph.outputs.push_back(sums);
             return quantized_conv(
                 g.graph, "y", x, w, bias,
                 {g.constant_values({}, {1024}), g.feed({}, DType::i8, -9, 9), DType::i8}, options);
           }});
    }
  }
}

void add_blocked(OpCases& cases) {
  for (const int64_t bits : {2, 4, 8}) {
    for (const bool zeros : {false, true}) {
      cases.push_back(
          {"blocked_weights_" + std::to_string(bits) + (zeros ? "_zeros" : ""),
           [=](OpGraph& g) -> Result<TensorId> {
             BlockedWeights w = {.k = 100, .n = 33, .bits = bits, .block_size = 32};
             w.values = g.constant({33, 4, 4 * bits}, DType::u8, 0, 256);
             w.scales = g.constant({33 * 4}, DType::f32, 0.01, 0.02);
             if (zeros) w.zero_points = g.constant({33, (4 * bits + 7) / 8}, DType::u8, 0, 256);
             return matmul_blocked(g.graph, "y", g.feed({3, 5, 100}), w, g.constant({33}));
           },
           // Weights reach 2^bits * 0.02.
           sum_tolerance(100) * static_cast<double>(int64_t{1} << bits)});
    }
  }
}

}  // namespace

void add_quantize_cases(OpCases& cases) {
  add_steps(cases);
  add_products(cases);
  add_blocked(cases);
}

}  // namespace leat
