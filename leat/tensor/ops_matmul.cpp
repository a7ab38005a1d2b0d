// Matrix products. Batch dimensions that only one factor has become rows of A or columns of B, so
// that the common (batch, M, K) x (K, N) is one large product and not a batch of small ones. Whole
// numbers are a map-reduce: the contraction family accumulates floats.
#include <fmt/format.h>

#include <cmath>

#include "leat/base/check.h"
#include "leat/tensor/contraction_index.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

/// out[batch..., m, n] of two factors whose shapes were padded with ones to the same rank.
struct Product {
  TensorId a, b;
  Shape batch;             // extents of the output's batch dimensions
  Shape a_batch, b_batch;  // the same, 1 where broadcast
  int64_t m, n, k;
  bool a_is_vector, b_is_vector;

  Shape out_shape() const {
    Shape shape = batch;
    if (!a_is_vector) shape.push_back(m);
    if (!b_is_vector) shape.push_back(n);
    return shape;
  }
};

Result<Product> product_of(const Graph& graph, const Place& place, TensorId a, TensorId b) {
  Shape a_shape = shape_of(graph, a);
  Shape b_shape = shape_of(graph, b);
  if (a_shape.empty() || b_shape.empty()) {
    return place.error(fmt::format("The shapes {} and {} include a scalar.", to_string(a_shape),
                                   to_string(b_shape)));
  }
  Product product = {.a = a,
                     .b = b,
                     .batch = {},
                     .a_batch = {},
                     .b_batch = {},
                     .m = 1,
                     .n = 1,
                     .k = 1,
                     .a_is_vector = a_shape.size() == 1,
                     .b_is_vector = b_shape.size() == 1};
  if (product.a_is_vector) a_shape.insert(a_shape.begin(), 1);
  if (product.b_is_vector) b_shape.push_back(1);
  product.m = a_shape[a_shape.size() - 2];
  product.k = a_shape.back();
  product.n = b_shape.back();
  if (b_shape[b_shape.size() - 2] != product.k) {
    return place.error(fmt::format("The inner extents ({} and {}) of the shapes {} and {} differ.",
                                   product.k, b_shape[b_shape.size() - 2],
                                   to_string(shape_of(graph, a)), to_string(shape_of(graph, b))));
  }
  product.a_batch.assign(a_shape.begin(), a_shape.end() - 2);
  product.b_batch.assign(b_shape.begin(), b_shape.end() - 2);
  TRY_ASSIGN(product.batch, broadcast_shapes(place, product.a_batch, product.b_batch));
  return product;
}

/// Extent of batch dimension d (of the output) in a factor; 1 where the factor lacks it.
int64_t extent_at(const Shape& factor_batch, size_t batch_rank, size_t d) {
  const size_t lead = batch_rank - factor_batch.size();
  return d < lead ? 1 : factor_batch[d - lead];
}

/// Which loop axis runs over each output dimension.
class ProductAxes {
 public:
  explicit ProductAxes(const Product& product) {
    const size_t rank = product.batch.size();
    std::vector<size_t> batch, rows, columns;
    for (size_t d = 0; d < rank; ++d) {
      const bool in_a = extent_at(product.a_batch, rank, d) != 1;
      const bool in_b = extent_at(product.b_batch, rank, d) != 1;
      if (in_a && in_b) batch.push_back(d);
      if (in_a && !in_b) rows.push_back(d);
      if (!in_a && in_b) columns.push_back(d);
    }
    batch_axis.assign(rank, kNone);
    append(product, batch, contraction.batch);
    append(product, rows, contraction.m);
    contraction.m.push_back(product.m);
    m = next_++;
    append(product, columns, contraction.n);
    contraction.n.push_back(product.n);
    n = next_++;
    contraction.k = {product.k};
    k = next_++;
  }

  static constexpr size_t kNone = SIZE_MAX;

  Contraction contraction;         // extents only
  std::vector<size_t> batch_axis;  // kNone: extent 1 in both factors
  size_t m, n, k;
  size_t count() const { return next_; }

 private:
  void append(const Product& product, const std::vector<size_t>& dims, Shape& extents) {
    for (size_t d : dims) {
      extents.push_back(product.batch[d]);
      batch_axis[d] = next_++;
    }
  }

  size_t next_ = 0;
};

Affine axis_or_zero(const ProductAxes& axes, size_t axis) {
  if (axis == ProductAxes::kNone) return affine_of(axes.count(), {});
  return affine_of(axes.count(), {{axis, 1}});
}

