// Arithmetic, comparison and conversion element by element: each operator is one map node whose
// loads stand at the output's own axes (or at 0 where a dimension is broadcast), so that they fuse.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "leat/base/check.h"
#include "leat/base/small_floats.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Inputs of one variadic node; kernels have a limited number of buffers.
constexpr size_t kVariadicMax = 8;

using Function = std::function<Term(Term)>;
using Function2 = std::function<Term(Term, Term)>;

Result<TensorId> map_one(Graph& graph, const Place& place, TensorId x, DType dtype,
                         const Function& function) {
  const Shape shape = shape_of(graph, x);
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  return writer.map(dtype, shape, wrap_to(function(value), dtype));
}

Result<TensorId> map_two(Graph& graph, const Place& place, TensorId a, TensorId b, DType dtype,
                         const Function2& function) {
  TRY_ASSIGN(Shape shape, broadcast_shapes(place, shape_of(graph, a), shape_of(graph, b)));
  NodeWriter writer(graph, place);
  const Term right = writer.broadcast(b, shape);
  const Term result = function(writer.broadcast(a, shape), right);
  return writer.map(dtype, std::move(shape), wrap_to(result, dtype));
}

bool is_logical(ScalarOp op) {
  return op == ScalarOp::logical_and || op == ScalarOp::logical_or || op == ScalarOp::logical_xor ||
         op == ScalarOp::logical_not;
}

bool is_bitwise(ScalarOp op) {
  return op == ScalarOp::bit_and || op == ScalarOp::bit_or || op == ScalarOp::bit_xor ||
         op == ScalarOp::shift_left || op == ScalarOp::shift_right || op == ScalarOp::rem;
}

bool takes_both(ScalarOp op) {
  return op == ScalarOp::neg || op == ScalarOp::abs || op == ScalarOp::add || op == ScalarOp::sub ||
         op == ScalarOp::mul || op == ScalarOp::div || op == ScalarOp::min || op == ScalarOp::max;
}

Result<void> require_dtype_for(const Graph& graph, const Place& place, ScalarOp op, TensorId x) {
  const DType dtype = dtype_of(graph, x);
  bool fits = is_float(dtype);
  if (is_logical(op)) {
    fits = dtype == DType::boolean;
  } else if (is_bitwise(op)) {
    fits = is_whole_number(dtype);
  } else if (takes_both(op)) {
    fits = dtype != DType::boolean;
  }
  if (fits) return {};
  return place.error(fmt::format("The dtype ({}) of tensor \"{}\" does not suit the operation {}.",
                                 name_of(dtype), graph.tensors[x].name, name_of(op)));
}

bool is_shift(ScalarOp op) { return op == ScalarOp::shift_left || op == ScalarOp::shift_right; }

bool has_sign(DType dtype) {
  return dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64;
}

/// A shift by the width or more, and by a negative number, leaves nothing but the sign; devices
/// leave it open. ScalarOp::shift_right brings zeros in: of a negative number the bits are turned.
Term shifted(ScalarOp op, Term left, Term right, DType dtype) {
  const double bits = 8.0 * static_cast<double>(size_bytes_of(dtype));
  const auto unsigned_shift = [&](Term value, Term is_inside, Term count) {
    return select(is_inside, apply(op, value, min(count, bits - 1)), 0);
  };
  if (!has_sign(dtype)) return unsigned_shift(left, right < bits, right);
  const Term is_inside = both(0 <= right, right < bits);
  const Term count = max(right, 0);
  if (op == ScalarOp::shift_left) return unsigned_shift(left, is_inside, count);
  const Term flip = select(left < 0, left.constant(-1), left.constant(0));
  const Term positive = apply(ScalarOp::bit_xor, left, flip);
  return apply(ScalarOp::bit_xor, unsigned_shift(positive, is_inside, count), flip);
}

}  // namespace

Result<TensorId> unary(Graph& graph, std::string_view name, ScalarOp op, TensorId x) {
  CHECK(operand_count_of(op) == 1);
  const Place place(graph, name_of(op), name);
  TRY(require_dtype_for(graph, place, op, x));
  return map_one(graph, place, x, dtype_of(graph, x), [op](Term a) { return apply(op, a); });
}

