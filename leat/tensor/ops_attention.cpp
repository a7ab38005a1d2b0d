// Attention as two products and a soft-max between them. The products read heads where they lie,
// packed or apart, and a group of query heads is rows of the product with the keys that they share:
// nothing is transposed or repeated in memory. Masks are expressions of what a score is stored as.
#include "leat/tensor/ops_attention.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "leat/tensor/node_writer.h"

namespace leat::ops {
namespace {

constexpr double kLowest = -std::numeric_limits<double>::infinity();

/// Where the heads of q, k or v lie.
struct Heads {
  TensorId tensor = kNoTensor;
  int64_t heads = 0, length = 0, size = 0;
  bool packed = false;

  std::vector<Term> index(Term batch, Term head, Term place, Term element) const {
    if (!packed) return {batch, head, place, element};
    return {batch, place, head * static_cast<double>(size) + element};
  }
};

struct Attention {
  Heads q, k, v;
  int64_t batch = 0;
  int64_t first = 0;  // the first query's place, where no count tells
  double scale = 1;
  DType dtype = DType::f32;          // of q, y and the scores that are handed out
  DType softmax_dtype = DType::f32;  // of the scores
  AttentionInputs inputs;
  AttentionOptions options;

  int64_t keys() const { return k.length; }
  int64_t group() const { return q.heads / k.heads; }
  bool has_counts() const { return inputs.key_counts != kNoTensor; }
  bool has_places() const {
    return options.causal || options.left_window >= 0 || options.right_window >= 0;
  }
  Shape scores_shape() const { return {batch, q.heads, q.length, keys()}; }
};

Result<Heads> heads_of(const Graph& graph, const Place& place, std::string_view what, TensorId x,
                       int64_t heads) {
  const Shape& shape = shape_of(graph, x);
  if (shape.size() == 4) {
    if (shape[1] >= 1 && shape[3] >= 1) return Heads{x, shape[1], shape[2], shape[3], false};
    return place.error(fmt::format("The shape {} of {} has no heads.", to_string(shape), what));
  }
  if (shape.size() != 3) {
    return place.error(
        fmt::format("The shape {} of {} has neither 3 nor 4 dimensions.", to_string(shape), what));
  }
  if (heads < 1 || shape[2] < heads || shape[2] % heads != 0) {
    return place.error(fmt::format("The extent ({}) of axis 2 of {} does not divide into {} heads.",
                                   shape[2], what, heads));
  }
  return Heads{x, heads, shape[1], shape[2] / heads, true};
}

// --- What stands before -------------------------------------------------------------------------

/// (B, heads, length, size), as a tensor of its own.
Result<TensorId> apart(Graph& graph, const std::string& name, const Heads& heads) {
  if (!heads.packed) return heads.tensor;
  const Shape shape = shape_of(graph, heads.tensor);
  NodeWriter writer(graph, Place(graph, "Attention", name));
  const std::vector<Term> at = writer.axes(4);
  const Term value = writer.load(heads.tensor, heads.index(at[0], at[1], at[2], at[3]));
  return writer.map(dtype_of(graph, heads.tensor),
                    {shape[0], heads.heads, heads.length, heads.size}, value);
}

/// The heads with their past before them; `present` becomes the tensor of both, if it is wanted.
Result<Heads> with_past(Graph& graph, const Place& place, std::string_view what, const Heads& heads,
                        TensorId past, bool keeps_present, TensorId& present) {
  if (past == kNoTensor && !keeps_present) return heads;
  const std::string name = fmt::format("{}/{}", place.name, what);
  TRY_ASSIGN(present, apart(graph, name, heads));
  if (past != kNoTensor) {
    const Shape wanted = shape_of(graph, present);
    const Shape shape = shape_of(graph, past);
    Shape fitting = wanted;
    if (shape.size() == 4) fitting[2] = shape[2];
    if (shape != fitting) {
      return place.error(fmt::format("The past's shape {} does not fit the shape {} of {}.",
                                     to_string(shape), to_string(wanted), what));
    }
    const TensorId parts[] = {past, present};
    TRY_ASSIGN(present, concat(graph, name + "/present", parts, 2));
  } else if (present == heads.tensor) {
    TRY_ASSIGN(present, identity(graph, name + "/present", present));
  }
  return Heads{present, heads.heads, shape_of(graph, present)[2], heads.size, false};
}

Result<void> check_mask(const Graph& graph, const Place& place, const Attention& a, TensorId mask) {
  if (mask == kNoTensor) return {};
  const Shape& shape = shape_of(graph, mask);
  const Shape target = a.scores_shape();
  const size_t lead = target.size() - shape.size();
  bool fits = !shape.empty() && shape.size() <= target.size() && shape.back() <= a.keys();
  for (size_t d = 0; fits && d + 1 < shape.size(); ++d) {
    fits = shape[d] == 1 || shape[d] == target[lead + d];
  }
  if (!fits) {
    return place.error(fmt::format("The mask's shape {} does not broadcast to {}.",
                                   to_string(shape), to_string(target)));
  }
  const DType dtype = dtype_of(graph, mask);
  if (dtype == DType::boolean || is_float(dtype)) return {};
  return place.error(
      fmt::format("The mask's dtype ({}) is neither bool nor a float.", name_of(dtype)));
}

Result<void> check_counts(const Graph& graph, const Place& place, const Attention& a) {
  if (!a.has_counts()) return {};
  const TensorId counts = a.inputs.key_counts;
  const Shape shape = shape_of(graph, counts);
  if (shape != Shape{a.batch} || !is_whole_number(dtype_of(graph, counts))) {
    return place.error(
        fmt::format("The counts of keys have the shape {} and dtype {} instead of "
                    "({}) whole numbers.",
                    to_string(shape), name_of(dtype_of(graph, counts)), a.batch));
  }
  if (a.inputs.past_key == kNoTensor) return {};
  return place.error("Counts of keys and a past exclude each other.");
}

Result<void> check_options(const Place& place, const AttentionInputs& inputs,
                           const AttentionOptions& options) {
  if (options.left_window < -1 || options.right_window < -1) {
    return place.error(fmt::format("The window ({} to the left, {} to the right) is less than -1.",
                                   options.left_window, options.right_window));
  }
  if (options.first_place && (*options.first_place < 0 || *options.first_place > kElementsMax)) {
    return place.error(fmt::format(
        "The place ({}) of the first query is outside of any row of keys.", *options.first_place));
  }
  if (!(options.softcap >= 0)) {
    return place.error(fmt::format("The soft cap ({}) is negative.", options.softcap));
  }
  if ((inputs.past_key == kNoTensor) != (inputs.past_value == kNoTensor)) {
    return place.error("A past has keys and values; one of them is missing.");
  }
  return {};
}

Result<void> check_heads(const Graph& graph, const Place& place, const Attention& a) {
  const auto text = [&](const Heads& heads) { return to_string(shape_of(graph, heads.tensor)); };
  if (a.k.size != a.q.size || a.q.heads % a.k.heads != 0 || a.v.heads != a.k.heads ||
      a.v.length != a.k.length || shape_of(graph, a.k.tensor)[0] != a.batch ||
      shape_of(graph, a.v.tensor)[0] != a.batch) {
    return place.error(
        fmt::format("The shapes {} of q, {} of k and {} of v, of {} heads that share "
                    "{} of keys, do not fit.",
                    text(a.q), text(a.k), text(a.v), a.q.heads, a.k.heads));
  }
  if (a.keys() < 1) return place.error("There is no key.");
  return require_shape(place, a.scores_shape());
}

Result<Attention> resolve(Graph& graph, const Place& place, const AttentionInputs& inputs,
                          const AttentionOptions& options, AttentionResult& result) {
  TRY(check_options(place, inputs, options));
  for (const TensorId x : {inputs.q, inputs.k, inputs.v}) TRY(require_float(graph, place, x));
  TRY(require_same_dtype(graph, place, inputs.q, inputs.k));
  Attention a;
  a.inputs = inputs;
  a.options = options;
  a.dtype = dtype_of(graph, inputs.q);
  a.softmax_dtype = options.softmax_dtype.value_or(a.dtype);
  TRY_ASSIGN(a.q, heads_of(graph, place, "q", inputs.q, options.q_heads));
  TRY_ASSIGN(a.k, heads_of(graph, place, "k", inputs.k, options.kv_heads));
  TRY_ASSIGN(a.v, heads_of(graph, place, "v", inputs.v, options.kv_heads));
  a.batch = shape_of(graph, inputs.q)[0];
  const int64_t own = a.k.length;
  TRY_ASSIGN(a.k, with_past(graph, place, "k", a.k, inputs.past_key, options.keeps_present,
                            result.present_key));
  TRY_ASSIGN(a.v, with_past(graph, place, "v", a.v, inputs.past_value, options.keeps_present,
                            result.present_value));
  a.first = options.first_place.value_or(a.k.length - own);
  a.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(a.q.size)));
  TRY(check_heads(graph, place, a));
  for (const TensorId mask : {inputs.mask, inputs.bias}) TRY(check_mask(graph, place, a, mask));
  TRY(check_counts(graph, place, a));
  return a;
}