ContractionOperand operand_of(const ProductAxes& axes, uint32_t input, const Shape& factor_batch,
                              size_t batch_rank) {
  ContractionOperand operand = {.input = input, .index = {}, .bounded = {}};
  const size_t lead = batch_rank - factor_batch.size();
  for (size_t d = 0; d < factor_batch.size(); ++d) {
    const bool whole = factor_batch[d] != 1;
    operand.index.push_back(
        axis_or_zero(axes, whole ? axes.batch_axis[lead + d] : ProductAxes::kNone));
  }
  return operand;
}

Contraction contraction_of(const Product& product) {
  const ProductAxes axes(product);
  const size_t rank = product.batch.size();
  Contraction c = axes.contraction;
  c.a = operand_of(axes, 0, product.a_batch, rank);
  if (!product.a_is_vector) c.a.index.push_back(axis_or_zero(axes, axes.m));
  c.a.index.push_back(axis_or_zero(axes, axes.k));
  c.b = operand_of(axes, 1, product.b_batch, rank);
  c.b.index.push_back(axis_or_zero(axes, axes.k));
  if (!product.b_is_vector) c.b.index.push_back(axis_or_zero(axes, axes.n));
  c.a.bounded.assign(c.a.index.size(), false);
  c.b.bounded.assign(c.b.index.size(), false);
  for (size_t axis : axes.batch_axis) c.out_index.push_back(axis_or_zero(axes, axis));
  if (!product.a_is_vector) c.out_index.push_back(axis_or_zero(axes, axes.m));
  if (!product.b_is_vector) c.out_index.push_back(axis_or_zero(axes, axes.n));
  return c;
}

/// Index of a factor's batch dimensions at the output's axes.
std::vector<Term> batch_index(NodeWriter& writer, const Shape& factor_batch, size_t batch_rank) {
  std::vector<Term> index;
  const size_t lead = batch_rank - factor_batch.size();
  for (size_t d = 0; d < factor_batch.size(); ++d) {
    index.push_back(factor_batch[d] == 1 ? writer.integer(0) : writer.axis(lead + d));
  }
  return index;
}

Result<TensorId> whole_number_product(Graph& graph, const Place& place, const Product& product) {
  NodeWriter writer(graph, place);
  const Shape shape = product.out_shape();
  const size_t rank = product.batch.size();
  const Term k = writer.axis(shape.size());
  std::vector<Term> a_index = batch_index(writer, product.a_batch, rank);
  if (!product.a_is_vector) a_index.push_back(writer.axis(rank));
  a_index.push_back(k);
  std::vector<Term> b_index = batch_index(writer, product.b_batch, rank);
  b_index.push_back(k);
  if (!product.b_is_vector) b_index.push_back(writer.axis(shape.size() - 1));
  const Term element = writer.load(product.a, a_index) * writer.load(product.b, b_index);
  const DType dtype = dtype_of(graph, product.a);
  const Term result = wrap_to(writer.accumulator(ScalarType::i32), dtype);
  return writer.reduce(dtype, shape, ReduceOp::sum, {product.k}, element, result);
}

}  // namespace

Result<TensorId> matmul(Graph& graph, std::string_view name, TensorId a, TensorId b) {
  const Place place(graph, "MatMul", name);
  TRY(require_same_dtype(graph, place, a, b));
  const DType dtype = dtype_of(graph, a);
  if (dtype == DType::boolean) return place.error("The dtype (bool) has no product.");
  TRY_ASSIGN(const Product product, product_of(graph, place, a, b));
  const Shape shape = product.out_shape();
  TRY(require_shape(place, shape));
  NodeWriter writer(graph, place);
  if (product.k == 0 || element_count(shape) == 0) {
    const Term zero = is_float(dtype) ? writer.number(0) : writer.integer(0);
    return writer.map(dtype, shape, zero);
  }
  if (!is_float(dtype)) return whole_number_product(graph, place, product);
  writer.input(a);
  writer.node().inputs.push_back(b);  // input 1, even if it is the same tensor as a
  return writer.contract(dtype, shape, contraction_of(product), writer.accumulator());
}

// --- Gemm
// -----------------------------------------------------------------------------------------