Result<TensorId> binary(Graph& graph, std::string_view name, ScalarOp op, TensorId a, TensorId b) {
  CHECK(operand_count_of(op) == 2 && op != ScalarOp::pow);
  const Place place(graph, name_of(op), name);
  TRY(require_dtype_for(graph, place, op, a));
  TRY(require_same_dtype(graph, place, a, b));
  const DType dtype = dtype_of(graph, a);
  return map_two(graph, place, a, b, dtype, [op, dtype](Term left, Term right) {
    return is_shift(op) ? shifted(op, left, right, dtype) : apply(op, left, right);
  });
}

Result<TensorId> compare(Graph& graph, std::string_view name, Comparison comparison, TensorId a,
                         TensorId b) {
  const Place place(graph, "compare", name);
  TRY(require_same_dtype(graph, place, a, b));
  const bool is_bool = dtype_of(graph, a) == DType::boolean;
  if (is_bool && comparison != Comparison::equal) {
    return place.error(
        fmt::format("The dtype (bool) of tensor \"{}\" has no order.", graph.tensors[a].name));
  }
  return map_two(graph, place, a, b, DType::boolean, [&](Term left, Term right) {
    switch (comparison) {
      case Comparison::equal:
        if (is_bool) return negate(apply(ScalarOp::logical_xor, left, right));
        return equal(left, right);
      case Comparison::less: return left < right;
      case Comparison::less_equal: return left <= right;
      case Comparison::greater: return right < left;
      case Comparison::greater_equal: return right <= left;
    }
    return left;
  });
}

Result<TensorId> where(Graph& graph, std::string_view name, TensorId condition, TensorId a,
                       TensorId b) {
  const Place place(graph, "Where", name);
  if (dtype_of(graph, condition) != DType::boolean) {
    return place.error(fmt::format("The condition's dtype ({}) is not bool.",
                                   name_of(dtype_of(graph, condition))));
  }
  TRY(require_same_dtype(graph, place, a, b));
  TRY_ASSIGN(Shape shape, broadcast_shapes(place, shape_of(graph, a), shape_of(graph, b)));
  TRY_ASSIGN(shape, broadcast_shapes(place, shape, shape_of(graph, condition)));
  NodeWriter writer(graph, place);
  const Term otherwise = writer.broadcast(b, shape);
  const Term then = writer.broadcast(a, shape);
  const Term result = select(writer.broadcast(condition, shape), then, otherwise);
  return writer.map(dtype_of(graph, a), std::move(shape), result);
}

namespace {

Term power(Term base, Term exponent) {
  const ExprNode& node = exponent.tree().node(exponent.id());
  if (node.kind == ExprKind::constant) return pow(base, node.number);
  return apply(ScalarOp::pow, base, exponent);
}

/// What pow made of a whole number, before it is truncated: it may fall short of the true value by
/// a few ulp.
Term truncate_power(Term value) {
  constexpr double kSnap = 1e-5;  // a hundred ulp of f32
  const Term nearest = apply(ScalarOp::round_even, value);
  const Term close = abs(value - nearest) <= abs(nearest) * kSnap;
  return select(close, nearest, value);
}

bool is_whole_constant(Term value) {
  const ExprNode& node = value.tree().node(value.id());
  return node.kind == ExprKind::constant && node.number == std::trunc(node.number);
}

/// Squares of the base, multiplied by the bits of the exponent. From 64 on a power is 0, 1, -1 or
/// too large: there only whether the exponent is odd counts. Negative powers are 0 but of 1 and -1.
Term whole_power(Term base, Term exponent) {
  constexpr int kBits = 6;
  constexpr double kLargest = (1 << kBits) - 1;
  if (!is_whole(exponent.type())) exponent = convert(exponent, ScalarType::i64);
  const Term size = abs(exponent);
  const Term parity = apply(ScalarOp::bit_and, size, 1);
  const Term reduced = select(size <= kLargest, size, parity + (kLargest - 1));
  Term result = base.constant(1);
  Term square = base;
  for (int bit = 0; bit < kBits; ++bit) {
    const Term is_set = equal(apply(ScalarOp::bit_and, reduced, 1 << bit), 1 << bit);
    result = select(is_set, result * square, result);
    square = square * square;
  }
  const Term is_unit = equal(abs(base), 1);
  return select(either(0 <= exponent, is_unit), result, 0);
}

}  // namespace

