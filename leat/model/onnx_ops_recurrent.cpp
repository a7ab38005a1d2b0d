// ONNX layers that go along a sequence. Source: ONNX operator schemas RNN, GRU and LSTM 7/14/22,
// LinearAttention 27.
#include <fmt/format.h>

#include <array>

#include "leat/model/onnx_ops.h"
#include "leat/tensor/ops_recurrent.h"

namespace leat::onnx_ops {
namespace {

struct ActivationName {
  std::string_view name;
  CellFunction function;
  int parameters = 0;  // alpha, then beta
  double alpha = 0, beta = 0;
  bool has_defaults = true;
};

constexpr ActivationName kActivations[] = {
    {"Tanh", CellFunction::tanh},
    {"Sigmoid", CellFunction::sigmoid},
    {"Relu", CellFunction::relu},
    {"Softsign", CellFunction::softsign},
    {"Softplus", CellFunction::softplus},
    {"LeakyRelu", CellFunction::leaky_relu, 1, 0.01},
    {"ThresholdedRelu", CellFunction::thresholded_relu, 1, 1},
    {"Elu", CellFunction::elu, 1, 1},
    {"HardSigmoid", CellFunction::hard_sigmoid, 2, 0.2, 0.5},
    // No operator of these names tells what is meant without parameters.
    {"Affine", CellFunction::affine, 2, 0, 0, false},
    {"ScaledTanh", CellFunction::scaled_tanh, 2, 0, 0, false},
};

/// The next of a list, which is taken from by those that have a parameter only.
double next_of(const std::vector<double>& values, size_t& position, double fallback) {
  return position < values.size() ? values[position++] : fallback;
}

std::vector<CellActivation> read_activations(OnnxNode& node) {
  const std::vector<double> alphas = node.numbers("activation_alpha");
  const std::vector<double> betas = node.numbers("activation_beta");
  size_t alpha = 0, beta = 0;
  std::vector<CellActivation> activations;
  for (const std::string& name : node.texts("activations")) {
    const auto* row = std::ranges::find(kActivations, name, &ActivationName::name);
    if (row == std::end(kActivations)) {
      node.fail(ErrorKind::unsupported,
                fmt::format("Activation \"{}\" of {} is not supported.", name, node.op()));
      return {};
    }
    const bool is_given = alpha < alphas.size() && beta < betas.size();
    if (!row->has_defaults && !is_given) {
      node.fail(ErrorKind::invalid_argument,
                fmt::format("Activation \"{}\" of {} has no alpha or beta.", name, node.op()));
    }
    CellActivation activation = {.function = row->function};
    if (row->parameters >= 1) activation.alpha = next_of(alphas, alpha, row->alpha);
    if (row->parameters >= 2) activation.beta = next_of(betas, beta, row->beta);
    activations.push_back(activation);
  }
  return activations;
}

ops::RecurrentDirection read_direction(OnnxNode& node) {
  const std::string direction = node.text("direction", "forward");
  if (direction == "reverse") return ops::RecurrentDirection::reverse;
  if (direction == "bidirectional") return ops::RecurrentDirection::bidirectional;
  if (direction != "forward") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"direction\" ({}) is none of forward, reverse and "
                          "bidirectional.",
                          direction));
  }
  return ops::RecurrentDirection::forward;
}

ops::RecurrentOptions read_options(OnnxNode& node, CellKind cell) {
  ops::RecurrentOptions options;
  options.cell = cell;
  options.direction = read_direction(node);
  options.batch_first = node.opset() >= 14 && node.flag("layout", false);
  options.activations = read_activations(node);
  options.clip = node.number("clip", 0);
  if (!node.has_attribute("hidden_size") || node.rank(2) != 3) return options;
  const int64_t units = node.integer("hidden_size", 0);
  if (units != node.shape(2)[2]) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"hidden_size\" ({}) is not the last extent of R's shape {}.",
                          units, to_string(node.shape(2))));
  }
  return options;
}

Result<TensorId> import_layer(OnnxNode& node, const ops::RecurrentOptions& options) {
  if (node.failure()) return *node.failure();
  ops::RecurrentInputs inputs = {.x = node.input(0),
                                 .w = node.input(1),
                                 .r = node.input(2),
                                 .bias = node.input(3),
                                 .lengths = node.input(4),
                                 .initial_h = node.input(5)};
  if (options.cell == CellKind::lstm) {
    inputs.initial_c = node.input(6);
    inputs.peepholes = node.input(7);
  }
  TRY_ASSIGN(const ops::RecurrentResult result,
             ops::recurrent(node.graph(), node.name(), inputs, options));
  node.set_output(1, result.y_h);
  node.set_output(2, result.y_c);
  return result.y;
}

Result<TensorId> import_rnn(OnnxNode& node) {
  return import_layer(node, read_options(node, CellKind::rnn));
}

Result<TensorId> import_gru(OnnxNode& node) {
  ops::RecurrentOptions options = read_options(node, CellKind::gru);
  options.linear_before_reset = node.integer("linear_before_reset", 0) != 0;
  return import_layer(node, options);
}

Result<TensorId> import_lstm(OnnxNode& node) {
  ops::RecurrentOptions options = read_options(node, CellKind::lstm);
  options.input_forget = node.flag("input_forget", false);
  return import_layer(node, options);
}

