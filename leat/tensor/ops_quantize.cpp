// Numbers that stand for others. Factors of integer products subtract their zero points where they
// are loaded, and what is made of a sum is a node of its own that fuses into it, so that nothing
// wider than the tensors themselves is in memory.
#include "leat/tensor/ops_quantize.h"

#include <fmt/format.h>

#include <optional>

#include "leat/base/small_floats.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/products.h"

namespace leat::ops {
namespace {

/// Whole numbers that are quantised to.
bool is_quantized_whole(DType dtype) { return is_whole_number(dtype) && bits_of(dtype) <= 16; }

struct Limits {
  double low, high;
};

Limits limits_of(DType dtype) {
  const bool has_sign =
      dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i4 || dtype == DType::i2;
  const auto count = static_cast<double>(int64_t{1} << bits_of(dtype));
  return has_sign ? Limits{-count / 2, count / 2 - 1} : Limits{0, count - 1};
}

/// round(value) + zero as the nearest number of the dtype, i32; both are floats.
Term nearest_whole(Term value, Term zero, DType dtype) {
  const Limits limits = limits_of(dtype);
  const Term whole = apply(ScalarOp::round_even, value) + zero;
  return convert(max(min(whole, limits.high), limits.low), ScalarType::i32);
}

/// A float as a type of 16 bits has it.
Term rounded(Term value, DType dtype) {
  if (dtype == DType::f32) return value;
  const Term code(value.tree(), value.tree().constant_int(static_cast<int64_t>(dtype)));
  return apply(ScalarOp::float_from_code, apply(ScalarOp::code_from_float, value, code), code);
}

Term as_f32(Term value) { return convert(value, ScalarType::f32); }

bool has_one_element(const Graph& graph, TensorId tensor) {
  return element_count(shape_of(graph, tensor)) == 1;
}

/// What all elements of a constant are, if they are the same.
std::optional<int64_t> only_number(const Graph& graph, TensorId tensor) {
  const auto& constant = graph.tensors[tensor].constant;
  const int64_t count = constant ? element_count(constant->shape) : 0;
  if (count == 0) return std::nullopt;
  const int64_t first = constant->integer(0);
  for (int64_t i = 1; i < count; ++i) {
    if (constant->integer(i) != first) return std::nullopt;
  }
  return first;
}

/// What scale and zero point are at a place of x.
struct Grid {
  size_t axis = 0;
  int64_t block_size = 0;

