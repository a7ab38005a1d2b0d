// Recurrent layers: the product of all inputs with their weights, then a program along the steps.
#include "leat/tensor/ops_recurrent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/recurrent_cell.h"

namespace leat::ops {
namespace {

struct Layer {
  RecurrentInputs inputs;
  Recurrence recurrence;
  int64_t steps = 0, batch = 0, directions = 1, gates = 1, units = 0, features = 0;
  DType dtype = DType::f32;

  Shape state_shape() const {
    return recurrence.batch_first ? Shape{batch, directions, units}
                                  : Shape{directions, batch, units};
  }
  bool is_lstm() const { return recurrence.cell == CellKind::lstm; }
  bool has_hidden_bias() const {
    return recurrence.cell == CellKind::gru && recurrence.linear_before_reset &&
           inputs.bias != kNoTensor;
  }
};

std::string_view op_name_of(CellKind cell) {
  switch (cell) {
    case CellKind::rnn: return "RNN";
    case CellKind::gru: return "GRU";
    case CellKind::lstm: return "LSTM";
  }
  return "";
}

int64_t gate_count_of(CellKind cell) {
  switch (cell) {
    case CellKind::rnn: return 1;
    case CellKind::gru: return 3;
    case CellKind::lstm: return 4;
  }
  return 1;
}

std::vector<CellActivation> default_activations(CellKind cell) {
  const CellActivation sigmoid = {.function = CellFunction::sigmoid};
  const CellActivation tanh = {.function = CellFunction::tanh};
  switch (cell) {
    case CellKind::rnn: return {tanh};
    case CellKind::gru: return {sigmoid, tanh};
    case CellKind::lstm: return {sigmoid, tanh, tanh};
  }
  return {};
}

Result<void> set_activations(const Place& place, const RecurrentOptions& options, Layer& layer) {
  const std::vector<CellActivation> usual = default_activations(options.cell);
  const size_t directions = static_cast<size_t>(layer.directions);
  if (!options.activations.empty() && options.activations.size() != usual.size() * directions) {
    return place.error(
        fmt::format("The number of activations ({}) is not ({}) for each of ({}) "
                    "directions.",
                    options.activations.size(), usual.size(), directions));
  }
  for (size_t d = 0; d < directions; ++d) {
    for (size_t i = 0; i < usual.size(); ++i) {
      layer.recurrence.activations[d][i] =
          options.activations.empty() ? usual[i] : options.activations[d * usual.size() + i];
    }
  }
  return {};
}

/// The tensor, if it is there, has this shape and the layer's dtype.
Result<void> require_part(const Graph& graph, const Place& place, const Layer& layer,
                          std::string_view what, TensorId part, const Shape& wanted) {
  if (part == kNoTensor) return {};
  TRY(require_same_dtype(graph, place, layer.inputs.x, part));
  if (shape_of(graph, part) == wanted) return {};
  return place.error(fmt::format("The shape {} of {} is not {}.", to_string(shape_of(graph, part)),
                                 what, to_string(wanted)));
}

Result<void> check_parts(const Graph& graph, const Place& place, const Layer& layer) {
  const RecurrentInputs& in = layer.inputs;
  const int64_t rows = layer.gates * layer.units;
  const int64_t d = layer.directions;
  TRY(require_part(graph, place, layer, "w", in.w, {d, rows, layer.features}));
  TRY(require_part(graph, place, layer, "r", in.r, {d, rows, layer.units}));
  TRY(require_part(graph, place, layer, "the bias", in.bias, {d, 2 * rows}));
  TRY(require_part(graph, place, layer, "the initial state", in.initial_h, layer.state_shape()));
  TRY(require_part(graph, place, layer, "the initial cell", in.initial_c, layer.state_shape()));
  TRY(require_part(graph, place, layer, "the peepholes", in.peepholes, {d, 3 * layer.units}));
  if (!layer.is_lstm() && (in.initial_c != kNoTensor || in.peepholes != kNoTensor)) {
    return place.error("Only an LSTM has cells and peepholes.");
  }
  if (in.lengths == kNoTensor) return {};
  const Shape& lengths = shape_of(graph, in.lengths);
  if (lengths == Shape{layer.batch} && dtype_of(graph, in.lengths) == DType::i32) return {};
  return place.error(fmt::format("The lengths have the shape {} and dtype {} instead of ({}) i32.",
                                 to_string(lengths), name_of(dtype_of(graph, in.lengths)),
                                 layer.batch));
}

Result<Layer> resolve(const Graph& graph, const Place& place, const RecurrentInputs& inputs,
                      const RecurrentOptions& options) {
  TRY(require_float(graph, place, inputs.x));
  const Shape x = shape_of(graph, inputs.x);
  const Shape r = shape_of(graph, inputs.r);
  if (x.size() != 3 || r.size() != 3) {
    return place.error(fmt::format("The shapes {} of x and {} of r have not 3 dimensions.",
                                   to_string(x), to_string(r)));
  }
  Layer layer;
  layer.inputs = inputs;
  layer.dtype = dtype_of(graph, inputs.x);
  layer.steps = x[options.batch_first ? 1 : 0];
  layer.batch = x[options.batch_first ? 0 : 1];
  layer.features = x[2];
  layer.units = r[2];
  layer.gates = gate_count_of(options.cell);
  layer.directions = options.direction == RecurrentDirection::bidirectional ? 2 : 1;
  if (element_count(x) == 0 || layer.units < 1) {
    return place.error(fmt::format("The shapes {} of x and {} of r have no elements.", to_string(x),
                                   to_string(r)));
  }
  layer.recurrence = {.cell = options.cell,
                      .batch_first = options.batch_first,
                      .has_lengths = inputs.lengths != kNoTensor,
                      .is_reverse = options.direction == RecurrentDirection::reverse,
                      .linear_before_reset = options.linear_before_reset,
                      .input_forget = options.input_forget,
                      .clip = options.clip};
  TRY(set_activations(place, options, layer));
  TRY(require_shape(place, {layer.steps, layer.batch, layer.directions, layer.gates, layer.units}));
  TRY(check_parts(graph, place, layer));
  if (options.clip >= 0) return layer;
  return place.error(fmt::format("The bound ({}) to clip at is negative.", options.clip));
}

// --- What the program reads ---------------------------------------------------------------------

/// (S, B, D, G * H): products with w, and both biases but for what a reset is applied to.
Result<TensorId> write_gates(Graph& graph, const Place& place, const Layer& layer) {
  NodeWriter writer(graph, place, "/gates");
  const int64_t rows = layer.gates * layer.units;
  const Term step = writer.axis(0), batch = writer.axis(1), direction = writer.axis(2),
             row = writer.axis(3), feature = writer.axis(4);
  const std::vector<Term> at = layer.recurrence.batch_first
                                   ? std::vector<Term>{batch, step, feature}
                                   : std::vector<Term>{step, batch, feature};
  const Term left = writer.load(layer.inputs.x, at);
  const Term element = left * writer.load(layer.inputs.w, {direction, row, feature});
  Term value = writer.accumulator(element.type());
  if (layer.inputs.bias != kNoTensor) {
    const Term of_r = writer.load(layer.inputs.bias, {direction, row + static_cast<double>(rows)});
    const Term is_added = row < static_cast<double>(2 * layer.units);
    value = value + writer.load(layer.inputs.bias, {direction, row}) +
            (layer.has_hidden_bias() ? select(is_added, of_r, 0) : of_r);
  }
  return writer.reduce(wide_dtype_of(layer.dtype),
                       {layer.steps, layer.batch, layer.directions, rows},
                       {ReduceOp::sum, {layer.features}, element}, value);
}

/// Blocks of r, see Recurrence.
Result<TensorId> write_weights(Graph& graph, const Place& place, const Layer& layer) {
  const int64_t blocks = (layer.units + kRecurrentBlock - 1) / kRecurrentBlock;
  const Shape shape = {layer.directions, blocks, layer.units, layer.gates, kRecurrentBlock};
  TRY(require_shape(place, shape));
  NodeWriter writer(graph, place, "/weights");
  const Term unit = writer.axis(1) * static_cast<double>(kRecurrentBlock) + writer.axis(4);
  const double units = static_cast<double>(layer.units);
  const std::vector<Term> at = {writer.axis(0), writer.axis(3) * units + unit, writer.axis(2)};
  const Term value = layer.units % kRecurrentBlock == 0
                         ? writer.load(layer.inputs.r, at)
                         : writer.load(layer.inputs.r, at, unit < units);
  return writer.map(layer.dtype, shape, value);
}

/// (N, D, B, H) of hidden state and cell, either of which may be left out.
Result<TensorId> write_initial(Graph& graph, const Place& place, const Layer& layer) {
  NodeWriter writer(graph, place, "/initial");
  Shape shape = layer.state_shape();
  shape.insert(shape.begin(), layer.is_lstm() ? 2 : 1);
  const std::vector<Term> at = {writer.axis(1), writer.axis(2), writer.axis(3)};
  const auto state = [&](TensorId tensor) {
    return tensor == kNoTensor ? writer.number(layer.inputs.x, 0) : writer.load(tensor, at);
  };
  Term value = state(layer.inputs.initial_h);
  if (layer.is_lstm()) {
    value = select(equal(writer.axis(0), 0), value, state(layer.inputs.initial_c));
  }
  return writer.map(layer.dtype, shape, value);
}

/// Peepholes (D, 3, H), or a gru's bias (D, 1, H) before the reset.
Result<TensorId> write_extra(Graph& graph, const Place& place, const Layer& layer) {
  NodeWriter writer(graph, place, "/extra");
  const Term direction = writer.axis(0), which = writer.axis(1), unit = writer.axis(2);
  const double units = static_cast<double>(layer.units);
  if (layer.is_lstm()) {
    const Term value = writer.load(layer.inputs.peepholes, {direction, which * units + unit});
    return writer.map(layer.dtype, {layer.directions, 3, layer.units}, value);
  }
  const Term value = writer.load(layer.inputs.bias, {direction, unit + 5 * units});
  return writer.map(layer.dtype, {layer.directions, 1, layer.units}, value);
}

Result<std::vector<TensorId>> write_recurrent(Graph& graph, const Place& place, Node node,
                                              const std::vector<Shape>& shapes,
                                              const std::vector<DType>& dtypes) {
  node.name = place.name;
  node.op = place.op;
  node.extents = shape_of(graph, node.inputs[0]);
  node.extents[node.program->axis] = 1;
  std::vector<TensorId> outputs;
  for (size_t i = 0; i < shapes.size(); ++i) {
    TRY(require_shape(place, shapes[i]));
    const std::string suffix = i == 0 ? "" : "/last";
    outputs.push_back(graph.add_tensor(place.name + suffix, dtypes[i], shapes[i]));
    node.results.push_back({.output = outputs.back(), .value = kNoExpr, .index = {}});
  }
  TRY(graph.add_node(std::move(node)));
  return outputs;
}

/// Row `which` of the last states.
Result<TensorId> state_of(Graph& graph, const Place& place, const Layer& layer, TensorId last,
                          int64_t which) {
  NodeWriter writer(graph, place, which == 0 ? "/h" : "/c");
  const Term value =
      writer.load(last, {writer.integer(which), writer.axis(0), writer.axis(1), writer.axis(2)});
  return writer.map(layer.dtype, layer.state_shape(), value);
}

}  // namespace

Result<RecurrentResult> recurrent(Graph& graph, std::string_view name,
                                  const RecurrentInputs& inputs, const RecurrentOptions& options) {
  const Place place(graph, op_name_of(options.cell), name);
  TRY_ASSIGN(Layer layer, resolve(graph, place, inputs, options));
  Recurrence& recurrence = layer.recurrence;
  Node node;
  TRY_ASSIGN(const TensorId gates, write_gates(graph, place, layer));
  TRY_ASSIGN(const TensorId weights, write_weights(graph, place, layer));
  node.inputs = {gates, weights};
  recurrence.has_initial = inputs.initial_h != kNoTensor || inputs.initial_c != kNoTensor;
  if (recurrence.has_initial) {
    TRY_ASSIGN(const TensorId initial, write_initial(graph, place, layer));
    node.inputs.push_back(initial);
  }
  recurrence.has_extra = inputs.peepholes != kNoTensor || layer.has_hidden_bias();
  if (recurrence.has_extra) {
    TRY_ASSIGN(const TensorId extra, write_extra(graph, place, layer));
    node.inputs.push_back(extra);
  }
  if (recurrence.has_lengths) node.inputs.push_back(inputs.lengths);
  node.program = Program{.op = ProgramOp::recurrence, .axis = 0, .recurrence = recurrence};
  Shape last = layer.state_shape();
  last.insert(last.begin(), layer.is_lstm() ? 2 : 1);
  const Shape y = recurrence.batch_first
                      ? Shape{layer.batch, layer.steps, layer.directions, layer.units}
                      : Shape{layer.steps, layer.directions, layer.batch, layer.units};
  TRY_ASSIGN(const std::vector<TensorId> outputs,
             write_recurrent(graph, place, std::move(node), {y, last}, {layer.dtype, layer.dtype}));
  RecurrentResult result = {.y = outputs[0]};
  TRY_ASSIGN(result.y_h, state_of(graph, place, layer, outputs[1], 0));
  if (!layer.is_lstm()) return result;
  TRY_ASSIGN(result.y_c, state_of(graph, place, layer, outputs[1], 1));
  return result;
}

// --- Linear attention ----------------------------------------------------------------------------

namespace {

/// A group's sums are carried by one loop, which carries at most 252 values.
constexpr int64_t kGroupMax = 128;

Result<void> require_shape_of(const Graph& graph, const Place& place, std::string_view what,
                              TensorId tensor, const Shape& wanted) {
  if (tensor == kNoTensor || shape_of(graph, tensor) == wanted) return {};
  return place.error(fmt::format("The shape {} of {} is not {}.",
                                 to_string(shape_of(graph, tensor)), what, to_string(wanted)));
}

Result<void> check_linear(const Graph& graph, const Place& place, const LinearAttentionInputs& in,
                          const LinearAttention& a, int64_t size, int64_t value_size) {
  const Shape& q = shape_of(graph, in.q);
  const int64_t batch = q[0], steps = q[1], heads = a.kv_heads;
  TRY(require_shape_of(graph, place, "q", in.q, {batch, steps, a.q_heads * size}));
  TRY(require_shape_of(graph, place, "k", in.k, {batch, steps, heads * size}));
  TRY(require_shape_of(graph, place, "v", in.v, {batch, steps, heads * value_size}));
  TRY(require_shape_of(graph, place, "the past", in.past, {batch, heads, size, value_size}));
  for (const TensorId x : {in.k, in.v, in.decay, in.beta}) {
    if (x != kNoTensor) TRY(require_same_dtype(graph, place, in.q, x));
  }
  if (in.past != kNoTensor) TRY(require_float(graph, place, in.past));
  const auto ends_with = [&](TensorId x, int64_t extent) {
    return x != kNoTensor && !shape_of(graph, x).empty() && shape_of(graph, x).back() == extent;
  };
  const bool by_head = ends_with(in.decay, heads);
  const Shape decay = {batch, steps, by_head ? heads : heads * size};
  TRY(require_shape_of(graph, place, "the decay", in.decay, decay));
  const bool is_shared = ends_with(in.beta, 1);
  return require_shape_of(graph, place, "beta", in.beta, {batch, steps, is_shared ? 1 : heads});
}

}  // namespace

Result<LinearAttentionResult> linear_attention(Graph& graph, std::string_view name,
                                               const LinearAttentionInputs& inputs,
                                               const LinearAttention& options) {
  const Place place(graph, "LinearAttention", name);
  for (const TensorId x : {inputs.q, inputs.k, inputs.v}) TRY(require_float(graph, place, x));
  LinearAttention a = options;
  const Shape q = shape_of(graph, inputs.q), v = shape_of(graph, inputs.v);
  const bool fits = a.kv_heads >= 1 && a.q_heads >= 1 && a.q_heads % a.kv_heads == 0 &&
                    q.size() == 3 && v.size() == 3 && q[2] % a.q_heads == 0 &&
                    v[2] % a.kv_heads == 0 && element_count(q) > 0 && element_count(v) > 0;
  if (!fits || a.q_heads / a.kv_heads > kGroupMax) {
    return place.error(
        fmt::format("The shapes {} of q and {} of v have not ({}) heads, in groups "
                    "of at most ({}) that share one of ({}).",
                    to_string(q), to_string(v), a.q_heads, kGroupMax, a.kv_heads));
  }
  const int64_t size = q[2] / a.q_heads, value_size = v[2] / a.kv_heads;
  TRY(check_linear(graph, place, inputs, a, size, value_size));
  if (a.scale == 0) a.scale = 1 / std::sqrt(static_cast<double>(size));
  a.has_past = inputs.past != kNoTensor;
  a.has_decay = inputs.decay != kNoTensor;
  a.has_beta = inputs.beta != kNoTensor;
  Node node;
  for (const TensorId x : {inputs.q, inputs.k, inputs.v, inputs.past, inputs.decay, inputs.beta}) {
    if (x != kNoTensor) node.inputs.push_back(x);
  }
  node.program = Program{.op = ProgramOp::linear_attention, .axis = 1, .linear_attention = a};
  const DType state = dtype_of(graph, a.has_past ? inputs.past : inputs.q);
  TRY_ASSIGN(
      const std::vector<TensorId> outputs,
      write_recurrent(graph, place, std::move(node),
                      {{q[0], q[1], a.q_heads * value_size}, {q[0], a.kv_heads, size, value_size}},
                      {dtype_of(graph, inputs.q), state}));
  return LinearAttentionResult{outputs[0], outputs[1]};
}

}  // namespace leat::ops