/// Of DynamicQuantizeLSTM: weights (D, I, 4 H) of 8 bits in input `weights`, their scale and zero
/// point, (D) or (D, 4 H), in `scale` and + 1, as LSTM has them: floats (D, 4 H, I).
Result<TensorId> widened_weights(OnnxNode& node, size_t weights, size_t scale) {
  const HostTensor* values = node.constant(weights, "weights");
  const HostTensor* scales = node.constant(scale, "scale");
  const HostTensor* zeros = node.constant(scale + 1, "zero point");
  if (node.failure()) return *node.failure();
  if (scales == nullptr || zeros == nullptr) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input {} (scale) or {} (zero point) is left out.", scale, scale + 1));
  }
  const Shape shape = values->shape;
  const bool is_weights = shape.size() == 3 && size_bytes_of(values->dtype) == 1;
  const Shape one_each = {is_weights ? shape[0] : 0};
  const Shape one_a_column = {one_each[0], is_weights ? shape[2] : 0};
  const bool is_listed = scales->shape == one_each || scales->shape == one_a_column;
  if (!is_weights || !is_listed || zeros->shape != scales->shape || !is_float(scales->dtype) ||
      zeros->dtype != values->dtype) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Weights {} {} with scale {} {} and zero point {} {} in inputs {}, {} "
                             "and {} do not fit each other.",
                             name_of(values->dtype), to_string(shape), name_of(scales->dtype),
                             to_string(scales->shape), name_of(zeros->dtype),
                             to_string(zeros->shape), weights, scale, scale + 1));
  }
  const int64_t rows = shape[1], columns = shape[2];
  HostTensor wide = HostTensor::zeros(DType::f32, {shape[0], columns, rows});
  for (int64_t d = 0; d < shape[0]; ++d) {
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t at = scales->shape.size() == 1 ? d : d * columns + column;
      const double factor = scales->number(at);
      const int64_t zero = zeros->integer(at);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t value = values->integer((d * rows + row) * columns + column);
        wide.set_number((d * columns + column) * rows + row,
                        static_cast<double>(value - zero) * factor);
      }
    }
  }
  return node.graph().add_constant(fmt::format("{}/{}", node.name(), weights), std::move(wide));
}

/// ONNX Runtime rounds inputs and states to 8 bits before each product; here they stay floats,
/// which is nearer to what the model was made from.
Result<TensorId> import_dynamic_quantize_lstm(OnnxNode& node) {
  ops::RecurrentOptions options;
  options.cell = CellKind::lstm;
  options.direction = read_direction(node);
  options.activations = read_activations(node);
  options.clip = node.number("clip", 0);
  options.input_forget = node.flag("input_forget", false);
  node.ignore({"hidden_size"});
  TRY_ASSIGN(const TensorId w, widened_weights(node, 1, 8));
  TRY_ASSIGN(const TensorId r, widened_weights(node, 2, 10));
  const ops::RecurrentInputs inputs = {.x = node.input(0),
                                       .w = w,
                                       .r = r,
                                       .bias = node.input(3),
                                       .lengths = node.input(4),
                                       .initial_h = node.input(5),
                                       .initial_c = node.input(6),
                                       .peepholes = node.input(7)};
  TRY_ASSIGN(const ops::RecurrentResult result,
             ops::recurrent(node.graph(), node.name(), inputs, options));
  node.set_output(1, result.y_h);
  node.set_output(2, result.y_c);
  return result.y;
}

Result<TensorId> import_linear_attention(OnnxNode& node) {
  LinearAttention options;
  options.q_heads = node.required_integer("q_num_heads");
  options.kv_heads = node.required_integer("kv_num_heads");
  options.scale = node.number("scale", 0);
  node.ignore({"chunk_size"});
  const std::string rule = node.text("update_rule", "gated_delta");
  const bool is_gated = rule == "gated" || rule == "gated_delta";
  options.corrects = rule == "delta" || rule == "gated_delta";
  if (!is_gated && !options.corrects && rule != "linear") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"update_rule\" ({}) is none of linear, gated, delta and "
                          "gated_delta.",
                          rule));
  }
  if (is_gated != node.has_input(4) || options.corrects != node.has_input(5)) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Inputs 4 (decay) and 5 (beta) do not fit the update rule ({}).", rule));
  }
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const ops::LinearAttentionResult result,
             ops::linear_attention(node.graph(), node.name(),
                                   {.q = node.input(0),
                                    .k = node.input(1),
                                    .v = node.input(2),
                                    .past = node.input(3),
                                    .decay = node.input(4),
                                    .beta = node.input(5)},
                                   options));
  node.set_output(1, result.present);
  return result.y;
}

constexpr OnnxOperator kOperators[] = {
    {"RNN", 7, 3, 6, 2, "float", import_rnn},
    {"GRU", 7, 3, 6, 2, "float", import_gru},
    {"LSTM", 7, 3, 8, 3, "float", import_lstm},
    {"LinearAttention", 27, 3, 6, 2, "float", import_linear_attention},
    {"DynamicQuantizeLSTM", 1, 3, 12, 3, "float, weights of 8 bits", import_dynamic_quantize_lstm,
     "domain com.microsoft; inputs and states are not rounded", "com.microsoft"},
};

}  // namespace

std::span<const OnnxOperator> recurrent_operators() { return kOperators; }

}  // namespace leat::onnx_ops
