// See ops_optimizer.h: maps, one for each tensor that a step changes.
#include "leat/tensor/ops_optimizer.h"

#include <fmt/format.h>

#include "leat/tensor/node_writer.h"

namespace leat::ops {
namespace {

Result<void> check_inputs(const Graph& graph, const Place& place, const OptimizerInputs& inputs) {
  TRY(require_float(graph, place, inputs.x));
  const Shape& shape = shape_of(graph, inputs.x);
  for (TensorId tensor : {inputs.gradient, inputs.momentum, inputs.squares}) {
    if (tensor == kNoTensor) continue;
    TRY(require_same_dtype(graph, place, inputs.x, tensor));
    if (shape_of(graph, tensor) == shape) continue;
    return place.error(fmt::format("The shape {} of tensor \"{}\" is not {}.",
                                   to_string(shape_of(graph, tensor)), graph.tensors[tensor].name,
                                   to_string(shape)));
  }
  TRY(require_float(graph, place, inputs.rate));
  const bool has_ones = element_count(shape_of(graph, inputs.rate)) == 1 &&
                        element_count(shape_of(graph, inputs.count)) == 1;
  if (has_ones && is_whole_number(dtype_of(graph, inputs.count))) return {};
  return place.error(
      fmt::format("The rate {} and the count {} {} are not one number and one whole "
                  "number.",
                  to_string(shape_of(graph, inputs.rate)), name_of(dtype_of(graph, inputs.count)),
                  to_string(shape_of(graph, inputs.count))));
}

/// One map of the shape of x, and what all methods begin with.
class Step {
 public:
  Step(Graph& graph, const Place& place, std::string_view suffix, const OptimizerInputs& inputs)
      : graph_(graph), writer_(graph, place, suffix), inputs_(inputs) {}

  Term at(TensorId tensor) {
    return writer_.load(tensor, writer_.axes(shape_of(graph_, inputs_.x).size()));
  }
  Term x() { return at(inputs_.x); }
  Term gradient(double norm) {
    const Term slope = at(inputs_.gradient);
    return x() * norm + slope;
  }
  Term rate() { return one_number(inputs_.rate); }
  Term count() { return one_number(inputs_.count); }
  Result<TensorId> write(Term value) {
    return writer_.map(dtype_of(graph_, inputs_.x), shape_of(graph_, inputs_.x), value);
  }

 private:
  Term one_number(TensorId tensor) {
    const ScalarType type = x().type();
    return convert(writer_.only_element(tensor), type);
  }

  Graph& graph_;
  NodeWriter writer_;
  OptimizerInputs inputs_;
};

/// base to the power of a whole number as a float, base a number of the options.
Term power_of(double base, Term exponent) {
  return apply(ScalarOp::pow, exponent.constant(base), exponent);
}

}  // namespace

Result<OptimizerResult> adagrad(Graph& graph, std::string_view name, const OptimizerInputs& inputs,
                                const AdagradOptions& options) {
  const Place place(graph, "Adagrad", name);
  TRY(check_inputs(graph, place, inputs));
  OptimizerResult result;
  Step squares(graph, place, "/squares", inputs);
  const Term slope = squares.gradient(options.norm);
  TRY_ASSIGN(result.squares, squares.write(squares.at(inputs.squares) + slope * slope));
  Step step(graph, place, "", inputs);
  const Term slowing = step.count() * options.decay + 1;
  const Term rate = step.rate() / slowing;
  const Term size = sqrt(step.at(result.squares)) + options.epsilon;
  const Term way = rate * step.gradient(options.norm) / size;
  TRY_ASSIGN(result.x, step.write(step.x() - way));
  return result;
}

Result<OptimizerResult> adam(Graph& graph, std::string_view name, const OptimizerInputs& inputs,
                             const AdamOptions& options) {
  const Place place(graph, "Adam", name);
  TRY(check_inputs(graph, place, inputs));
  const auto mixed = [](double kept, Term before, Term now) {
    return before * kept + now * (1 - kept);
  };
  OptimizerResult result;
  Step means(graph, place, "/momentum", inputs);
  const Term now = means.gradient(options.norm);
  TRY_ASSIGN(result.momentum, means.write(mixed(options.alpha, means.at(inputs.momentum), now)));
  Step squares(graph, place, "/squares", inputs);
  const Term slope = squares.gradient(options.norm);
  TRY_ASSIGN(result.squares,
             squares.write(mixed(options.beta, squares.at(inputs.squares), slope * slope)));
  Step step(graph, place, "", inputs);
  const Term count = step.count();
  const Term correction =
      sqrt(1.0 - power_of(options.beta, count)) / (1.0 - power_of(options.alpha, count));
  const Term rate = step.rate() * select(0 < count, correction, 1);
  const Term size = sqrt(step.at(result.squares)) + options.epsilon;
  const Term way = rate * step.at(result.momentum) / size;
  const Term moved = step.x() - way;
  TRY_ASSIGN(result.x, step.write(moved * (1 - options.norm_post)));
  return result;
}

Result<OptimizerResult> momentum(Graph& graph, std::string_view name, const OptimizerInputs& inputs,
                                 const MomentumOptions& options) {
  const Place place(graph, "Momentum", name);
  TRY(check_inputs(graph, place, inputs));
  OptimizerResult result;
  Step means(graph, place, "/momentum", inputs);
  const Term count = means.count();
  const Term share = select(0 < count, count.constant(options.beta), 1);
  const Term now = share * means.gradient(options.norm);
  TRY_ASSIGN(result.momentum, means.write(means.at(inputs.momentum) * options.alpha + now));
  Step step(graph, place, "", inputs);
  const Term mean = step.at(result.momentum);
  const Term way = options.nesterov ? step.gradient(options.norm) + mean * options.alpha : mean;
  const Term moved = step.rate() * way;
  TRY_ASSIGN(result.x, step.write(step.x() - moved));
  return result;
}

}  // namespace leat::ops