  Term at(NodeWriter& writer, const Graph& graph, TensorId tensor, size_t rank) const {
    if (has_one_element(graph, tensor)) return writer.only_element(tensor);
    std::vector<Term> index = writer.axes(rank);
    if (block_size == 0) return writer.load(tensor, {index[axis]});
    if (block_size > 1) index[axis] = index[axis] / static_cast<double>(block_size);
    return writer.load(tensor, index);
  }
};

Result<Grid> grid_of(const Graph& graph, const Place& place, TensorId x, TensorId scale,
                     const QuantizeOptions& options) {
  const Shape& shape = shape_of(graph, x);
  const Shape& given = shape_of(graph, scale);
  if (options.block_size < 0) {
    return place.error(fmt::format("The block size ({}) is negative.", options.block_size));
  }
  if (has_one_element(graph, scale) && (given.size() <= 1 || given.size() == shape.size())) {
    return Grid{};
  }
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
  const int64_t block = options.block_size;
  Shape wanted = {shape[axis]};
  if (block > 0) {
    wanted = shape;
    wanted[axis] = shape[axis] / block + (shape[axis] % block > 0 ? 1 : 0);
  }
  if (given == wanted) return Grid{axis, block};
  return place.error(
      fmt::format("The scale's shape {} is neither of one element nor {}, which the input's shape "
                  "{}, axis ({}) "
                  "and block size ({}) ask for.",
                  to_string(given), to_string(wanted), to_string(shape), axis, block));
}

Result<void> check_zero_point(const Graph& graph, const Place& place, TensorId scale,
                              TensorId zero_point, DType dtype) {
  if (zero_point == kNoTensor) return {};
  const DType given = dtype_of(graph, zero_point);
  if (given != dtype) {
    return place.error(fmt::format("The zero point's dtype ({}) is not that of the numbers ({}).",
                                   name_of(given), name_of(dtype)));
  }
  const bool both_one = has_one_element(graph, scale) && has_one_element(graph, zero_point);
  if (!both_one && shape_of(graph, zero_point) != shape_of(graph, scale)) {
    return place.error(fmt::format("The zero point's shape {} is not that of the scale, {}.",
                                   to_string(shape_of(graph, zero_point)),
                                   to_string(shape_of(graph, scale))));
  }
  return {};
}

/// A zero point that is no code.
Result<TensorId> number_of(Graph& graph, const Place& place, TensorId zero_point) {
  if (zero_point == kNoTensor || !is_small_float(dtype_of(graph, zero_point))) return zero_point;
  return cast(graph, place.name + "/zero_point", zero_point, DType::f32);
}

Result<void> check_precision(const Place& place, DType dtype) {
  if (is_float(dtype) && dtype != DType::f64) return {};
  return place.error(fmt::format("The precision ({}) is not f32, f16 or bf16.", name_of(dtype)));
}

}  // namespace

Result<TensorId> quantize(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                          TensorId zero_point, DType dtype, const QuantizeOptions& options) {
  const Place place(graph, "QuantizeLinear", name);
  if (dtype_of(graph, x) != DType::i32) TRY(require_float(graph, place, x));
  TRY(require_float(graph, place, scale));
  TRY(check_precision(place, options.precision));
  if (!is_quantized_whole(dtype) && (!is_small_float(dtype) || dtype == DType::f8e8m0)) {
    return place.error(fmt::format("The dtype ({}) is none to quantise to.", name_of(dtype)));
  }
  TRY(check_zero_point(graph, place, scale, zero_point, dtype));
  TRY_ASSIGN(const Grid grid, grid_of(graph, place, x, scale, options));
  TRY_ASSIGN(zero_point, number_of(graph, place, zero_point));
  const Shape shape = shape_of(graph, x);
  const bool is_whole = is_quantized_whole(dtype);
  NodeWriter writer(graph, place, is_whole ? "" : "/scaled");
  const Term dividend = as_f32(writer.load(x, writer.axes(shape.size())));
  const Term divisor = as_f32(grid.at(writer, graph, scale, shape.size()));
  const DType precision = options.precision;
  const Term quotient =
      rounded(rounded(dividend, precision) / rounded(divisor, precision), precision);
  Term zero = writer.number(ScalarType::f32, 0);
  if (zero_point != kNoTensor) zero = as_f32(grid.at(writer, graph, zero_point, shape.size()));
  if (is_whole) return writer.map(dtype, shape, nearest_whole(quotient, zero, dtype));
  TRY_ASSIGN(const TensorId scaled, writer.map(DType::f32, shape, quotient + zero));
  return cast(graph, place.name, scaled, dtype, options.saturate);
}

Result<TensorId> dequantize(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                            TensorId zero_point, DType dtype, const QuantizeOptions& options) {
  const Place place(graph, "DequantizeLinear", name);
  const DType given = dtype_of(graph, x);
  if (!is_quantized_whole(given) && !is_small_float(given) && given != DType::i32) {
    return place.error(fmt::format("The dtype ({}) is none of quantised numbers.", name_of(given)));
  }
  TRY(require_float(graph, place, scale));
  if (!is_float(dtype)) {
    return place.error(fmt::format("The dtype ({}) is not a float.", name_of(dtype)));
  }
  TRY(check_zero_point(graph, place, scale, zero_point, given));
  TRY_ASSIGN(const Grid grid, grid_of(graph, place, x, scale, options));
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(zero_point, number_of(graph, place, zero_point));
  if (is_small_float(given)) {
    TRY_ASSIGN(x, cast(graph, place.name + "/number", x, DType::f32));
  }
  NodeWriter writer(graph, place);
  Term number = writer.load(x, writer.axes(shape.size()));
  if (zero_point != kNoTensor) {
    const auto only = is_quantized_whole(given) ? only_number(graph, zero_point) : std::nullopt;
    number =
        number - (only ? writer.integer(*only) : grid.at(writer, graph, zero_point, shape.size()));
  }
  return writer.map(dtype, shape,
                    as_f32(number) * as_f32(grid.at(writer, graph, scale, shape.size())));
}

Result<Quantized> dynamic_quantize(Graph& graph, std::string_view name, TensorId x) {
  const Place place(graph, "DynamicQuantizeLinear", name);
  if (dtype_of(graph, x) != DType::f32) {
    return place.error(fmt::format("The dtype ({}) is not f32.", name_of(dtype_of(graph, x))));
  }
  if (element_count(shape_of(graph, x)) == 0) {
    return place.error("Without elements there is no range.");
  }
  const auto extreme = [&](std::string_view suffix, Reduction reduction) {
    return reduce(graph, place.name + std::string(suffix), reduction, x,
                  {.axes = std::nullopt, .keep_dims = false});
  };
  TRY_ASSIGN(const TensorId least, extreme("/least", Reduction::min));
  TRY_ASSIGN(const TensorId most, extreme("/most", Reduction::max));
  const double levels = limits_of(DType::u8).high;
  NodeWriter scales(graph, place, "/scale");
  const Term low = min(scales.only_element(least), 0);
  const Term high = max(scales.only_element(most), 0);
  const Term reach = select(equal(low, high), 1.0, high - low);
  TRY_ASSIGN(const TensorId scale, scales.map(DType::f32, {}, reach / levels));
  NodeWriter zeros(graph, place, "/zero_point");
  const Term unit = zeros.only_element(scale);
  const Term zero = 0.0 - min(zeros.only_element(least), 0) / unit;
  TRY_ASSIGN(
      const TensorId zero_point,
      zeros.map(DType::u8, {}, nearest_whole(zero, zeros.number(ScalarType::f32, 0), DType::u8)));
  TRY_ASSIGN(const TensorId values,
             quantize(graph, place.name, x, scale, zero_point, DType::u8, {}));
  return Quantized{values, scale, zero_point};
}

// --- Integer products
// ------------------------------------------------------------------------------

namespace {

Result<void> check_bytes(const Graph& graph, const Place& place, const Quantized& operand) {
  const DType dtype = dtype_of(graph, operand.values);
  if (dtype != DType::i8 && dtype != DType::u8) {
    return place.error(fmt::format("The dtype ({}) of tensor \"{}\" is not i8 or u8.",
                                   name_of(dtype), graph.tensors[operand.values].name));
  }
  if (operand.zero_point == kNoTensor || dtype_of(graph, operand.zero_point) == dtype) return {};
  return place.error(fmt::format("The zero point's dtype ({}) is not that of the numbers ({}).",
                                 name_of(dtype_of(graph, operand.zero_point)), name_of(dtype)));
}

/// A list along dimension `dim` of `rank`, as a tensor that broadcasts there; what has one element
/// stands for itself.
Result<TensorId> along(Graph& graph, const std::string& name, TensorId list, size_t dim,
                       size_t rank) {
  const Shape& shape = shape_of(graph, list);
  if (shape.size() != 1 || shape[0] == 1 || dim + 1 == rank) return list;
  Ints axes;
  for (size_t d = 1; d < rank - dim; ++d) axes.push_back(static_cast<int64_t>(d));
  return unsqueeze(graph, name, list, axes);
}

Result<void> check_spreads(const Graph& graph, const Place& place, std::string_view what,
                           TensorId tensor, const Shape& over) {
  if (has_one_element(graph, tensor)) return {};
  const Shape& shape = shape_of(graph, tensor);
  const auto sum = broadcast_shapes(place, shape, over);
  if (sum && *sum == over) return {};
  return place.error(fmt::format("The {}'s shape {} does not broadcast to {}.", what,
                                 to_string(shape), to_string(over)));
}

/// The factor less its zero point, which lies along dimension `dim` and is 1 in `summed`.
Result<FactorOf> less_zero(Graph& graph, const Place& place, std::string_view operand_name,
                           const Quantized& operand, size_t dim, std::vector<size_t> summed) {
  if (operand.zero_point == kNoTensor) return FactorOf();
  const Shape shape = shape_of(graph, operand.values);
  TRY_ASSIGN(const TensorId zero, along(graph, fmt::format("{}/{}_zero", place.name, operand_name),
                                        operand.zero_point, dim, shape.size()));
  Shape over = shape;
  for (const size_t d : summed) over[d] = 1;
  TRY(check_spreads(graph, place, "zero point", zero, over));
  if (const auto number = only_number(graph, zero)) {
    if (*number == 0) return FactorOf();
    return FactorOf([number = *number](NodeWriter& writer, Term loaded, const std::vector<Term>&) {
      return loaded - writer.integer(number);
    });
  }
  const bool is_one = has_one_element(graph, zero);
  return FactorOf(
      [zero, shape, is_one](NodeWriter& writer, Term loaded, const std::vector<Term>& index) {
        return loaded - (is_one ? writer.only_element(zero) : writer.broadcast(zero, index, shape));
      });
}

size_t row_of(const Shape& shape) { return shape.size() > 1 ? shape.size() - 2 : 0; }

}  // namespace

Result<TensorId> matmul_integer(Graph& graph, std::string_view name, const Quantized& a,
                                const Quantized& b) {
  const Place place(graph, "MatMulInteger", name);
  TRY(check_bytes(graph, place, a));
  TRY(check_bytes(graph, place, b));
  const Shape a_shape = shape_of(graph, a.values);
  const Shape b_shape = shape_of(graph, b.values);
  if (a_shape.empty() || b_shape.empty()) return place.error("A factor is a scalar.");
  Factors factors;
  TRY_ASSIGN(factors.a, less_zero(graph, place, "a", a, row_of(a_shape), {a_shape.size() - 1}));
  TRY_ASSIGN(factors.b, less_zero(graph, place, "b", b, b_shape.size() - 1, {row_of(b_shape)}));
  return matmul_of(graph, place, a.values, b.values, DType::i32, factors);
}

Result<TensorId> conv_integer(Graph& graph, std::string_view name, const Quantized& x,
                              const Quantized& w, TensorId bias, const ConvOptions& options) {
  const Place place(graph, "ConvInteger", name);
  TRY(check_bytes(graph, place, x));
  TRY(check_bytes(graph, place, w));
  if (x.zero_point != kNoTensor && !has_one_element(graph, x.zero_point)) {
    return place.error(fmt::format("The shape {} of x' zero point has not one element.",
                                   to_string(shape_of(graph, x.zero_point))));
  }
  std::vector<size_t> rest;
  for (size_t d = 1; d < shape_of(graph, w.values).size(); ++d) rest.push_back(d);
  Factors factors;
  TRY_ASSIGN(factors.a, less_zero(graph, place, "x", x, 0, {}));
  if (!factors.a) {  // the factor beyond the edge is 0 all the same
    factors.a = [](NodeWriter&, Term loaded, const std::vector<Term>&) { return loaded; };
  }
  TRY_ASSIGN(factors.b, less_zero(graph, place, "w", w, 0, rest));
  return conv_of(graph, place, x.values, w.values, bias, DType::i32, options, factors);
}

namespace {

/// Scale of a * scale of b / scale of y, folded where all are constants.
Result<TensorId> multiplier_of(Graph& graph, const Place& place, TensorId a, TensorId b,
                               TensorId y) {
  const auto wide = [&](std::string_view suffix, TensorId scale) {
    return cast(graph, place.name + std::string(suffix), scale, DType::f32);
  };
  TRY_ASSIGN(a, wide("/a_scale", a));
  TRY_ASSIGN(b, wide("/b_scale", b));
  TRY_ASSIGN(y, wide("/y_scale", y));
  TRY_ASSIGN(const TensorId both, binary(graph, place.name + "/scales", ScalarOp::mul, a, b));
  return binary(graph, place.name + "/multiplier", ScalarOp::div, both, y);
}

Result<void> check_result(const Place& place, const QuantizedResult& y) {
  if (y.dtype == DType::i8 || y.dtype == DType::u8) return {};
  return place.error(fmt::format("The result's dtype ({}) is not i8 or u8.", name_of(y.dtype)));
}

Result<void> check_scales(const Graph& graph, const Place& place,
                          std::initializer_list<TensorId> scales) {
  for (const TensorId scale : scales) TRY(require_float(graph, place, scale));
  return {};
}

}  // namespace

Result<TensorId> requantize(Graph& graph, std::string_view name, TensorId sums, TensorId multiplier,
                            const QuantizedResult& y) {
  const Place place(graph, "Requantize", name);
  TRY(check_result(place, y));
  TRY(require_float(graph, place, multiplier));
  const Shape shape = shape_of(graph, sums);
  TRY(check_spreads(graph, place, "scale", multiplier, shape));
  if (y.zero_point != kNoTensor) {
    TRY(check_spreads(graph, place, "zero point", y.zero_point, shape));
  }
  NodeWriter writer(graph, place);
  const auto spread = [&](TensorId tensor) {
    return as_f32(has_one_element(graph, tensor) ? writer.only_element(tensor)
                                                 : writer.broadcast(tensor, shape));
  };
  const Term sum = as_f32(writer.load(sums, writer.axes(shape.size())));
  Term zero = writer.number(ScalarType::f32, 0);
  if (y.zero_point != kNoTensor) zero = spread(y.zero_point);
  return writer.map(y.dtype, shape, nearest_whole(sum * spread(multiplier), zero, y.dtype));
}

Result<TensorId> quantized_matmul(Graph& graph, std::string_view name, const Quantized& a,
                                  const Quantized& b, const QuantizedResult& y) {
  const Place place(graph, "QLinearMatMul", name);
  TRY(check_scales(graph, place, {a.scale, b.scale, y.scale}));
  TRY_ASSIGN(const TensorId sums, matmul_integer(graph, place.name + "/sums", a, b));
  const auto by_row = [&](std::string_view suffix, TensorId list) {
    return list == kNoTensor ? Result<TensorId>(kNoTensor)
                             : along(graph, place.name + std::string(suffix), list, 0, 2);
  };
  TRY_ASSIGN(const TensorId a_scale, by_row("/a_scale", a.scale));
  TRY_ASSIGN(const TensorId y_scale, by_row("/y_scale", y.scale));
  TRY_ASSIGN(const TensorId y_zero, by_row("/y_zero", y.zero_point));
  TRY_ASSIGN(const TensorId multiplier, multiplier_of(graph, place, a_scale, b.scale, y_scale));
  return requantize(graph, place.name, sums, multiplier, {y.scale, y_zero, y.dtype});
}

Result<TensorId> quantized_conv(Graph& graph, std::string_view name, const Quantized& x,
                                const Quantized& w, TensorId bias, const QuantizedResult& y,
                                const ConvOptions& options) {
  const Place place(graph, "QLinearConv", name);
  TRY(check_scales(graph, place, {x.scale, w.scale, y.scale}));
  TRY_ASSIGN(const TensorId sums, conv_integer(graph, place.name + "/sums", x, w, bias, options));
  TRY_ASSIGN(const TensorId by_channel,
             along(graph, place.name + "/w_scale", w.scale, 1, shape_of(graph, w.values).size()));
  TRY_ASSIGN(const TensorId multiplier, multiplier_of(graph, place, x.scale, by_channel, y.scale));
  return requantize(graph, place.name, sums, multiplier, y);
}

// --- Weights of few bits in blocks
// -----------------------------------------------------------------

namespace {

/// Bits [number * bits, + bits) of the bytes at `index`, whose last dimension holds them.
Term packed_bits(NodeWriter& writer, TensorId bytes, std::vector<Term> index, Term number,
                 int64_t bits) {
  if (bits == 8) {
    index.push_back(number);
    return writer.load(bytes, index);
  }
  const double in_byte = static_cast<double>(8 / bits);
  index.push_back(number / in_byte);
  const Term shift = (number % in_byte) * static_cast<double>(bits);
  return apply(ScalarOp::bit_and, apply(ScalarOp::shift_right, writer.load(bytes, index), shift),
               static_cast<double>((int64_t{1} << bits) - 1));
}

Result<void> check_blocked(const Graph& graph, const Place& place, TensorId a,
                           const BlockedWeights& b, int64_t blocks) {
  const Shape& shape = shape_of(graph, a);
  if (shape.empty() || shape.back() != b.k) {
    return place.error(
        fmt::format("The shape {} does not end with K ({}).", to_string(shape), b.k));
  }
  const Shape wanted = {b.n, blocks, b.block_size * b.bits / 8};
  if (dtype_of(graph, b.values) != DType::u8 || shape_of(graph, b.values) != wanted) {
    return place.error(fmt::format("The weights ({}, {}) are not u8 of shape {}.",
                                   name_of(dtype_of(graph, b.values)),
                                   to_string(shape_of(graph, b.values)), to_string(wanted)));
  }
  TRY(require_same_dtype(graph, place, a, b.scales));
  if (element_count(shape_of(graph, b.scales)) != b.n * blocks) {
    return place.error(fmt::format("The scales' shape {} has not N ({}) times the blocks ({}).",
                                   to_string(shape_of(graph, b.scales)), b.n, blocks));
  }
  if (b.zero_points == kNoTensor) return {};
  const bool is_packed = dtype_of(graph, b.zero_points) == DType::u8;
  if (!is_packed) TRY(require_same_dtype(graph, place, a, b.zero_points));
  const int64_t row = is_packed ? (blocks * b.bits + 7) / 8 : blocks;
  if (element_count(shape_of(graph, b.zero_points)) == b.n * row) return {};
  return place.error(fmt::format("The zero points' shape {} has not N ({}) times ({}) elements.",
                                 to_string(shape_of(graph, b.zero_points)), b.n, row));
}

}  // namespace

Result<TensorId> matmul_blocked(Graph& graph, std::string_view name, TensorId a,
                                const BlockedWeights& b, TensorId bias) {
  const Place place(graph, "MatMulNBits", name);
  TRY(require_float(graph, place, a));
  if ((b.bits != 2 && b.bits != 4 && b.bits != 8) || b.k < 1 || b.n < 1 || b.k > kElementsMax ||
      b.n > kElementsMax || b.block_size < 16 || b.block_size > kElementsMax ||
      b.block_size % 8 != 0) {
    return place.error(
        fmt::format("K ({}), N ({}), the bits ({}; 2, 4 or 8) or the block size ({}; from 16, "
                    "whole bytes) is out "
                    "of range.",
                    b.k, b.n, b.bits, b.block_size));
  }
  const int64_t blocks = (b.k + b.block_size - 1) / b.block_size;
  TRY(check_blocked(graph, place, a, b, blocks));
  const auto two_dimensions = [&](std::string_view suffix, TensorId tensor, int64_t row) {
    return reshape(graph, place.name + std::string(suffix), tensor, {b.n, row});
  };
  TRY_ASSIGN(const TensorId scales, two_dimensions("/scales", b.scales, blocks));
  TensorId zeros = b.zero_points;
  const bool zeros_packed = zeros != kNoTensor && dtype_of(graph, zeros) == DType::u8;
  if (zeros != kNoTensor) {
    const int64_t row = zeros_packed ? (blocks * b.bits + 7) / 8 : blocks;
    TRY_ASSIGN(zeros, two_dimensions("/zero_points", zeros, row));
  }
  const DType dtype = dtype_of(graph, a);
  Shape shape = shape_of(graph, a);
  shape.back() = b.n;
  TRY(require_shape(place, shape));
  NodeWriter writer(graph, place);
  const size_t rank = shape.size();
  std::vector<Term> a_index = writer.axes(rank - 1);
  const Term n = writer.axis(rank - 1);
  const Term block = writer.axis(rank);
  const Term in_block = writer.axis(rank + 1);
  const Term k = block * static_cast<double>(b.block_size) + in_block;
  a_index.push_back(k);
  const bool is_whole = b.k == blocks * b.block_size;
  const Term left =
      writer.load(a, a_index, is_whole ? writer.truth(true) : k < static_cast<double>(b.k));
  const ScalarType type = left.type();
  const Term code = packed_bits(writer, b.values, {n, block}, in_block, b.bits);
  Term zero = writer.number(type, static_cast<double>(int64_t{1} << (b.bits - 1)));
  if (zeros_packed) {
    zero = convert(packed_bits(writer, zeros, {n}, block, b.bits), type);
  } else if (zeros != kNoTensor) {
    zero = writer.load(zeros, {n, block});
  }
  const Term weight = (convert(code, type) - zero) * writer.load(scales, {n, block});
  Term value = writer.accumulator(type);
  if (bias != kNoTensor) {
    TRY(require_same_dtype(graph, place, a, bias));
    TRY(check_spreads(graph, place, "bias", bias, {b.n}));
    value = value + (has_one_element(graph, bias) ? writer.only_element(bias)
                                                  : writer.broadcast(bias, shape));
  }
  return writer.reduce(dtype, shape, {ReduceOp::sum, {blocks, b.block_size}, left * weight}, value);
}

}  // namespace leat::ops