namespace {

struct Gemm {
  TensorId a, b, c;
  int64_t m, n, k;
  DType dtype;
  GemmOptions options;
};

Result<Gemm> resolve_gemm(const Graph& graph, const Place& place, TensorId a, TensorId b,
                          TensorId c, const GemmOptions& options) {
  const Shape& a_shape = shape_of(graph, a);
  const Shape& b_shape = shape_of(graph, b);
  if (a_shape.size() != 2 || b_shape.size() != 2) {
    return place.error(fmt::format("The shapes {} and {} are not those of matrices.",
                                   to_string(a_shape), to_string(b_shape)));
  }
  const size_t a_row = options.transpose_a ? 1 : 0;
  const size_t b_row = options.transpose_b ? 1 : 0;
  Gemm gemm = {.a = a,
               .b = b,
               .c = c,
               .m = a_shape[a_row],
               .n = b_shape[1 - b_row],
               .k = a_shape[1 - a_row],
               .dtype = dtype_of(graph, a),
               .options = options};
  if (b_shape[b_row] != gemm.k) {
    return place.error(fmt::format("The inner extents ({} and {}) of the shapes {} and {} differ.",
                                   gemm.k, b_shape[b_row], to_string(a_shape), to_string(b_shape)));
  }
  const bool integral =
      options.alpha == std::floor(options.alpha) && options.beta == std::floor(options.beta);
  if (gemm.dtype == DType::boolean || (!is_float(gemm.dtype) && !integral)) {
    return place.error(fmt::format("The factors ({} and {}) do not suit the dtype ({}).",
                                   options.alpha, options.beta, name_of(gemm.dtype)));
  }
  if (c == kNoTensor) return gemm;
  TRY_ASSIGN(const Shape sum, broadcast_shapes(place, {gemm.m, gemm.n}, shape_of(graph, c)));
  if (sum != Shape{gemm.m, gemm.n}) {
    return place.error(fmt::format("The shape {} of C does not broadcast to ({}, {}).",
                                   to_string(shape_of(graph, c)), gemm.m, gemm.n));
  }
  return gemm;
}

Term gemm_result(NodeWriter& writer, const Gemm& gemm, Term product) {
  Term result = product * gemm.options.alpha;
  if (gemm.c != kNoTensor && gemm.options.beta != 0) {
    result = result + writer.broadcast(gemm.c, {gemm.m, gemm.n}) * gemm.options.beta;
  }
  return wrap_to(result, gemm.dtype);
}

Contraction gemm_contraction(const Gemm& gemm) {
  const auto index = [](bool transposed, size_t row, size_t column) {
    if (transposed) std::swap(row, column);
    return std::vector<Affine>{affine_of(3, {{row, 1}}), affine_of(3, {{column, 1}})};
  };
  Contraction c;
  c.m = {gemm.m};
  c.n = {gemm.n};
  c.k = {gemm.k};
  c.a = {.input = 0, .index = index(gemm.options.transpose_a, 0, 2), .bounded = {false, false}};
  c.b = {.input = 1, .index = index(gemm.options.transpose_b, 2, 1), .bounded = {false, false}};
  c.out_index = {affine_of(3, {{0, 1}}), affine_of(3, {{1, 1}})};
  return c;
}

Term whole_number_element(NodeWriter& writer, const Gemm& gemm) {
  std::vector<Term> a_index = {writer.axis(0), writer.axis(2)};
  std::vector<Term> b_index = {writer.axis(2), writer.axis(1)};
  if (gemm.options.transpose_a) std::swap(a_index[0], a_index[1]);
  if (gemm.options.transpose_b) std::swap(b_index[0], b_index[1]);
  return writer.load(gemm.a, a_index) * writer.load(gemm.b, b_index);
}

}  // namespace

Result<TensorId> gemm(Graph& graph, std::string_view name, TensorId a, TensorId b, TensorId c,
                      const GemmOptions& options) {
  const Place place(graph, "Gemm", name);
  TRY(require_same_dtype(graph, place, a, b));
  if (c != kNoTensor) TRY(require_same_dtype(graph, place, a, c));
  TRY_ASSIGN(const Gemm gemm, resolve_gemm(graph, place, a, b, c, options));
  NodeWriter writer(graph, place);
  const Shape shape = {gemm.m, gemm.n};
  TRY(require_shape(place, shape));
  if (gemm.k == 0 || element_count(shape) == 0) {
    const Term zero = is_float(gemm.dtype) ? writer.number(0) : writer.integer(0);
    return writer.map(gemm.dtype, shape, gemm_result(writer, gemm, zero));
  }
  if (!is_float(gemm.dtype)) {
    const Term element = whole_number_element(writer, gemm);
    const Term sum = writer.accumulator(ScalarType::i32);
    return writer.reduce(gemm.dtype, shape, ReduceOp::sum, {gemm.k}, element,
                         gemm_result(writer, gemm, sum));
  }
  writer.input(a);
  writer.node().inputs.push_back(b);  // input 1, even if it is the same tensor as a
  const Term result = gemm_result(writer, gemm, writer.accumulator());
  return writer.contract(gemm.dtype, shape, gemm_contraction(gemm), result);
}

}  // namespace leat::ops