Result<TensorId> pow(Graph& graph, std::string_view name, TensorId base, TensorId exponent) {
  const Place place(graph, "Pow", name);
  const DType dtype = dtype_of(graph, base);
  if (dtype == DType::boolean || dtype_of(graph, exponent) == DType::boolean) {
    return place.error("The dtype (bool) has no powers.");
  }
  return map_two(graph, place, base, exponent, dtype, [&](Term a, Term b) {
    if (is_float(dtype)) return power(a, convert(b, a.type()));
    if (is_whole(b.type()) || is_whole_constant(b)) return whole_power(a, b);
    const Term value = power(convert(a, ScalarType::f32), convert(b, ScalarType::f32));
    return convert(truncate_power(value), a.type());
  });
}

Result<TensorId> mod(Graph& graph, std::string_view name, TensorId a, TensorId b, bool fmod) {
  const Place place(graph, "Mod", name);
  TRY(require_same_dtype(graph, place, a, b));
  const DType dtype = dtype_of(graph, a);
  if (dtype == DType::boolean) return place.error("The dtype (bool) has no remainder.");
  return map_two(graph, place, a, b, dtype, [&](Term left, Term right) {
    const Term rest = apply(is_float(dtype) ? ScalarOp::fmod : ScalarOp::rem, left, right);
    if (fmod) return rest;
    const Term signs_differ = apply(ScalarOp::logical_xor, rest < 0, right < 0);
    const Term signed_rest = select(both(negate(equal(rest, 0)), signs_differ), rest + right, rest);
    if (!is_float(dtype)) return signed_rest;
    const Term zero = select(right < 0, -abs(rest), abs(rest));  // of the divisor's sign
    return select(equal(rest, 0), zero, signed_rest);
  });
}

Result<TensorId> clip(Graph& graph, std::string_view name, TensorId x, TensorId low,
                      TensorId high) {
  const Place place(graph, "Clip", name);
  if (dtype_of(graph, x) == DType::boolean) return place.error("The dtype (bool) has no order.");
  for (TensorId limit : {low, high}) {
    if (limit == kNoTensor) continue;
    TRY(require_same_dtype(graph, place, x, limit));
    if (element_count(shape_of(graph, limit)) != 1) {
      return place.error(fmt::format("The limit \"{}\" of shape {} does not have one element.",
                                     graph.tensors[limit].name, to_string(shape_of(graph, limit))));
    }
  }
  const Shape shape = shape_of(graph, x);
  NodeWriter writer(graph, place);
  Term value = writer.load(x, writer.axes(shape.size()));
  if (low != kNoTensor) value = max(value, writer.only_element(low));
  if (high != kNoTensor) value = min(value, writer.only_element(high));
  return writer.map(dtype_of(graph, x), shape, value);
}

Result<TensorId> clip_to(Graph& graph, std::string_view name, TensorId x, std::optional<double> low,
                         std::optional<double> high) {
  const Place place(graph, "Clip", name);
  const DType dtype = dtype_of(graph, x);
  if (dtype == DType::boolean) return place.error("The dtype (bool) has no order.");
  return map_one(graph, place, x, dtype, [&](Term value) {
    if (low) value = max(value, *low);
    return high ? min(value, *high) : value;
  });
}

Result<TensorId> prelu(Graph& graph, std::string_view name, TensorId x, TensorId slope) {
  const Place place(graph, "PRelu", name);
  TRY(require_same_dtype(graph, place, x, slope));
  if (dtype_of(graph, x) == DType::boolean) return place.error("The dtype (bool) has no sign.");
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const Shape both_shape, broadcast_shapes(place, shape, shape_of(graph, slope)));
  if (both_shape != shape) {
    return place.error(fmt::format("The slope's shape {} does not broadcast to the input's {}.",
                                   to_string(shape_of(graph, slope)), to_string(shape)));
  }
  return map_two(graph, place, x, slope, dtype_of(graph, x),
                 [](Term value, Term factor) { return select(value < 0, value * factor, value); });
}

Result<TensorId> is_nan(Graph& graph, std::string_view name, TensorId x) {
  const Place place(graph, "IsNaN", name);
  TRY(require_float(graph, place, x));
  return map_one(graph, place, x, DType::boolean,
                 [](Term value) { return negate(equal(value, value)); });
}

Result<TensorId> is_inf(Graph& graph, std::string_view name, TensorId x, bool positive,
                        bool negative) {
  const Place place(graph, "IsInf", name);
  TRY(require_float(graph, place, x));
  return map_one(graph, place, x, DType::boolean, [&](Term value) {
    if (positive && negative) return equal(abs(value), kInfinity);
    if (positive) return equal(value, kInfinity);
    if (negative) return equal(value, -kInfinity);
    return value < value;  // false for all
  });
}