// --- Which keys a query sees --------------------------------------------------------------------

struct Seen {
  std::optional<Term> is_seen;
  std::optional<Term> added;

  Term applied_to(Term score) const {
    if (added) score = score + convert(*added, score.type());
    return is_seen ? select(*is_seen, score, kLowest) : score;
  }
  void require(Term condition) { is_seen = is_seen ? both(*is_seen, condition) : condition; }
};

/// What a mask says at a batch element, head, query and key; keys behind it are not seen.
void add_mask(NodeWriter& writer, const Graph& graph, const Attention& a, TensorId mask,
              const std::vector<Term>& at, Seen& seen) {
  const Shape& shape = shape_of(graph, mask);
  const bool is_short = shape.back() < a.keys();
  std::vector<Term> index;
  for (size_t d = 0; d < shape.size(); ++d) {
    const size_t axis = 4 - shape.size() + d;
    index.push_back(shape[d] == 1 && axis < 3 ? writer.integer(0) : at[axis]);
  }
  Term value;
  if (is_short) {
    const Term inside = at[3] < static_cast<double>(shape.back());
    seen.require(inside);
    value = writer.load(mask, index, inside);
  } else {
    value = writer.load(mask, index);
  }
  if (value.type() == ScalarType::b1) {
    seen.require(value);
  } else {
    seen.added = seen.added ? *seen.added + convert(value, seen.added->type()) : value;
  }
}

