// See ops_feature.h. Lists of a model become constants that a map or a reduction loads from.
#include "leat/tensor/ops_feature.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <string>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/positions.h"

namespace leat::ops {
namespace {

Result<void> require_number(const Graph& graph, const Place& place, TensorId x) {
  const DType dtype = dtype_of(graph, x);
  if (is_float(dtype) || is_whole_number(dtype)) return {};
  return place.error(fmt::format("The dtype ({}) of tensor \"{}\" is no number.", name_of(dtype),
                                 graph.tensors[x].name));
}

/// A list that has one entry, or one per feature.
struct FeatureList {
  TensorId tensor = kNoTensor;
  bool is_single = false;
};

Result<FeatureList> feature_list(Graph& graph, const Place& place, std::string_view what,
                                 const Reals& values, int64_t features) {
  const int64_t count = static_cast<int64_t>(values.size());
  if (count != 1 && count != features) {
    return place.error(fmt::format("The number of {} ({}) is neither 1 nor that of features ({}).",
                                   what, count, features));
  }
  return FeatureList{add_table_f32(graph, fmt::format("{}/{}", place.name, what), {count}, values),
                     count == 1};
}

Term entry(NodeWriter& writer, const FeatureList& list, size_t rank) {
  if (list.is_single) return writer.only_element(list.tensor);
  return writer.load(list.tensor, {writer.axis(rank - 1)});
}

/// Extent of the last dimension; 1 of a scalar.
int64_t features_of(const Shape& shape) { return shape.empty() ? 1 : shape.back(); }

/// x (N, F) as f32.
Result<TensorId> float_rows(Graph& graph, const Place& place, TensorId x) {
  TRY(require_number(graph, place, x));
  const Shape& shape = shape_of(graph, x);
  if (shape.size() != 2) {
    return place.error(fmt::format("The shape {} is not (rows, features).", to_string(shape)));
  }
  if (dtype_of(graph, x) == DType::f32) return x;
  return cast(graph, place.name + "/wide", x, DType::f32);
}

}  // namespace

Result<TensorId> binarize(Graph& graph, std::string_view name, TensorId x, double threshold) {
  const Place place(graph, "Binarizer", name);
  TRY(require_number(graph, place, x));
  const Shape shape = shape_of(graph, x);
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  // A whole number is larger than a limit if it is larger than that rounded down.
  const double limit = is_float(value.type()) ? threshold : std::floor(threshold);
  return writer.map(dtype_of(graph, x), shape, convert(limit < value, value.type()));
}

Result<TensorId> scale_features(Graph& graph, std::string_view name, TensorId x,
                                const ScaleOptions& options) {
  const Place place(graph, "Scaler", name);
  TRY(require_number(graph, place, x));
  const Shape shape = shape_of(graph, x);
  const auto list = [&](std::string_view what, const Reals& values, double fallback) {
    return feature_list(graph, place, what, values.empty() ? Reals{fallback} : values,
                        features_of(shape));
  };
  TRY_ASSIGN(const FeatureList offset, list("offsets", options.offset, 0));
  TRY_ASSIGN(const FeatureList scale, list("scales", options.scale, 1));
  NodeWriter writer(graph, place);
  const Term value = convert(writer.load(x, writer.axes(shape.size())), ScalarType::f32);
  const Term factor = entry(writer, scale, shape.size());
  return writer.map(DType::f32, shape, (value - entry(writer, offset, shape.size())) * factor);
}

Result<TensorId> normalize_rows(Graph& graph, std::string_view name, TensorId x, RowNorm norm) {
  const Place place(graph, "Normalizer", name);
  TRY(require_number(graph, place, x));
  const Shape shape = shape_of(graph, x);
  if (shape.size() != 1 && shape.size() != 2) {
    return place.error(fmt::format("The shape {} is not (N, C) or (C).", to_string(shape)));
  }
  const size_t last = shape.size() - 1;
  Shape rows = shape;
  rows.pop_back();
  NodeWriter first(graph, place, "/divisor");
  const Term part = convert(first.load(x, first.axes(shape.size())), ScalarType::f32);
  const Term element = norm == RowNorm::max ? part : norm == RowNorm::l1 ? abs(part) : part * part;
  const Term sum = first.accumulator(ScalarType::f32);
  const ReduceOp op = norm == RowNorm::max ? ReduceOp::max : ReduceOp::sum;
  TRY_ASSIGN(const TensorId divisor, first.reduce(DType::f32, rows, {op, {shape[last]}, element},
                                                  norm == RowNorm::l2 ? sqrt(sum) : sum));
  NodeWriter writer(graph, place);
  const Term value = convert(writer.load(x, writer.axes(shape.size())), ScalarType::f32);
  const Term by = writer.load(divisor, writer.axes(last));
  return writer.map(DType::f32, shape, select(equal(by, 0), value, value / by));
}

Result<TensorId> impute(Graph& graph, std::string_view name, TensorId x,
                        const ImputeOptions& options) {
  const Place place(graph, "Imputer", name);
  TRY(require_float(graph, place, x));
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const FeatureList values,
             feature_list(graph, place, "values", options.values, features_of(shape)));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term is_missing =
      std::isnan(options.replaced) ? negate(equal(value, value)) : equal(value, options.replaced);
  return writer.map(
      dtype_of(graph, x), shape,
      select(is_missing, convert(entry(writer, values, shape.size()), value.type()), value));
}

