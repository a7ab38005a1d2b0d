// Attention as ONNX Runtime's exporters write it, domain "com.microsoft" version 1. Source: ONNX
// Runtime's documentation of its contrib operators, and what it computes where that is silent.
#include <fmt/format.h>

#include <array>

#include "leat/model/onnx_contrib.h"
#include "leat/model/onnx_errors.h"
#include "leat/tensor/ops_attention.h"
#include "leat/tensor/ops_attention_parts.h"

namespace leat::onnx_ops {
namespace {

/// Columns [first, first + count) of the last axis.
Result<TensorId> columns(OnnxNode& node, std::string_view what, TensorId x, int64_t first,
                         int64_t count) {
  return ops::slice(node.graph(), fmt::format("{}/{}", node.name(), what), x,
                    {.starts = {first}, .ends = {first + count}, .axes = {-1}});
}

/// q, k and v side by side in the last axis of a tensor.
struct Parts {
  TensorId q = kNoTensor, k = kNoTensor, v = kNoTensor;
};

Result<Parts> parted(OnnxNode& node, TensorId x, int64_t q, int64_t k, int64_t v) {
  const Shape& shape = node.graph().tensors[x].shape;
  if (q < 1 || k < 1 || v < 1 || shape.empty() || q > shape.back() || k > shape.back() ||
      v > shape.back() || q + k + v != shape.back()) {
    return invalid(
        fmt::format("The last extent of {} is not ({} + {} + {}).", to_string(shape), q, k, v));
  }
  Parts parts;
  TRY_ASSIGN(parts.q, columns(node, "q", x, 0, q));
  TRY_ASSIGN(parts.k, columns(node, "k", x, q, k));
  TRY_ASSIGN(parts.v, columns(node, "v", x, q + k, v));
  return parts;
}

void read_scale(OnnxNode& node, ops::AttentionOptions& options) {
  const double scale = node.number("scale", 0);
  if (scale != 0) options.scale = scale;
}

/// Masks of padding and bias, which are added one after the other.
Result<void> add_masks(OnnxNode& node, size_t mask, size_t bias, int64_t queries, int64_t keys,
                       ops::AttentionInputs& inputs) {
  const double masked = node.number("mask_filter_value", -10000);
  inputs.bias = node.input(bias);
  if (!node.has_input(mask)) return {};
  const Shape shape = node.shape(0);
  if (shape.empty()) return invalid("The query is a scalar, and has no batch to mask.");
  TRY_ASSIGN(inputs.mask,
             ops::padding_bias(node.graph(), node.name() + "/padding", node.input(mask),
                               {.dtype = node.dtype(0),
                                .masked = masked,
                                .batch = shape[0],
                                .queries = queries,
                                .keys = keys}));
  return {};
}

// --- Attention -----------------------------------------------------------------------------------

/// Half of the past or present (2, B, heads, T, D).
Result<TensorId> half_of(OnnxNode& node, TensorId both, int64_t half) {
  Graph& graph = node.graph();
  const std::string name = fmt::format("{}/past{}", node.name(), half);
  TRY_ASSIGN(const TensorId one,
             ops::slice(graph, name, both, {.starts = {half}, .ends = {half + 1}, .axes = {0}}));
  return ops::squeeze(graph, name + "/one", one, {0});
}

Result<TensorId> joined(OnnxNode& node, TensorId key, TensorId value) {
  Graph& graph = node.graph();
  std::array<TensorId, 2> halves = {key, value};
  for (size_t i = 0; i < halves.size(); ++i) {
    TRY_ASSIGN(halves[i],
               ops::unsqueeze(graph, fmt::format("{}/present{}", node.name(), i), halves[i], {0}));
  }
  return ops::concat(graph, node.name() + "/present", halves, 0);
}

struct Widths {
  int64_t q = 0, k = 0, v = 0;
};

Result<Widths> read_widths(OnnxNode& node) {
  const Ints sizes = node.integers("qkv_hidden_sizes");
  const Shape w = node.shape(1);
  if (w.size() != 2 || node.rank(0) != 3) {
    return invalid(
        fmt::format("The shapes {} of the input and {} of the weights have not 3 and 2 "
                    "dimensions.",
                    to_string(node.shape(0)), to_string(w)));
  }
  if (!sizes.empty() && sizes.size() != 3) {
    return invalid(fmt::format("Attribute \"qkv_hidden_sizes\" has ({}) entries instead of (3).",
                               sizes.size()));
  }
  if (sizes.empty()) return Widths{w[1] / 3, w[1] / 3, w[1] / 3};
  return Widths{sizes[0], sizes[1], sizes[2]};
}

Result<TensorId> import_attention(OnnxNode& node) {
  ops::AttentionOptions options;
  options.q_heads = options.kv_heads = node.required_integer("num_heads");
  options.causal = node.flag("unidirectional", false);
  options.keeps_present = node.wants_output(1);
  read_scale(node, options);
  for (const std::string_view attribute : {"do_rotary", "past_present_share_buffer"}) {
    refuse(node, attribute, 0);
  }
  node.ignore({"rotary_embedding_dim"});  // of do_rotary
  TRY_ASSIGN(const Widths widths, read_widths(node));
  if (node.failure()) return *node.failure();
  Graph& graph = node.graph();
  TRY_ASSIGN(TensorId qkv,
             ops::matmul(graph, node.name() + "/product", node.input(0), node.input(1)));
  if (node.has_input(2)) {
    TRY_ASSIGN(qkv, ops::binary(graph, node.name() + "/qkv", ScalarOp::add, qkv, node.input(2)));
  }
  TRY_ASSIGN(const Parts parts, parted(node, qkv, widths.q, widths.k, widths.v));
  ops::AttentionInputs inputs = {.q = parts.q, .k = parts.k, .v = parts.v};
  const int64_t own = node.shape(0)[1];
  int64_t past = 0;
  if (node.has_input(4)) {
    if (node.rank(4) != 5 || node.shape(4)[0] != 2) {
      return invalid(fmt::format("The past's shape {} is not (2, B, heads, past, size).",
                                 to_string(node.shape(4))));
    }
    past = node.shape(4)[3];
    TRY_ASSIGN(inputs.past_key, half_of(node, node.input(4), 0));
    TRY_ASSIGN(inputs.past_value, half_of(node, node.input(4), 1));
  }
  TRY(add_masks(node, 3, 5, own, past + own, inputs));
  TRY_ASSIGN(const ops::AttentionResult result,
             ops::attention(graph, node.name(), inputs, options));
  if (node.wants_output(1)) {
    TRY_ASSIGN(const TensorId present, joined(node, result.present_key, result.present_value));
    node.set_output(1, present);
  }
  return result.y;
}

// --- MultiHeadAttention --------------------------------------------------------------------------

/// Part `which` of (B, L, heads, parts, D), as (B, L, heads * D).
Result<TensorId> part_of(OnnxNode& node, TensorId packed, int64_t which) {
  Graph& graph = node.graph();
  const Shape shape = graph.tensors[packed].shape;
  const std::string name = fmt::format("{}/part{}", node.name(), which);
  TRY_ASSIGN(const TensorId one, ops::slice(graph, name, packed,
                                            {.starts = {which}, .ends = {which + 1}, .axes = {3}}));
  return ops::reshape(graph, name + "/packed", one, {shape[0], shape[1], shape[2] * shape[4]},
                      true);
}

/// q, k and v without their bias.
Result<Parts> read_parts(OnnxNode& node, int64_t heads) {
  const auto check = [&](size_t input, int64_t parts) -> Result<void> {
    const Shape shape = node.shape(input);
    if (shape.size() == 5 && shape[2] == heads && shape[3] == parts) return {};
    return invalid(fmt::format("The shape {} of input {} is not (B, S, {}, {}, size).",
                               to_string(shape), input, heads, parts));
  };
  Parts parts = {node.input(0), node.input(1), node.input(2)};
  if (!node.has_input(1)) {
    TRY(check(0, 3));
    TRY_ASSIGN(parts.q, part_of(node, node.input(0), 0));
    TRY_ASSIGN(parts.k, part_of(node, node.input(0), 1));
    TRY_ASSIGN(parts.v, part_of(node, node.input(0), 2));
  } else if (!node.has_input(2)) {
    TRY(check(1, 2));
    TRY_ASSIGN(parts.k, part_of(node, node.input(1), 0));
    TRY_ASSIGN(parts.v, part_of(node, node.input(1), 1));
  }
  return parts;
}

/// Adds what there is for each of the parts, which are packed then.
Result<void> add_bias(OnnxNode& node, TensorId bias, Parts& parts) {
  if (bias == kNoTensor) return {};
  Graph& graph = node.graph();
  int64_t first = 0;
  for (TensorId* part : {&parts.q, &parts.k, &parts.v}) {
    const Shape shape = graph.tensors[*part].shape;
    const Shape& given = graph.tensors[bias].shape;
    if (shape.size() != 3 || given.size() != 1 || first + shape[2] > given[0]) {
      return invalid(fmt::format("The bias' shape {} does not fit the shape {}.", to_string(given),
                                 to_string(shape)));
    }
    const std::string what = fmt::format("bias{}", first);
    TRY_ASSIGN(const TensorId own, columns(node, what, bias, first, shape[2]));
    TRY_ASSIGN(*part, ops::binary(graph, fmt::format("{}/{}/sum", node.name(), what), ScalarOp::add,
                                  *part, own));
    first += shape[2];
  }
  return {};
}

Result<TensorId> import_multi_head_attention(OnnxNode& node) {
  ops::AttentionOptions options;
  options.q_heads = options.kv_heads = node.required_integer("num_heads");
  options.causal = node.flag("unidirectional", false);
  options.keeps_present = node.wants_output(1) || node.wants_output(2);
  read_scale(node, options);
  for (const size_t input : {8u, 9u}) {
    if (!node.has_input(input)) continue;
    node.fail(ErrorKind::unsupported,
              fmt::format("Input {} of MultiHeadAttention (a shared buffer, beams) is not "
                          "supported.",
                          input));
  }
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(Parts parts, read_parts(node, options.q_heads));
  TRY(add_bias(node, node.input(3), parts));
  const auto length = [&](TensorId x) -> int64_t {
    const Shape& shape = node.graph().tensors[x].shape;
    return shape.size() == 3 ? shape[1] : shape.size() == 4 ? shape[2] : 0;
  };
  ops::AttentionInputs inputs = {.q = parts.q,
                                 .k = parts.k,
                                 .v = parts.v,
                                 .past_key = node.input(6),
                                 .past_value = node.input(7)};
  const int64_t past = node.has_input(6) ? length(node.input(6)) : 0;
  TRY(add_masks(node, 4, 5, length(parts.q), past + length(parts.k), inputs));
  TRY_ASSIGN(const ops::AttentionResult result,
             ops::attention(node.graph(), node.name(), inputs, options));
  node.set_output(1, result.present_key);
  node.set_output(2, result.present_value);
  return result.y;
}

// --- GroupQueryAttention -------------------------------------------------------------------------

struct GroupQuery {
  ops::AttentionOptions options;
  bool does_rotary = false;
  bool interleaved = false;
  int64_t total = 0;  // keys of the longest batch element
};

GroupQuery read_group_query(OnnxNode& node) {
  GroupQuery g;
  g.options.q_heads = node.required_integer("num_heads");
  g.options.kv_heads = node.required_integer("kv_num_heads");
  read_scale(node, g.options);
  g.options.softcap = node.number("softcap", 0);
  g.options.causal = node.flag("causal", true);
  // The window holds the query's own key, too.
  const int64_t window = node.integer("local_window_size", -1);
  if (window >= 1) g.options.left_window = window - 1;
  if (window == 0 || window < -1) {
    node.fail(
        ErrorKind::invalid_argument,
        fmt::format("Attribute \"local_window_size\" ({}) is neither -1 nor positive.", window));
  }
  g.does_rotary = node.flag("do_rotary", false);
  g.interleaved = node.flag("rotary_interleaved", false);
  refuse(node, "smooth_softmax", -1);
  for (const std::string_view attribute : {"qk_output", "sliding_window_cache"}) {
    refuse(node, attribute, 0);
  }
  for (const std::string_view attribute : {"k_quant_type", "v_quant_type"}) {
    if (node.text(attribute, "NONE") == "NONE") continue;
    node.fail(ErrorKind::unsupported,
              fmt::format("Attribute \"{}\" other than NONE is not supported.", attribute));
  }
  node.ignore({"kv_cache_bit_width", "qk_norm_epsilon", "q_norm_epsilon", "k_norm_epsilon"});
  for (size_t input = 11; input < node.input_count(); ++input) {
    if (!node.has_input(input)) continue;
    node.fail(ErrorKind::unsupported,
              fmt::format("Input {} of GroupQueryAttention (sinks, scales, norms, lengths of "
                          "queries) is not supported.",
                          input));
  }
  g.total = node.constant_integer(6, "total_sequence_length", 1);
  return g;
}

/// q (B, S, heads * D), k and v, of one tensor where keys are left out.
Result<Parts> read_group_parts(OnnxNode& node, const GroupQuery& g) {
  if (node.has_input(1) && node.has_input(2)) {
    return Parts{node.input(0), node.input(1), node.input(2)};
  }
  const Shape shape = node.shape(0);
  const int64_t q = g.options.q_heads, kv = g.options.kv_heads;
  if (shape.size() != 3 || q < 1 || kv < 1 || q > shape[2] || kv > shape[2] ||
      shape[2] % (q + 2 * kv) != 0) {
    return invalid(fmt::format("The shape {} of the query has not ({}) and twice ({}) heads.",
                               to_string(shape), q, kv));
  }
  const int64_t size = shape[2] / (q + 2 * kv);
  return parted(node, node.input(0), q * size, kv * size, kv * size);
}

/// Queries and keys turned by the angles of their places.
Result<void> turn(OnnxNode& node, const GroupQuery& g, TensorId starts, int64_t batch,
                  int64_t length, Parts& parts) {
  if (!node.has_input(7) || !node.has_input(8)) {
    return invalid("GroupQueryAttention with do_rotary has no cos_cache or sin_cache.");
  }
  Graph& graph = node.graph();
  ops::RotaryTables tables = {
      .cosine = node.input(7), .sine = node.input(8), .positions = node.input(9)};
  if (tables.positions == kNoTensor) {
    TRY_ASSIGN(tables.positions,
               ops::places_from(graph, node.name() + "/places", starts, batch, length));
  }
  const int64_t rotated = node.rank(7) == 2 ? 2 * node.shape(7)[1] : 0;
  const auto turned = [&](TensorId x, std::string_view what, int64_t heads) {
    return ops::rotary_embedding(
        graph, fmt::format("{}/{}/turned", node.name(), what), x, tables,
        {.heads = heads, .rotated = rotated, .interleaved = g.interleaved});
  };
  TRY_ASSIGN(parts.q, turned(parts.q, "q", g.options.q_heads));
  TRY_ASSIGN(parts.k, turned(parts.k, "k", g.options.kv_heads));
  return {};
}

/// The prompt's rows begin at 0, and may end before the batch element's last row; later ones stand
/// at the end of what the batch element has.
Result<TensorId> import_group_query_attention(OnnxNode& node) {
  const GroupQuery g = read_group_query(node);
  if (node.failure()) return *node.failure();
  if (!node.has_input(5) || !node.has_input(6) || node.has_input(3) != node.has_input(4)) {
    return invalid(
        "GroupQueryAttention has no seqlens_k or total_sequence_length, or half a past.");
  }
  Graph& graph = node.graph();
  TRY_ASSIGN(Parts parts, read_group_parts(node, g));
  const Shape q = graph.tensors[parts.q].shape;
  const Shape k = graph.tensors[parts.k].shape;
  if (q.size() != 3 || k.size() != 3 || k[1] != q[1]) {
    return invalid(fmt::format("The shapes {} of queries and {} of keys are not (B, S, size).",
                               to_string(q), to_string(k)));
  }
  const bool has_past = node.has_input(3) && node.rank(3) == 4 && node.shape(3)[2] > 0;
  const int64_t past = has_past ? node.shape(3)[2] : 0;
  if (g.total < q[1] || (!has_past && g.total != q[1])) {
    return invalid(
        fmt::format("The total sequence length ({}) does not fit ({}) rows and a past of "
                    "({}).",
                    g.total, q[1], past));
  }
  const bool is_prompt = g.total == q[1];
  const int64_t rows = std::max(past, g.total);
  TensorId starts = kNoTensor;
  if (!is_prompt) {
    TRY_ASSIGN(starts, ops::moved_starts(graph, node.name() + "/starts", node.input(5), 1 - q[1]));
  }
  if (g.does_rotary) TRY(turn(node, g, starts, q[0], q[1], parts));
  TRY_ASSIGN(const TensorId counts,
             ops::moved_starts(graph, node.name() + "/counts", node.input(5), 1));
  const auto cache = [&](std::string_view what, TensorId fresh, size_t input) {
    return ops::key_cache(graph, fmt::format("{}/{}/present", node.name(), what), fresh,
                          has_past ? node.input(input) : kNoTensor, starts, g.options.kv_heads,
                          rows);
  };
  ops::AttentionInputs inputs = {.q = parts.q, .bias = node.input(10), .key_counts = counts};
  TRY_ASSIGN(inputs.k, cache("k", parts.k, 3));
  TRY_ASSIGN(inputs.v, cache("v", parts.v, 4));
  ops::AttentionOptions options = g.options;
  if (is_prompt) options.first_place = 0;
  TRY_ASSIGN(const ops::AttentionResult result,
             ops::attention(graph, node.name(), inputs, options));
  node.set_output(1, inputs.k);
  node.set_output(2, inputs.v);
  return result.y;
}

// --- RotaryEmbedding -----------------------------------------------------------------------------

Result<TensorId> import_rotary_embedding(OnnxNode& node) {
  ops::RotaryOptions options;
  options.heads = node.integer("num_heads", 0);
  options.rotated = node.integer("rotary_embedding_dim", 0);
  options.interleaved = node.flag("interleaved", false);
  refuse(node, "is_packed_batching", 0);
  if (const double scale = node.number("scale", 1); scale != 1) {
    node.fail(ErrorKind::unsupported,
              fmt::format("Attribute \"scale\" ({}) other than 1 is not supported.", scale));
  }
  if (node.failure()) return *node.failure();
  const Shape x = node.shape(0);
  const Shape table = node.shape(2);
  if ((x.size() != 3 && x.size() != 4) || table.size() != 2 || table[1] < 1) {
    return invalid(fmt::format("The shapes {} of the input and {} of the table do not fit.",
                               to_string(x), to_string(table)));
  }
  // A packed input says its heads, or the table how large a head is.
  if (x.size() == 3 && options.heads == 0) options.heads = x[2] / (2 * table[1]);
  const int64_t length = x.size() == 3 ? x[1] : x[2];
  ops::RotaryTables tables = {.cosine = node.input(2), .sine = node.input(3)};
  tables.positions = node.input(1);
  if (node.shape(1) == Shape{1}) {
    TRY_ASSIGN(tables.positions, ops::places_from(node.graph(), node.name() + "/places",
                                                  node.input(1), x[0], length));
  }
  return ops::rotary_embedding(node.graph(), node.name(), node.input(0), tables, options);
}

constexpr std::string_view kDomain = "com.microsoft";
constexpr OnnxOperator kOperators[] = {
    {"Attention", 1, 2, 7, 2, "float", import_attention, "no shared buffer, no rotary", kDomain},
    {"MultiHeadAttention", 1, 1, 10, 4, "float", import_multi_head_attention, "no shared buffer",
     kDomain},
    {"GroupQueryAttention", 1, 1, 17, 4, "float", import_group_query_attention,
     "no quantised cache, no sinks", kDomain},
    {"RotaryEmbedding", 1, 4, 4, 1, "float", import_rotary_embedding, {}, kDomain},
};

}  // namespace

std::span<const OnnxOperator> contrib_attention_operators() { return kOperators; }

}  // namespace leat::onnx_ops