Seen seen_at(NodeWriter& writer, const Graph& graph, const Attention& a,
             const std::vector<Term>& at) {
  Seen seen;
  for (const TensorId mask : {a.inputs.mask, a.inputs.bias}) {
    if (mask != kNoTensor) add_mask(writer, graph, a, mask, at, seen);
  }
  const Term j = at[3];
  Term first = writer.integer(a.first);
  if (a.has_counts()) {
    const Term given = writer.load(a.inputs.key_counts, {at[0]});
    const Term count = convert(max(min(given, static_cast<double>(a.keys())), 0), ScalarType::i32);
    seen.require(j < count);
    if (!a.options.first_place) first = count - static_cast<double>(a.q.length);
  }
  if (!a.has_places()) return seen;
  const Term here = at[2] + first;
  const AttentionOptions& options = a.options;
  const auto window = [&](int64_t size) {
    return static_cast<double>(std::min(size, a.keys() + a.q.length));
  };
  if (options.causal) seen.require(j <= here);
  if (options.left_window >= 0) seen.require(here - window(options.left_window) <= j);
  if (options.right_window >= 0) seen.require(j <= here + window(options.right_window));
  return seen;
}

/// Whether shapes alone say that every query sees a key.
bool all_see(const Attention& a) {
  if (a.inputs.mask != kNoTensor || a.inputs.bias != kNoTensor || a.has_counts()) return false;
  const AttentionOptions& options = a.options;
  const int64_t last = a.first + a.q.length - 1;
  return options.left_window < 0 || last - options.left_window < a.keys();
}