Result<TensorId> impute_whole(Graph& graph, std::string_view name, TensorId x, int64_t replaced,
                              const Ints& values) {
  const Place place(graph, "Imputer", name);
  const DType dtype = dtype_of(graph, x);
  const Shape shape = shape_of(graph, x);
  const int64_t count = static_cast<int64_t>(values.size());
  if (!is_whole_number(dtype) || (count != 1 && count != features_of(shape))) {
    return place.error(fmt::format("{} values for {} features of dtype {} do not fit.", count,
                                   features_of(shape), name_of(dtype)));
  }
  HostTensor table = HostTensor::zeros(dtype, {count});
  for (int64_t i = 0; i < count; ++i) {
    const int64_t given = values[static_cast<size_t>(i)];
    table.set_integer(i, given);
    if (table.integer(i) == given && (dtype != DType::u64 || given >= 0)) continue;
    return place.error(fmt::format("The value ({}) is no {}.", given, name_of(dtype)));
  }
  const FeatureList list = {graph.add_constant(place.name + "/values", std::move(table)),
                            count == 1};
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  if (!can_be(value, replaced)) return writer.map(dtype, shape, value);
  return writer.map(dtype, shape,
                    select(equal(value, value.constant_whole(replaced)),
                           entry(writer, list, shape.size()), value));
}

Result<TensorId> encode_labels(Graph& graph, std::string_view name, TensorId x,
                               const LabelTable& table) {
  const Place place(graph, "LabelEncoder", name);
  TRY(require_number(graph, place, x));
  const Shape keys_shape = table.keys.shape;
  if (keys_shape.size() != 1 || table.values.shape != keys_shape || keys_shape[0] < 1 ||
      element_count(table.fallback.shape) != 1 || table.fallback.dtype != table.values.dtype ||
      table.keys.dtype != dtype_of(graph, x)) {
    return place.error(
        fmt::format("Keys {} {}, values {} {} and a default {} {} do not make a table for {}.",
                    name_of(table.keys.dtype), to_string(keys_shape), name_of(table.values.dtype),
                    to_string(table.values.shape), name_of(table.fallback.dtype),
                    to_string(table.fallback.shape), name_of(dtype_of(graph, x))));
  }
  const Shape shape = shape_of(graph, x);
  const bool has_nan = [&] {
    if (!is_float(table.keys.dtype)) return false;
    for (int64_t i = 0; i < keys_shape[0]; ++i) {
      if (std::isnan(table.keys.number(i))) return true;
    }
    return false;
  }();
  const TensorId keys = graph.add_constant(place.name + "/keys", table.keys);
  const TensorId values = graph.add_constant(place.name + "/values", table.values);
  const TensorId fallback = graph.add_constant(place.name + "/default", table.fallback);
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term number = writer.axis(shape.size());
  const Term key = writer.load(keys, {number});
  Term is_key = equal(value, key);
  if (has_nan) {
    is_key = either(is_key, both(negate(equal(value, value)), negate(equal(key, key))));
  }
  const Term found = writer.accumulator(ScalarType::i32);
  const Term label = writer.load(values, {max(found, 0)}, 0 <= found);
  return writer.reduce(table.values.dtype, shape,
                       {ReduceOp::max, keys_shape, select(is_key, number, -1)},
                       select(0 <= found, label, writer.only_element(fallback)));
}

// --- Scores
// ---------------------------------------------------------------------------------------

