// Random numbers as expressions; see ops_random.h. The words of the generator are u64 expressions
// below 2^32, so that the product of two of them is whole.
#include "leat/tensor/ops_random.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <numbers>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

constexpr double kWord = 0x1p32;
constexpr int kRounds = 10;

using Words = std::array<Term, 4>;

Term low_word(Term value) { return apply(ScalarOp::bit_and, value, kWord - 1); }
Term high_word(Term value) { return apply(ScalarOp::shift_right, value, 32.0); }
Term mixed(Term a, Term b, uint32_t key) {
  return apply(ScalarOp::bit_xor, apply(ScalarOp::bit_xor, a, b), static_cast<double>(key));
}

/// Philox4x32-10 of the counter (number, 0, 0, 0). Source of the constants: the paper, section 3.3.
Words random_words(Term number, uint64_t key) {
  constexpr double kMultipliers[] = {0xd2511f53, 0xcd9e8d57};
  constexpr uint32_t kSteps[] = {0x9e3779b9, 0xbb67ae85};
  const Term counter = convert(number, ScalarType::u64);
  const Term zero = counter.constant(0);
  uint32_t keys[] = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  Words words = {counter, zero, zero, zero};
  for (int round = 0; round < kRounds; ++round) {
    const Term first = words[0] * kMultipliers[0];
    const Term second = words[2] * kMultipliers[1];
    words = {mixed(high_word(second), words[1], keys[0]), low_word(second),
             mixed(high_word(first), words[3], keys[1]), low_word(first)};
    for (size_t i = 0; i < 2; ++i) keys[i] += kSteps[i];
  }
  return words;
}

/// In [0, 1), a multiple of 2^-24.
Term unit_f32(Term word) {
  const Term bits = apply(ScalarOp::shift_right, word, 8.0);
  return convert(convert(bits, ScalarType::i32), ScalarType::f32) * 0x1p-24;
}

/// In [0, 1): of f64 a multiple of 2^-53.
Term unit_of(const Words& words, ScalarType type) {
  if (type != ScalarType::f64) return unit_f32(words[0]);
  const auto whole = [](Term word, double bits) {
    const Term kept = apply(ScalarOp::shift_right, word, bits);
    return convert(convert(kept, ScalarType::i32), ScalarType::f64);
  };
  return (whole(words[0], 5) * 0x1p26 + whole(words[1], 6)) * 0x1p-53;
}

/// The row-major number of the element at the axes of `shape`.
Term element_number(NodeWriter& writer, const Shape& shape) {
  Term number = writer.integer(0);
  for (size_t d = 0; d < shape.size(); ++d) {
    number = number * static_cast<double>(shape[d]) + writer.axis(d);
  }
  return number;
}

Words words_at(NodeWriter& writer, const Shape& shape, uint64_t key) {
  return random_words(element_number(writer, shape), key);
}

Result<void> require_random(const Place& place, const Shape& shape, DType dtype) {
  TRY(require_shape(place, shape));
  if (is_float(dtype)) return {};
  return place.error(fmt::format("The dtype ({}) is not a float.", name_of(dtype)));
}

}  // namespace