/// bool of (B, q_heads, S), 1 where nothing differs: whether the query sees a key. By what is added
/// and allowed, not by the scores, which may be no numbers there.
Result<TensorId> sees_any(Graph& graph, const Place& place, const Attention& a) {
  Shape extents = {a.has_counts() ? a.batch : 1, 1, a.has_places() ? a.q.length : 1};
  for (const TensorId mask : {a.inputs.mask, a.inputs.bias}) {
    if (mask == kNoTensor) continue;
    const Shape& shape = shape_of(graph, mask);
    for (size_t d = 0; d + 1 < shape.size(); ++d) {
      int64_t& extent = extents[4 - shape.size() + d];
      extent = std::max(extent, shape[d]);
    }
  }
  NodeWriter writer(graph, place, "/sees");
  const Seen seen = seen_at(writer, graph, a, writer.axes(4));
  const Term element = seen.applied_to(writer.number(ScalarType::f32, 0));
  const Term most = writer.accumulator(ScalarType::f32);
  return writer.reduce(DType::boolean, extents, {ReduceOp::max, {a.keys()}, element},
                       kLowest < most);
}

// --- The products -------------------------------------------------------------------------------

/// The axes of a product: batch, key head, query head of its group, query, then `last`.
struct GroupLoops {
  GroupLoops(NodeWriter& writer, const Attention& a, int64_t last)
      : extents{a.batch, a.k.heads, a.group(), a.q.length, last},
        batch(writer.axis(0)),
        key_head(writer.axis(1)),
        head(key_head * static_cast<double>(a.group()) + writer.axis(2)),
        query(writer.axis(3)),
        column(writer.axis(4)),
        inner(writer.axis(5)) {}

  Shape extents;
  Term batch, key_head, head, query, column, inner;
};

/// What becomes of a product on its way to the soft-max, in this order.
struct ScoreStages {
  bool scales = false, caps = false, masks = false;
};

Term through_stages(NodeWriter& writer, const Graph& graph, const Attention& a,
                    const ScoreStages& stages, const std::vector<Term>& at, Term score) {
  if (stages.scales) score = score * a.scale;
  if (stages.caps && a.options.softcap > 0) {
    score = apply(ScalarOp::tanh, score / a.options.softcap) * a.options.softcap;
  }
  if (!stages.masks) return score;
  return seen_at(writer, graph, a, at).applied_to(score);
}

Result<TensorId> write_scores(Graph& graph, const Place& place, const Attention& a, DType dtype,
                              const ScoreStages& stages) {
  NodeWriter writer(graph, place, "/scores");
  const GroupLoops loops(writer, a, a.keys());
  const Term left =
      writer.load(a.q.tensor, a.q.index(loops.batch, loops.head, loops.query, loops.inner));
  const Term element = left * writer.load(a.k.tensor, a.k.index(loops.batch, loops.key_head,
                                                                loops.column, loops.inner));
  const std::vector<Term> at = {loops.batch, loops.head, loops.query, loops.column};
  const Term value =
      through_stages(writer, graph, a, stages, at, writer.accumulator(element.type()));
  return writer.reduce(dtype, a.scores_shape(), {loops.extents, at},
                       {ReduceOp::sum, {a.q.size}, element}, convert(value, scalar_type_of(dtype)));
}