namespace {

/// exp(x - maximum) over the row's sum of those, but what is 0 counts nothing; half where all are.
Result<TensorId> softmax_zero(Graph& graph, const Place& place, TensorId scores) {
  constexpr double kZero = 1e-7;  // of the reference of ONNX
  const Shape shape = shape_of(graph, scores);
  const DType wide = wide_dtype_of(dtype_of(graph, scores));
  TRY_ASSIGN(const TensorId largest, reduce(graph, place.name + "/max", Reduction::max, scores,
                                            {.axes = Ints{1}, .keep_dims = false}));
  const auto share = [&](NodeWriter& writer) {
    const Term x = writer.load(scores, writer.axes(2));
    const Term part = exp(x - writer.load(largest, {writer.axis(0)}));
    return select(abs(x) <= kZero, 0, part);
  };
  NodeWriter sums(graph, place, "/sum");
  TRY_ASSIGN(const TensorId sum,
             sums.reduce(wide, {shape[0]}, {ReduceOp::sum, {shape[1]}, share(sums)},
                         sums.accumulator(scores)));
  NodeWriter writer(graph, place);
  const Term total = writer.load(sum, {writer.axis(0)});
  const Term value = select(equal(total, 0), 0.5, share(writer) / total);
  return writer.map(dtype_of(graph, scores), shape, value);
}

/// sqrt(2) * the inverse of erf at 2 x - 1. Source: S. Winitzki, "A handy approximation for the
/// error function and its inverse", 2008, with a = 0.147.
Term probit(Term x) {
  constexpr double a = 0.147;
  const Term centred = x * 2 - 1;
  const Term rest = log1p(-(centred * centred));
  const Term half = rest * 0.5 + 2 / (std::numbers::pi * a);
  const Term part = rest * (-1 / a);
  const Term root = sqrt(half * half + part);
  // root - half, which loses all digits where `half` is positive and the part small.
  const Term square = select(0 < half, part / (root + half), root - half);
  const Term size = sqrt(square) * std::numbers::sqrt2;
  return select(centred < 0, -size, size);
}

}  // namespace

Result<TensorId> transform_scores(Graph& graph, std::string_view name, TensorId scores,
                                  ScoreTransform transform) {
  const Place place(graph, "Scores", name);
  TRY(require_float(graph, place, scores));
  const Shape shape = shape_of(graph, scores);
  if (shape.size() != 2) {
    return place.error(fmt::format("The shape {} is not (rows, scores).", to_string(shape)));
  }
  switch (transform) {
    case ScoreTransform::none: return identity(graph, place.name, scores);
    case ScoreTransform::softmax: return softmax(graph, place.name, scores, {.axis = 1});
    case ScoreTransform::logistic:
      return activation(graph, place.name, Activation::sigmoid, scores);
    case ScoreTransform::softmax_zero: return softmax_zero(graph, place, scores);
    case ScoreTransform::probit: break;
  }
  NodeWriter writer(graph, place);
  return writer.map(dtype_of(graph, scores), shape, probit(writer.load(scores, writer.axes(2))));
}

Result<TensorId> linear_scores(Graph& graph, std::string_view name, TensorId x,
                               const LinearOptions& options) {
  const Place place(graph, "Linear", name);
  TRY_ASSIGN(const TensorId rows, float_rows(graph, place, x));
  const int64_t features = shape_of(graph, rows)[1], targets = options.targets;
  const int64_t given = static_cast<int64_t>(options.coefficients.size());
  const int64_t intercepts = static_cast<int64_t>(options.intercepts.size());
  if (targets < 1 || targets > given || given != targets * features ||
      (intercepts != 0 && intercepts != targets)) {
    return place.error(
        fmt::format("{} coefficients and {} intercepts do not make {} targets of {} "
                    "features.",
                    given, intercepts, targets, features));
  }
  const TensorId w =
      add_table_f32(graph, place.name + "/coefficients", {targets, features}, options.coefficients);
  const TensorId bias = intercepts == 0 ? kNoTensor
                                        : add_table_f32(graph, place.name + "/intercepts",
                                                        {targets}, options.intercepts);
  return gemm(graph, place.name, rows, w, bias, {.transpose_b = true});
}

namespace {

/// Of each row and vector, from their product and the vector's square.
Result<TensorId> kernel_values(Graph& graph, const Place& place, TensorId rows,
                               const SvmOptions& options) {
  const Shape shape = {options.supports, shape_of(graph, rows)[1]};
  const TensorId vectors = add_table_f32(graph, place.name + "/vectors", shape, options.vectors);
  NodeWriter writer(graph, place, "/kernel");
  const Term x = writer.load(rows, {writer.axis(0), writer.axis(2)});
  const Term v = writer.load(vectors, {writer.axis(1), writer.axis(2)});
  const bool is_rbf = options.kernel == SvmKernel::rbf;
  const Term element = is_rbf ? (x - v) * (x - v) : x * v;
  const Term sum = writer.accumulator(ScalarType::f32);
  const Term moved = sum * options.gamma + options.coef0;
  Term value = sum;
  if (is_rbf) value = exp(sum * -options.gamma);
  if (options.kernel == SvmKernel::poly) value = pow(moved, options.degree);
  if (options.kernel == SvmKernel::sigmoid) value = apply(ScalarOp::tanh, moved);
  return writer.reduce(DType::f32, {shape_of(graph, rows)[0], options.supports},
                       {ReduceOp::sum, {shape[1]}, element}, value);
}

}  // namespace