uint64_t random_key(std::optional<float> seed, std::string_view name) {
  if (seed) return std::bit_cast<uint32_t>(*seed);
  // FNV-1a of 32 bits. Source: RFC 9923, section 5.
  uint32_t hash = 0x811c9dc5;
  for (char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x01000193;
  constexpr uint64_t kNoSeed = 0x6c656174;  // "leat"
  return kNoSeed | uint64_t{hash} << 32;
}

Result<TensorId> random_uniform(Graph& graph, std::string_view name, const Shape& shape,
                                const UniformRange& range, const RandomOptions& options) {
  const Place place(graph, "RandomUniform", name);
  TRY(require_random(place, shape, options.dtype));
  NodeWriter writer(graph, place);
  const Term unit = unit_of(words_at(writer, shape, options.key), scalar_type_of(options.dtype));
  return writer.map(options.dtype, shape, unit * (range.high - range.low) + range.low);
}

Result<TensorId> random_normal(Graph& graph, std::string_view name, const Shape& shape,
                               const NormalShape& normal, const RandomOptions& options) {
  const Place place(graph, "RandomNormal", name);
  TRY(require_random(place, shape, options.dtype));
  NodeWriter writer(graph, place);
  const Words words = words_at(writer, shape, options.key);
  const Term length = sqrt(log(unit_f32(words[0]) + 0x1p-24) * -2.0);  // of (0, 1]
  const Term angle = unit_f32(words[1]) * (2 * std::numbers::pi);
  const Term value = length * apply(ScalarOp::cos, angle);
  return writer.map(options.dtype, shape, value * normal.scale + normal.mean);
}

Result<TensorId> bernoulli(Graph& graph, std::string_view name, TensorId x,
                           const RandomOptions& options) {
  const Place place(graph, "Bernoulli", name);
  TRY(require_float(graph, place, x));
  if (is_small_float(options.dtype)) {
    return place.error(fmt::format("The dtype ({}) has no numbers.", name_of(options.dtype)));
  }
  const Shape shape = shape_of(graph, x);
  NodeWriter writer(graph, place);
  const Term chance = writer.load(x, writer.axes(shape.size()));
  const Term hit = unit_of(words_at(writer, shape, options.key), chance.type()) < chance;
  return writer.map(options.dtype, shape, convert(hit, scalar_type_of(options.dtype)));
}

Result<TensorId> multinomial(Graph& graph, std::string_view name, TensorId x, int64_t samples,
                             const RandomOptions& options) {
  const Place place(graph, "Multinomial", name);
  TRY(require_float(graph, place, x));
  const Shape shape = shape_of(graph, x);
  if (shape.size() != 2 || shape[1] < 1 || samples < 1) {
    return place.error(
        fmt::format("The shape {} is not (batch, classes), or the sample size ({}) "
                    "is not positive.",
                    to_string(shape), samples));
  }
  if (options.dtype != DType::i32 && options.dtype != DType::i64) {
    return place.error(fmt::format("The dtype ({}) is not i32 or i64.", name_of(options.dtype)));
  }
  const Shape out = {shape[0], samples};
  TRY(require_shape(place, out));
  TRY_ASSIGN(const TensorId wide,
             cast(graph, place.name + "/wide", x, wide_dtype_of(dtype_of(graph, x))));
  TRY_ASSIGN(const TensorId chances, softmax(graph, place.name + "/chances", wide, {.axis = 1}));
  TRY_ASSIGN(const TensorId sums, cumsum(graph, place.name + "/sums", chances, {.axis = 1}));
  NodeWriter writer(graph, place);
  const Term sum = writer.load(sums, {writer.axis(0), writer.axis(2)});
  const Term total = writer.load(sums, {writer.axis(0), writer.integer(shape[1] - 1)});
  const Term drawn = unit_of(words_at(writer, out, options.key), total.type()) * total;
  // Below the total: what rounding leaves behind the last class that has a chance is not drawn.
  const Term passed = both(sum <= drawn, sum < total);
  return writer.reduce(options.dtype, out,
                       {ReduceOp::sum, {shape[1]}, convert(passed, ScalarType::i32)},
                       writer.accumulator(ScalarType::i32));
}

Result<DropoutResult> dropout(Graph& graph, std::string_view name, TensorId x, TensorId ratio,
                              const RandomOptions& options) {
  const Place place(graph, "Dropout", name);
  TRY(require_float(graph, place, x));
  TRY(require_float(graph, place, ratio));
  const Tensor& given = graph.tensors[ratio];
  const bool has_one = element_count(given.shape) == 1;
  if (!has_one ||
      (given.constant && !(given.constant->number(0) >= 0 && given.constant->number(0) < 1))) {
    return place.error(fmt::format("The ratio ({}, shape {}) is not one number in [0, 1).",
                                   has_one ? given.constant->number(0) : 0.0,
                                   to_string(given.shape)));
  }
  const Shape shape = shape_of(graph, x);
  DropoutResult result;
  NodeWriter chooser(graph, place, "/mask");
  const Term limit = convert(chooser.only_element(ratio), ScalarType::f32);
  const Term kept = limit <= unit_f32(words_at(chooser, shape, options.key)[0]);
  TRY_ASSIGN(result.mask, chooser.map(DType::boolean, shape, kept));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term scale = 1.0 / (1.0 - convert(writer.only_element(ratio), value.type()));
  const Term is_kept = writer.load(result.mask, writer.axes(shape.size()));
  TRY_ASSIGN(result.y, writer.map(dtype_of(graph, x), shape, select(is_kept, value * scale, 0)));
  return result;
}

}  // namespace leat::ops