/// The scores as the soft-max takes them; what is handed out of them goes to `kept`.
Result<TensorId> scores_of(Graph& graph, const Place& place, const Attention& a, TensorId& kept) {
  const AttentionScores wanted = a.options.scores;
  if (wanted == AttentionScores::none || wanted == AttentionScores::probabilities) {
    return write_scores(graph, place, a, a.softmax_dtype, {true, true, true});
  }
  ScoreStages first = {.scales = true, .caps = wanted != AttentionScores::product};
  first.masks = wanted == AttentionScores::biased;
  TRY_ASSIGN(kept, write_scores(graph, place, a, a.dtype, first));
  NodeWriter writer(graph, place, "/masked");
  const std::vector<Term> at = writer.axes(4);
  const ScoreStages rest = {.scales = false, .caps = !first.caps, .masks = !first.masks};
  const Term value = through_stages(writer, graph, a, rest, at, writer.load(kept, at));
  return writer.map(a.softmax_dtype, a.scores_shape(),
                    convert(value, scalar_type_of(a.softmax_dtype)));
}

/// `value` where the query sees a key; `sees` may be none.
Term if_seen(NodeWriter& writer, const Attention& a, TensorId sees, const std::vector<Term>& at,
             Term value) {
  if (sees == kNoTensor) return value;
  const Shape extents = {a.batch, a.q.heads, a.q.length};
  return select(writer.broadcast(sees, {at[0], at[1], at[2]}, extents), value, 0);
}

Result<TensorId> write_values(Graph& graph, const Place& place, const Attention& a,
                              TensorId probabilities, TensorId sees) {
  NodeWriter writer(graph, place);
  const GroupLoops loops(writer, a, a.v.size);
  const Term left = writer.load(probabilities, {loops.batch, loops.head, loops.query, loops.inner});
  const Term element = left * writer.load(a.v.tensor, a.v.index(loops.batch, loops.key_head,
                                                                loops.inner, loops.column));
  Heads y = {kNoTensor, a.q.heads, a.q.length, a.v.size, a.q.packed};
  const Shape shape = y.packed ? Shape{a.batch, y.length, y.heads * y.size}
                               : Shape{a.batch, y.heads, y.length, y.size};
  TRY(require_shape(place, shape));
  const Term sum = writer.accumulator(element.type());
  const Term value = if_seen(writer, a, sees, {loops.batch, loops.head, loops.query}, sum);
  return writer.reduce(
      a.dtype, shape, {loops.extents, y.index(loops.batch, loops.head, loops.query, loops.column)},
      {ReduceOp::sum, {a.keys()}, element}, convert(value, scalar_type_of(a.dtype)));
}

Result<TensorId> changed(const Graph& graph, const Place& place, const AttentionChange& change,
                         TensorId before) {
  if (!change) return before;
  const Shape shape = shape_of(graph, before);
  TRY_ASSIGN(const TensorId after, change(before));
  TRY(require_same_dtype(graph, place, before, after));
  if (shape_of(graph, after) == shape) return after;
  return place.error(fmt::format("What changes scores of shape {} gives the shape {}.",
                                 to_string(shape), to_string(shape_of(graph, after))));
}

Result<TensorId> write_probabilities(Graph& graph, const Place& place, const Attention& a,
                                     TensorId probabilities, TensorId sees) {
  NodeWriter writer(graph, place, "/probabilities");
  const std::vector<Term> at = writer.axes(4);
  const Term value = if_seen(writer, a, sees, at, writer.load(probabilities, at));
  return writer.map(a.dtype, a.scores_shape(), convert(value, scalar_type_of(a.dtype)));
}

}  // namespace

