// Matrix products. Batch dimensions that only one factor has become rows of A or columns of B, so
// that the common (batch, M, K) x (K, N) is one large product and not a batch of small ones.
#include <fmt/format.h>

#include <cmath>

#include "leat/base/check.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/products.h"

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

/// The loops of a product, in the order batch, rows, columns, and where its factors are read.
struct ProductLoops {
  Loops loops;
  std::vector<Term> a_index, b_index;
};

ProductLoops loops_of(NodeWriter& writer, const Product& product) {
  const size_t rank = product.batch.size();
  ProductLoops p;
  std::vector<Term> batch(rank, writer.integer(0));
  const auto add = [&](int64_t extent) {
    p.loops.extents.push_back(extent);
    return writer.axis(p.loops.extents.size() - 1);
  };
  const auto add_batch = [&](bool of_a, bool of_b) {
    for (size_t d = 0; d < rank; ++d) {
      const bool in_a = extent_at(product.a_batch, rank, d) != 1;
      const bool in_b = extent_at(product.b_batch, rank, d) != 1;
      if (in_a == of_a && in_b == of_b) batch[d] = add(product.batch[d]);
    }
  };
  add_batch(true, true);
  add_batch(true, false);
  const Term m = add(product.m);
  add_batch(false, true);
  const Term n = add(product.n);
  const Term k = writer.axis(p.loops.extents.size());
  const auto batch_index = [&](const Shape& factor_batch) {
    std::vector<Term> index;
    const size_t lead = rank - factor_batch.size();
    for (size_t d = 0; d < factor_batch.size(); ++d) {
      index.push_back(factor_batch[d] == 1 ? writer.integer(0) : batch[lead + d]);
    }
    return index;
  };
  p.a_index = batch_index(product.a_batch);
  p.b_index = batch_index(product.b_batch);
  p.loops.index = batch;
  if (!product.a_is_vector) p.a_index.push_back(m), p.loops.index.push_back(m);
  p.a_index.push_back(k);
  p.b_index.push_back(k);
  if (!product.b_is_vector) p.b_index.push_back(n), p.loops.index.push_back(n);
  return p;
}

}  // namespace

Result<TensorId> matmul_of(Graph& graph, const Place& place, TensorId a, TensorId b, DType dtype,
                           const Factors& factors) {
  TRY_ASSIGN(const Product product, product_of(graph, place, a, b));
  const Shape shape = product.out_shape();
  TRY(require_shape(place, shape));
  NodeWriter writer(graph, place);
  if (product.k == 0 || element_count(shape) == 0) {
    return writer.map(dtype, shape, writer.number(scalar_type_of(dtype), 0));
  }
  const ProductLoops p = loops_of(writer, product);
  Term left = writer.load(a, p.a_index);
  if (factors.a) left = factors.a(writer, left, p.a_index);
  Term right = writer.load(b, p.b_index);
  if (factors.b) right = factors.b(writer, right, p.b_index);
  const Term element = left * right;
  const Term value = wrap_to(writer.accumulator(element.type()), dtype);
  return writer.reduce(dtype, shape, p.loops, {ReduceOp::sum, {product.k}, element}, value);
}

Result<TensorId> matmul(Graph& graph, std::string_view name, TensorId a, TensorId b) {
  const Place place(graph, "MatMul", name);
  TRY(require_same_dtype(graph, place, a, b));
  const DType dtype = dtype_of(graph, a);
  if (dtype == DType::boolean) return place.error("The dtype (bool) has no product.");
  return matmul_of(graph, place, a, b, dtype, {});
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

Term gemm_element(NodeWriter& writer, const Gemm& gemm) {
  std::vector<Term> a_index = {writer.axis(0), writer.axis(2)};
  std::vector<Term> b_index = {writer.axis(2), writer.axis(1)};
  if (gemm.options.transpose_a) std::swap(a_index[0], a_index[1]);
  if (gemm.options.transpose_b) std::swap(b_index[0], b_index[1]);
  const Term left = writer.load(gemm.a, a_index);
  return left * writer.load(gemm.b, b_index);
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
    const Term zero = writer.number(scalar_type_of(gemm.dtype), 0);
    return writer.map(gemm.dtype, shape, gemm_result(writer, gemm, zero));
  }
  const Term element = gemm_element(writer, gemm);
  const Term value = gemm_result(writer, gemm, writer.accumulator(element.type()));
  return writer.reduce(gemm.dtype, shape, {ReduceOp::sum, {gemm.k}, element}, value);
}

}  // namespace leat::ops
