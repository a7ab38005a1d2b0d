// See ops_attention_parts.h.
#include "leat/tensor/ops_attention_parts.h"

#include <fmt/format.h>

#include "leat/tensor/node_writer.h"

namespace leat::ops {
namespace {

constexpr std::string_view kOp = "Attention";

Result<void> require_whole(const Graph& graph, const Place& place, TensorId tensor,
                           const Shape& shape) {
  const Shape& given = shape_of(graph, tensor);
  if (given == shape && is_whole_number(dtype_of(graph, tensor))) return {};
  return place.error(fmt::format("Tensor \"{}\" is {} {} instead of whole numbers {}.",
                                 graph.tensors[tensor].name, name_of(dtype_of(graph, tensor)),
                                 to_string(given), to_string(shape)));
}

/// i32 of a whole number, as far as it fits.
Term small(Term value, double most) {
  return convert(max(min(value, most), -most), ScalarType::i32);
}
constexpr double kMost = 1 << 30;

}  // namespace

Result<TensorId> key_cache(Graph& graph, std::string_view name, TensorId fresh, TensorId past,
                           TensorId starts, int64_t heads, int64_t length) {
  const Place place(graph, kOp, name);
  const Shape own = shape_of(graph, fresh);
  const bool packed = own.size() == 3;
  const bool fits = packed ? heads >= 1 && own[2] % heads == 0 : own.size() == 4 && own[1] == heads;
  if (!fits) {
    return place.error(fmt::format("The shape {} has not ({}) heads.", to_string(own), heads));
  }
  const int64_t rows = own[packed ? 1 : 2];
  const int64_t size = packed ? own[2] / heads : own[3];
  const Shape shape = {own[0], heads, length, size};
  TRY(require_shape(place, shape));
  if (past != kNoTensor) {
    TRY(require_same_dtype(graph, place, fresh, past));
    Shape wanted = shape;
    if (shape_of(graph, past).size() == 4) wanted[2] = shape_of(graph, past)[2];
    if (shape_of(graph, past) != wanted) {
      return place.error(fmt::format("The past's shape {} does not fit {}.",
                                     to_string(shape_of(graph, past)), to_string(shape)));
    }
  }
  if (starts != kNoTensor) TRY(require_whole(graph, place, starts, {own[0]}));
  NodeWriter writer(graph, place);
  const std::vector<Term> at = writer.axes(4);
  const Term start =
      starts == kNoTensor ? writer.integer(0) : small(writer.load(starts, {at[0]}), kMost);
  const Term row = at[2] - start;
  const Term is_fresh = both(0 <= row, row < static_cast<double>(rows));
  const Term own_value =
      packed ? writer.load(fresh, {at[0], row, at[1] * static_cast<double>(size) + at[3]}, is_fresh)
             : writer.load(fresh, {at[0], at[1], row, at[3]}, is_fresh);
  if (past == kNoTensor || shape_of(graph, past)[2] == 0) {
    return writer.map(dtype_of(graph, fresh), shape, own_value);
  }
  const Term is_past = at[2] < static_cast<double>(shape_of(graph, past)[2]);
  const Term old_value = writer.load(past, at, is_past);
  return writer.map(dtype_of(graph, fresh), shape, select(is_fresh, own_value, old_value));
}

Result<TensorId> padding_bias(Graph& graph, std::string_view name, TensorId mask,
                              const PaddingOptions& options) {
  const Place place(graph, kOp, name);
  const Shape shape = shape_of(graph, mask);
  const int64_t batch = options.batch, queries = options.queries, keys = options.keys;
  const bool is_ends = shape == Shape{batch};
  const bool is_spans = shape == Shape{2 * batch};
  const bool by_query = shape == Shape{batch, queries, keys};
  const bool fits = is_ends || is_spans || by_query || shape == Shape{batch, keys};
  if (!fits || !is_whole_number(dtype_of(graph, mask))) {
    return place.error(
        fmt::format("The mask is {} {} instead of whole numbers ({}), ({}), ({}, {}) "
                    "or ({}, {}, {}).",
                    name_of(dtype_of(graph, mask)), to_string(shape), batch, 2 * batch, batch, keys,
                    batch, queries, keys));
  }
  NodeWriter writer(graph, place);
  const Term n = writer.axis(0), i = writer.axis(2), j = writer.axis(3);
  const auto count = [&](Term row) {
    return small(writer.load(mask, {row}), static_cast<double>(keys));
  };
  Term counts;
  if (is_ends || is_spans) {
    counts = j < count(n);
    if (is_spans) counts = both(counts, count(n + static_cast<double>(batch)) <= j);
  } else {
    const Term value = by_query ? writer.load(mask, {n, i, j}) : writer.load(mask, {n, j});
    counts = negate(equal(value, 0));
  }
  const Term seen = writer.number(scalar_type_of(options.dtype), 0);
  return writer.map(options.dtype, {batch, 1, by_query ? queries : 1, keys},
                    select(counts, seen, options.masked));
}

Result<TensorId> moved_starts(Graph& graph, std::string_view name, TensorId values, int64_t added) {
  const Place place(graph, kOp, name);
  const Shape shape = shape_of(graph, values);
  TRY(require_whole(graph, place, values, {shape.empty() ? 1 : shape[0]}));
  NodeWriter writer(graph, place);
  const Term value = small(writer.load(values, {writer.axis(0)}), kMost);
  return writer.map(DType::i32, shape, max(value + static_cast<double>(added), 0));
}

Result<TensorId> places_from(Graph& graph, std::string_view name, TensorId starts, int64_t batch,
                             int64_t length) {
  const Place place(graph, kOp, name);
  const bool is_shared = starts != kNoTensor && shape_of(graph, starts) == Shape{1};
  if (starts != kNoTensor) TRY(require_whole(graph, place, starts, {is_shared ? 1 : batch}));
  TRY(require_shape(place, {batch, length}));
  NodeWriter writer(graph, place);
  const Term row = is_shared ? writer.integer(0) : writer.axis(0);
  const Term start =
      starts == kNoTensor ? writer.integer(0) : small(writer.load(starts, {row}), kMost);
  return writer.map(DType::i32, {batch, length}, start + writer.axis(1));
}

Result<TensorId> first_zero(Graph& graph, std::string_view name, TensorId mask, int64_t batch) {
  const Place place(graph, kOp, name);
  TRY(require_shape(place, {batch}));
  NodeWriter writer(graph, place);
  if (mask == kNoTensor) return writer.map(DType::i32, {batch}, writer.integer(0));
  const Shape shape = shape_of(graph, mask);
  TRY(require_whole(graph, place, mask, {batch, shape.empty() ? 1 : shape.back()}));
  const Term s = writer.axis(1);
  const Term is_zero = equal(writer.load(mask, {writer.axis(0), s}), 0);
  const Term length = writer.integer(shape[1]);
  const Term first = min(writer.accumulator(ScalarType::i32), length);
  return writer.reduce(DType::i32, {batch}, {ReduceOp::min, {shape[1]}, select(is_zero, s, length)},
                       first);
}

}  // namespace leat::ops