Result<AttentionResult> attention(Graph& graph, std::string_view name,
                                  const AttentionInputs& inputs, const AttentionOptions& options) {
  const Place place(graph, "Attention", name);
  AttentionResult result;
  TRY_ASSIGN(const Attention a, resolve(graph, place, inputs, options, result));
  TensorId sees = kNoTensor;
  if (!all_see(a)) {
    TRY_ASSIGN(sees, sees_any(graph, place, a));
  }
  TRY_ASSIGN(TensorId scores, scores_of(graph, place, a, result.scores));
  TRY_ASSIGN(scores, changed(graph, place, options.change_scores, scores));
  TRY_ASSIGN(TensorId probabilities, softmax(graph, place.name + "/softmax", scores, {}));
  TRY_ASSIGN(probabilities, changed(graph, place, options.change_probabilities, probabilities));
  if (options.scores == AttentionScores::probabilities) {
    TRY_ASSIGN(result.scores, write_probabilities(graph, place, a, probabilities, sees));
  }
  const DType v_dtype = dtype_of(graph, a.v.tensor);
  if (scalar_type_of(a.softmax_dtype) != scalar_type_of(v_dtype)) {
    TRY_ASSIGN(probabilities, cast(graph, place.name + "/cast", probabilities, v_dtype));
  }
  TRY_ASSIGN(result.y, write_values(graph, place, a, probabilities, sees));
  return result;
}

// --- Its neighbours in a network ----------------------------------------------------------------

Result<TensorId> swiglu(Graph& graph, std::string_view name, TensorId a, TensorId b, double alpha) {
  const Place place(graph, "SwiGLU", name);
  if (shape_of(graph, a) != shape_of(graph, b)) {
    return place.error(fmt::format("The shapes {} and {} differ.", to_string(shape_of(graph, a)),
                                   to_string(shape_of(graph, b))));
  }
  TRY_ASSIGN(const TensorId gate,
             activation(graph, place.name + "/swish", Activation::swish, a, {.alpha = alpha}));
  return binary(graph, place.name, ScalarOp::mul, gate, b);
}

Result<CausalConvResult> causal_conv(Graph& graph, std::string_view name, TensorId x, TensorId w,
                                     TensorId bias, TensorId past, bool with_silu) {
  const Place place(graph, "CausalConvWithState", name);
  TRY(require_float(graph, place, x));
  const Shape shape = shape_of(graph, x);
  const Shape kernel = shape_of(graph, w);
  const bool fits = shape.size() == 3 && kernel.size() == 3 && kernel[0] == shape[1] &&
                    kernel[1] == 1 && kernel[2] >= 1;
  if (!fits) {
    return place.error(
        fmt::format("The shapes {} of x and {} of w are not (N, C, L) and (C, 1, K).",
                    to_string(shape), to_string(kernel)));
  }
  const int64_t before = kernel[2] - 1;
  TensorId rows = kNoTensor;
  if (past == kNoTensor) {
    TRY_ASSIGN(rows, pad(graph, place.name + "/rows", x, {.pads = {before, 0}, .axes = {2}}));
  } else {
    TRY(require_same_dtype(graph, place, x, past));
    if (shape_of(graph, past) != Shape{shape[0], shape[1], before}) {
      return place.error(fmt::format("The past's shape {} is not ({}, {}, {}).",
                                     to_string(shape_of(graph, past)), shape[0], shape[1], before));
    }
    const TensorId parts[] = {past, x};
    TRY_ASSIGN(rows, concat(graph, place.name + "/rows", parts, 2));
  }
  CausalConvResult result;
  const std::string conv_name = with_silu ? place.name + "/conv" : place.name;
  TRY_ASSIGN(result.y, conv(graph, conv_name, rows, w, bias, {.window = {}, .groups = shape[1]}));
  if (with_silu) {
    TRY_ASSIGN(result.y, activation(graph, place.name, Activation::swish, result.y, {.alpha = 1}));
  }
  TRY_ASSIGN(result.present, slice(graph, place.name + "/present", rows,
                                   {.starts = {shape[2]}, .ends = {INT64_MAX}, .axes = {2}}));
  return result;
}

}  // namespace leat::ops