Result<TensorId> svm_regress(Graph& graph, std::string_view name, TensorId x,
                             const SvmOptions& options) {
  const Place place(graph, "SVMRegressor", name);
  TRY_ASSIGN(TensorId rows, float_rows(graph, place, x));
  const int64_t features = shape_of(graph, rows)[1], supports = options.supports;
  if (supports < 0 || supports > kElementsMax ||
      static_cast<int64_t>(options.vectors.size()) != supports * features) {
    return place.error(fmt::format("{} numbers are not {} vectors of {} features.",
                                   options.vectors.size(), supports, features));
  }
  if (supports > 0) {
    TRY_ASSIGN(rows, kernel_values(graph, place, rows, options));
  }
  const LinearOptions linear = {
      .targets = 1, .coefficients = options.coefficients, .intercepts = {options.rho}};
  const std::string scores_name = place.name + (options.one_class ? "/scores" : "");
  TRY_ASSIGN(const TensorId scores, linear_scores(graph, scores_name, rows, linear));
  if (!options.one_class) return scores;
  NodeWriter writer(graph, place);
  const Term one = writer.number(ScalarType::f32, 1);
  return writer.map(DType::f32, shape_of(graph, scores),
                    select(0 < writer.load(scores, writer.axes(2)), one, -one));
}

// --- Grams
// ----------------------------------------------------------------------------------------