Result<TensorId> bit_not(Graph& graph, std::string_view name, TensorId x) {
  const Place place(graph, "BitwiseNot", name);
  TRY(require_dtype_for(graph, place, ScalarOp::bit_xor, x));
  return map_one(graph, place, x, dtype_of(graph, x), [](Term value) {
    return apply(ScalarOp::bit_xor, value, value.constant_whole(-1));
  });
}

namespace {

/// The operand that says what a code is of.
Term code_type(Term beside, DType dtype) {
  return Term(beside.tree(), beside.tree().constant_int(static_cast<int64_t>(dtype)));
}

/// As a dtype has it, of a code what it stands for.
Term decoded(Term value, DType dtype) {
  if (!is_small_float(dtype)) return value;
  return apply(ScalarOp::float_from_code, value, code_type(value, dtype));
}

/// The code of a number. Saturating, what is too large becomes the largest number, infinity too.
/// Source: ONNX, "Float stored in 8 bits".
Term encoded(Term value, DType dtype, bool saturate) {
  Term number = convert(value, ScalarType::f32);
  if (saturate) {
    const double largest = largest_of(dtype);
    number = select(equal(number, number), max(min(number, largest), -largest), number);
  }
  return apply(ScalarOp::code_from_float, number, code_type(number, dtype));
}

}  // namespace

Result<TensorId> cast(Graph& graph, std::string_view name, TensorId x, DType dtype, bool saturate) {
  const Place place(graph, "Cast", name);
  const DType from = dtype_of(graph, x);
  return map_one(graph, place, x, dtype, [&](Term value) {
    if (from == dtype) return value;
    const Term number = decoded(value, from);
    if (is_small_float(dtype)) return encoded(number, dtype, saturate);
    return convert(number, scalar_type_of(dtype));
  });
}

Result<TensorId> identity(Graph& graph, std::string_view name, TensorId x) {
  const Place place(graph, "Identity", name);
  return map_one(graph, place, x, dtype_of(graph, x), [](Term value) { return value; });
}

// --- Variadic
// -------------------------------------------------------------------------------------

namespace {

Term combine(Variadic kind, Term a, Term b) {
  switch (kind) {
    case Variadic::sum:
    case Variadic::mean: return a + b;
    case Variadic::min: return min(a, b);
    case Variadic::max: return max(a, b);
  }
  return a;
}

/// One node over at most kVariadicMax inputs; the sum is divided by `divisor`.
Result<TensorId> variadic_node(Graph& graph, const Place& place, std::string_view suffix,
                               Variadic kind, std::span<const TensorId> inputs, size_t divisor) {
  Shape shape = shape_of(graph, inputs[0]);
  for (TensorId input : inputs) {
    TRY_ASSIGN(shape, broadcast_shapes(place, shape, shape_of(graph, input)));
  }
  NodeWriter writer(graph, place, suffix);
  const DType dtype = dtype_of(graph, inputs[0]);
  Term result = writer.broadcast(inputs[0], shape);
  for (TensorId input : inputs.subspan(1)) {
    result = combine(kind, result, writer.broadcast(input, shape));
  }
  if (divisor > 1) result = result / static_cast<double>(divisor);
  return writer.map(dtype, std::move(shape), wrap_to(result, dtype));
}

}  // namespace

Result<TensorId> variadic(Graph& graph, std::string_view name, Variadic kind,
                          std::span<const TensorId> inputs) {
  constexpr std::string_view kNames[] = {"Sum", "Mean", "Min", "Max"};
  const Place place(graph, kNames[static_cast<size_t>(kind)], name);
  if (inputs.empty()) return place.error("The number of inputs (0) is not positive.");
  for (TensorId input : inputs) {
    TRY(require_dtype_for(graph, place, ScalarOp::add, input));
    TRY(require_same_dtype(graph, place, inputs[0], input));
  }
  std::vector<TensorId> rest(inputs.begin(), inputs.end());
  const size_t divisor = kind == Variadic::mean ? rest.size() : 1;
  for (int part = 0; rest.size() > kVariadicMax; ++part) {
    TRY_ASSIGN(const TensorId partial, variadic_node(graph, place, fmt::format("/{}", part), kind,
                                                     std::span(rest).first(kVariadicMax), 1));
    rest.erase(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(kVariadicMax) - 1);
    rest[0] = partial;
  }
  return variadic_node(graph, place, "", kind, rest, divisor);
}

}  // namespace leat::ops