namespace {

constexpr int64_t kGramMax = 64;  // tokens, each a comparison of the expression
/// Positions lie below that times the number of grams, or the result would be mostly empty.
constexpr int64_t kSparsenessMax = 64;

struct GramPool {
  int64_t tokens = 1;  // of a gram
  int64_t first = 0;   // in the pool
  int64_t count = 0;
};

Result<std::vector<GramPool>> gram_pools(const Place& place, const GramOptions& options) {
  std::vector<GramPool> pools;
  const int64_t size = static_cast<int64_t>(options.pool.size());
  int64_t grams = 0;
  for (size_t i = 0; i < options.starts.size(); ++i) {
    const int64_t begin = options.starts[i], tokens = static_cast<int64_t>(i) + 1;
    const int64_t end = i + 1 < options.starts.size() ? options.starts[i + 1] : size;
    if (begin < 0 || begin > end || end > size || (end - begin) % tokens != 0) {
      return place.error(fmt::format("Grams of {} tokens do not lie from {} to {} in a pool of {}.",
                                     tokens, begin, end, size));
    }
    pools.push_back({tokens, begin, (end - begin) / tokens});
    grams += pools.back().count;
  }
  Ints sorted = options.positions;
  std::ranges::sort(sorted);
  const bool is_fit = static_cast<int64_t>(sorted.size()) == grams && grams > 0 &&
                      std::ranges::adjacent_find(sorted) == sorted.end() && sorted.front() >= 0 &&
                      sorted.back() < kSparsenessMax * grams;
  if (!is_fit || (!options.weights.empty() && options.weights.size() != sorted.size())) {
    return place.error(
        fmt::format("{} positions and {} weights are not one for each of {} grams, "
                    "or two positions are the same, or one is above {} a gram.",
                    sorted.size(), options.weights.size(), grams, kSparsenessMax));
  }
  return pools;
}

struct GramRows {
  TensorId x;
  int64_t rows, tokens;
  bool is_vector;
};

/// (rows, count): how often each gram of one length occurs.
Result<TensorId> write_counts(Graph& graph, const Place& place, const GramRows& rows,
                              const GramPool& pool, const GramOptions& options) {
  const std::string suffix = fmt::format("/grams_{}", pool.tokens);
  const bool is_counted = pool.tokens >= options.shortest && pool.tokens <= options.longest;
  const int64_t skips = pool.tokens == 1 ? 0 : std::min(options.skips_max, rows.tokens);
  const auto tokens =
      std::span(options.pool)
          .subspan(static_cast<size_t>(pool.first), static_cast<size_t>(pool.count * pool.tokens));
  // A token that x cannot have is compared as what it is.
  const bool all_fit =
      std::ranges::all_of(tokens, [](int64_t t) { return t == static_cast<int32_t>(t); });
  const DType dtype = all_fit ? dtype_of(graph, rows.x) : DType::i64;
  HostTensor table = HostTensor::zeros(dtype, {pool.count, pool.tokens});
  for (int64_t i = 0; i < pool.count * pool.tokens; ++i) {
    table.set_integer(i, tokens[static_cast<size_t>(i)]);
  }
  const TensorId grams = graph.add_constant(place.name + suffix + "/pool", std::move(table));
  NodeWriter writer(graph, place, suffix);
  if (!is_counted) {
    return writer.map(DType::i32, {rows.rows, pool.count}, writer.integer(0));
  }
  const Term start = writer.axis(3);
  const Term step = writer.axis(2) + 1;
  Term is_equal = writer.truth(true);
  for (int64_t k = 0; k < pool.tokens; ++k) {
    const Term at = start + step * static_cast<double>(k);
    const Term inside = at < static_cast<double>(rows.tokens);
    std::vector<Term> index = {writer.axis(0), at};
    if (rows.is_vector) index.erase(index.begin());
    const Term token = writer.load(rows.x, index, inside);
    const Term wanted = writer.load(grams, {writer.axis(1), writer.integer(k)});
    is_equal = both(is_equal, both(inside, equal(convert(token, wanted.type()), wanted)));
  }
  return writer.reduce(
      DType::i32, {rows.rows, pool.count},
      {ReduceOp::sum, {skips + 1, rows.tokens}, convert(is_equal, ScalarType::i32)},
      writer.accumulator(ScalarType::i32));
}

/// The counts at the grams' positions, weighted.
Result<TensorId> write_grams(Graph& graph, const Place& place, const GramRows& rows,
                             TensorId counts, const GramOptions& options) {
  const int64_t width = *std::ranges::max_element(options.positions) + 1;
  Ints gram_at(static_cast<size_t>(width), -1);
  for (size_t gram = 0; gram < options.positions.size(); ++gram) {
    gram_at[static_cast<size_t>(options.positions[gram])] = static_cast<int64_t>(gram);
  }
  const TensorId grams = add_table_i32(graph, place.name + "/at", {width}, gram_at);
  const Shape out = rows.is_vector ? Shape{width} : Shape{rows.rows, width};
  TRY(require_shape(place, out));
  NodeWriter writer(graph, place);
  const Term gram = writer.load(grams, {writer.axis(out.size() - 1)});
  const Term row = rows.is_vector ? writer.integer(0) : writer.axis(0);
  const Term count = writer.load(counts, {row, max(gram, 0)}, 0 <= gram);
  Term value = convert(count, ScalarType::f32);
  if (options.weight == GramWeight::idf) value = min(value, 1);
  if (options.weight != GramWeight::tf && !options.weights.empty()) {
    const int64_t size = static_cast<int64_t>(options.weights.size());
    const TensorId weights = add_table_f32(graph, place.name + "/weights", {size}, options.weights);
    value = value * writer.load(weights, {max(gram, 0)}, 0 <= gram);
  }
  return writer.map(DType::f32, out, value);
}

}  // namespace

Result<TensorId> count_grams(Graph& graph, std::string_view name, TensorId x,
                             const GramOptions& options) {
  const Place place(graph, "TfIdfVectorizer", name);
  const Shape shape = shape_of(graph, x);
  const DType dtype = dtype_of(graph, x);
  if ((dtype != DType::i32 && dtype != DType::i64) || shape.empty() || shape.size() > 2) {
    return place.error(fmt::format("The tokens {} {} are not (C) or (N, C) of i32 or i64.",
                                   name_of(dtype), to_string(shape)));
  }
  if (options.shortest < 1 || options.longest < options.shortest ||
      options.starts.size() > static_cast<size_t>(kGramMax) || options.skips_max < 0) {
    return place.error(fmt::format("Grams of {} to {} tokens (limit {}) with {} skips do not fit.",
                                   options.shortest, options.longest, kGramMax, options.skips_max));
  }
  TRY_ASSIGN(const std::vector<GramPool> pools, gram_pools(place, options));
  const bool is_vector = shape.size() == 1;
  const GramRows rows = {x, is_vector ? 1 : shape[0], shape.back(), is_vector};
  std::vector<TensorId> parts;
  for (const GramPool& pool : pools) {
    if (pool.count == 0) continue;
    TRY_ASSIGN(const TensorId part, write_counts(graph, place, rows, pool, options));
    parts.push_back(part);
  }
  TRY_ASSIGN(const TensorId counts, concat(graph, place.name + "/counts", parts, 1));
  return write_grams(graph, place, rows, counts, options);
}

}  // namespace leat::ops
