// ONNX operators that hold graphs. All of it is decided at import: a loop becomes its turns one
// after the other, and where only the device will know a condition both sides are computed and one
// is chosen, element by element. Source: ONNX operator schemas If 1/11/13, Loop 1/11/13, Scan 9/11.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

using Values = std::vector<OnnxValue>;

/// See NodeHost::run_body.
constexpr int64_t kThenBranch = 0;
constexpr int64_t kElseBranch = 1;

const Tensor& tensor_of(const OnnxNode& node, const OnnxValue& value) {
  return node.graph().tensors[value.tensor];
}

/// Input `index` as a list of one element's truth.
Result<bool> truth_of(const OnnxNode& node, const HostTensor& value) {
  if (element_count(value.shape) == 1) return value.number(0) != 0;
  return invalid(fmt::format("The condition of {} has shape {} instead of one element.", node.op(),
                             to_string(value.shape)));
}

/// The condition that only the device knows, of rank 0, so that it goes with any shape.
Result<TensorId> scalar_condition(const OnnxNode& node, std::string_view suffix, TensorId given) {
  Graph& graph = node.graph();
  if (graph.tensors[given].shape.empty()) return given;
  return ops::reshape(graph, fmt::format("{}/{}", node.name(), suffix), given, {});
}

/// Whether the device can choose between the two: one value, or tensors of one type and shape.
bool may_choose(const OnnxNode& node, const OnnxValue& a, const OnnxValue& b) {
  using Kind = OnnxValue::Kind;
  if (a.kind != Kind::tensor || b.kind != Kind::tensor) return false;
  if (a.tensor == b.tensor) return true;
  return a.tensor != kNoTensor && b.tensor != kNoTensor &&
         tensor_of(node, a).dtype == tensor_of(node, b).dtype &&
         tensor_of(node, a).shape == tensor_of(node, b).shape;
}

Error no_choice(const OnnxNode& node) {
  return unsupported(fmt::format(
      "{} has a condition that is computed at run time, and values of several types or shapes.",
      node.op()));
}

/// condition ? a : b, of values that only the device knows, and between which it may choose.
Result<OnnxValue> choose(const OnnxNode& node, std::string_view suffix, TensorId condition,
                         const OnnxValue& a, const OnnxValue& b) {
  if (a.tensor == b.tensor) return a;
  Graph& graph = node.graph();
  TRY_ASSIGN(const TensorId chosen, ops::where(graph, fmt::format("{}/{}", node.name(), suffix),
                                               condition, a.tensor, b.tensor));
  return OnnxValue(chosen);
}

/// Computes both branches, and chooses on the device. Nothing, where the condition has to be known
/// for it and a run may tell it: a branch wants to know values, or the device cannot choose.
Result<std::optional<Values>> choose_of_both(OnnxNode& node, const onnx::GraphProto& then_body,
                                             const onnx::GraphProto& else_body) {
  TRY_ASSIGN(const TensorId condition, scalar_condition(node, "condition", node.input(0)));
  const size_t checks = node.graph().checks.size();
  const Result<Values> then_values = node.run(then_body, {}, kThenBranch);
  const Result<Values> else_values =
      then_values ? node.run(else_body, {}, kElseBranch) : then_values;
  node.graph().checks.resize(checks);  // the indices of what is not chosen may be anything
  if (!else_values) {
    if (node.is_in_parts() && node.host().wants_values()) return std::optional<Values>();
    return else_values.error();
  }
  Values chosen;
  for (size_t i = 0; i < std::min(then_values->size(), else_values->size()); ++i) {
    const OnnxValue &a = (*then_values)[i], &b = (*else_values)[i];
    if (!may_choose(node, a, b)) {
      if (node.is_in_parts()) return std::optional<Values>();
      return no_choice(node);
    }
    TRY_ASSIGN(OnnxValue value, choose(node, fmt::format("{}", i), condition, a, b));
    chosen.push_back(std::move(value));
  }
  return std::optional(std::move(chosen));
}

Result<TensorId> import_if(OnnxNode& node) {
  const onnx::GraphProto* then_body = node.body("then_branch");
  const onnx::GraphProto* else_body = node.body("else_branch");
  node.want_tensors({0});
  const HostTensor* known = node.constant_if_known(0, "condition");
  if (node.failure()) return *node.failure();
  std::optional<Values> chosen;
  if (!known) {
    TRY_ASSIGN(chosen, choose_of_both(node, *then_body, *else_body));
    if (!chosen) known = node.constant(0, "condition");
    if (node.failure()) return *node.failure();
  }
  if (known) {
    TRY_ASSIGN(const bool condition, truth_of(node, *known));
    TRY_ASSIGN(chosen, condition ? node.run(*then_body, {}, kThenBranch)
                                 : node.run(*else_body, {}, kElseBranch));
  }
  if (chosen->size() < node.output_count()) {
    return invalid(fmt::format("A branch of If has {} outputs where {} are asked for.",
                               chosen->size(), node.output_count()));
  }
  for (size_t i = 0; i < node.output_count(); ++i) node.set_output(i, (*chosen)[i]);
  return kNoTensor;
}

// --- Loop and Scan -------------------------------------------------------------------------------

/// What a body gives in each turn, to be one tensor.
struct Stack {
  int64_t axis = 0;
  bool reverse = false;
  std::vector<TensorId> parts = {};
};

/// The parts along a new axis; of none, what one turn of `body` would have given, without elements.
Result<TensorId> stacked(const OnnxNode& node, size_t output, Stack stack,
                         const OnnxValue& example) {
  Graph& graph = node.graph();
  const std::string name = fmt::format("{}/stack{}", node.name(), output);
  const bool is_empty = stack.parts.empty();
  if (is_empty) stack.parts.push_back(example.tensor);
  if (stack.reverse) std::ranges::reverse(stack.parts);
  for (size_t i = 0; i < stack.parts.size(); ++i) {
    TRY_ASSIGN(stack.parts[i],
               ops::unsqueeze(graph, fmt::format("{}/{}", name, i), stack.parts[i], {stack.axis}));
  }
  if (is_empty) {
    return ops::slice(graph, name, stack.parts[0],
                      {.starts = {0}, .ends = {0}, .axes = {stack.axis}});
  }
  return ops::concat(graph, name, stack.parts, stack.axis);
}

/// Takes the results of one turn: states first, then an element of each stack.
Result<void> take_turn(const OnnxNode& node, std::span<const OnnxValue> results, Values& states,
                       std::vector<Stack>& stacks) {
  if (results.size() != states.size() + stacks.size()) {
    return invalid(fmt::format("The body of {} has {} results where {} are expected.", node.op(),
                               results.size(), states.size() + stacks.size()));
  }
  for (size_t i = 0; i < stacks.size(); ++i) {
    const OnnxValue& part = results[states.size() + i];
    if (part.tensor == kNoTensor) {
      return unsupported(fmt::format("{} stacks something that is no tensor.", node.op()));
    }
    stacks[i].parts.push_back(part.tensor);
  }
  std::ranges::copy(results.first(states.size()), states.begin());
  return {};
}

Result<TensorId> give_outputs(OnnxNode& node, const Values& states, std::span<const Stack> stacks,
                              std::span<const OnnxValue> examples) {
  for (size_t i = 0; i < node.output_count(); ++i) {
    if (i < states.size()) {
      node.set_output(i, states[i]);
    } else if (node.wants_output(i)) {
      const size_t stack = i - states.size();
      if (stack >= stacks.size()) {
        return invalid(fmt::format("The body of {} has no result for output {}.", node.op(), i));
      }
      const OnnxValue example = i < examples.size() ? examples[i] : OnnxValue();
      if (stacks[stack].parts.empty() && example.tensor == kNoTensor) {
        return invalid(fmt::format("The body of {} gives no tensor to stack.", node.op()));
      }
      TRY_ASSIGN(const TensorId tensor, stacked(node, i, stacks[stack], example));
      node.set_output(i, tensor);
    }
  }
  return kNoTensor;
}

/// The turns of a Loop. A condition that only the device knows makes states keep their values once
/// it is false.
class Turns {
 public:
  Turns(OnnxNode& node, const onnx::GraphProto& body) : node_(node), body_(body) {
    const auto inputs = node.values();
    if (inputs.size() > 2) states_.assign(inputs.begin() + 2, inputs.end());
    const size_t results = static_cast<size_t>(body.output_size());
    stacks_.resize(results - std::min(results, states_.size() + 1));
  }

  Result<TensorId> run() {
    const int64_t limit = node_.constant_integer(0, "number of turns", kForEver);
    if (node_.failure()) return *node_.failure();
    // A loop that only its condition ends is written with a bound that says nothing.
    is_bounded_ = node_.has_input(0) && (!node_.is_in_parts() || limit <= kTurnsWrittenOutMax);
    TRY_ASSIGN(int64_t turn, begin());
    for (; turn < limit && is_going_; ++turn) TRY(take_or_leave(turn));
    Values examples;
    if (wants_stacks() && has_no_parts()) {
      TRY_ASSIGN(examples, results_of(0));
      examples.erase(examples.begin());
    }
    return give_outputs(node_, states_, stacks_, examples);
  }

 private:
  static constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kTurnsWrittenOutMax = 1024;

  /// Of a stack that is not wanted no parts are kept.
  bool has_no_parts() const {
    for (size_t i = 0; i < stacks_.size(); ++i) {
      if (node_.wants_output(states_.size() + i)) return stacks_[i].parts.empty();
    }
    return false;
  }

  /// The first turn: of all, or behind those that parts before have taken.
  Result<int64_t> begin() {
    const LoopTurn* const left = node_.host().left_turn();
    const HostTensor* known = nullptr;
    if (left != nullptr) {
      states_ = left->states;
      for (size_t i = 0; i < stacks_.size(); ++i) stacks_[i].parts = left->stacks[i];
      going_ = left->going;
      if (going_ != kNoTensor) known = node_.graph().tensors[going_].constant.get();
      if (known) going_ = kNoTensor;
    } else {
      known = node_.constant_if_known(1, "condition");
      if (node_.failure()) return *node_.failure();
      if (!known && node_.has_input(1)) {
        TRY_ASSIGN(going_, scalar_condition(node_, "start", node_.input(1)));
      }
    }
    if (known) {
      TRY_ASSIGN(is_going_, truth_of(node_, *known));
    }
    return left == nullptr ? 0 : left->number;
  }

  /// Where a value is wanted that a run has to tell, a part that follows goes on with this turn.
  Result<void> take_or_leave(int64_t turn) {
    LoopTurn here = {.number = turn, .going = going_, .states = states_, .stacks = {}};
    node_.host().begin_turn();
    const Result<void> taken = take(turn);
    if (taken || !node_.host().may_wait()) return taken;
    here.stacks.resize(stacks_.size());
    for (size_t i = 0; i < stacks_.size(); ++i) {
      if (!node_.wants_output(states_.size() + i)) continue;
      stacks_[i].parts.resize(static_cast<size_t>(turn));
      here.stacks[i] = std::move(stacks_[i].parts);
    }
    node_.host().leave_turn(std::move(here));
    return taken;
  }

  bool wants_stacks() const {
    bool wants = false;
    for (size_t i = states_.size(); i < node_.output_count(); ++i) wants |= node_.wants_output(i);
    return wants;
  }

  Result<Values> results_of(int64_t turn) {
    Graph& graph = node_.graph();
    HostTensor number = HostTensor::zeros(DType::i64, {});
    number.set_integer(0, turn);
    Values inputs = {
        graph.add_constant(fmt::format("{}/turn{}", node_.name(), turn), std::move(number))};
    const std::string name = fmt::format("{}/going{}", node_.name(), turn);
    inputs.push_back(going_ != kNoTensor ? going_ : ops::scalar(graph, name, DType::boolean, 1));
    inputs.insert(inputs.end(), states_.begin(), states_.end());
    return node_.run(body_, inputs, turn);
  }

  /// Whether this turn is taken is told by a run.
  Result<void> learn_condition(int64_t turn) {
    const HostTensor* told = node_.told(going_, "condition", turn);
    if (node_.failure()) return *node_.failure();
    TRY_ASSIGN(is_going_, truth_of(node_, *told));
    going_ = kNoTensor;
    return {};
  }

  /// Keeps the states of before where the turn is not to be taken.
  Result<void> choose_states(int64_t turn, const Values& before) {
    for (size_t i = 0; i < states_.size(); ++i) {
      if (!may_choose(node_, states_[i], before[i])) {
        if (!node_.is_in_parts()) return no_choice(node_);
        TRY(learn_condition(turn));
        if (!is_going_) states_ = before;  // else those that were chosen are right already
        return {};
      }
      TRY_ASSIGN(states_[i],
                 choose(node_, fmt::format("turn{}_{}", turn, i), going_, states_[i], before[i]));
    }
    return {};
  }

  /// Where each turn has to be known before it is taken.
  Result<void> know_turn(int64_t turn) {
    if (going_ == kNoTensor || (is_bounded_ && !wants_stacks())) return {};
    if (node_.is_in_parts()) return learn_condition(turn);
    return unsupported(
        "The condition of Loop is computed at run time, so that nobody knows how many turns there "
        "will be; it needs a constant number of them, and no results that are stacked.");
  }

  Result<void> take(int64_t turn) {
    TRY(know_turn(turn));
    if (!is_going_) return {};
    const size_t checks = node_.graph().checks.size();
    Result<Values> given = results_of(turn);
    // The indices of a turn that may not be taken may be anything.
    if (going_ != kNoTensor) node_.graph().checks.resize(checks);
    if (!given && going_ != kNoTensor && node_.is_in_parts()) {
      // What a turn asks for, or what is wrong in it, counts only where it is taken.
      TRY(learn_condition(turn));
      if (!is_going_) return {};
      given = results_of(turn);
    }
    if (!given) return given.error();
    const Values& results = *given;
    if (results.empty() || results[0].tensor == kNoTensor) {
      return invalid("The body of Loop gives no condition.");
    }
    const Values before = states_;
    TRY(take_turn(node_, std::span(results).subspan(1), states_, stacks_));
    if (going_ != kNoTensor) TRY(choose_states(turn, before));
    if (!is_going_) return {};
    const HostTensor* known = tensor_of(node_, results[0]).constant.get();
    if (known) {
      TRY_ASSIGN(is_going_, truth_of(node_, *known));
      return {};
    }
    TRY_ASSIGN(const TensorId on,
               scalar_condition(node_, fmt::format("condition{}", turn), results[0].tensor));
    if (going_ == kNoTensor) {
      going_ = on;
    } else {
      TRY_ASSIGN(going_, ops::binary(node_.graph(), fmt::format("{}/on{}", node_.name(), turn),
                                     ScalarOp::logical_and, going_, on));
    }
    return {};
  }

  OnnxNode& node_;
  const onnx::GraphProto& body_;
  Values states_;
  std::vector<Stack> stacks_;
  bool is_bounded_ = false;
  bool is_going_ = true;
  TensorId going_ = kNoTensor;  // where only the device knows
};

Result<TensorId> import_loop(OnnxNode& node) {
  const onnx::GraphProto* body = node.body("body");
  node.want_tensors({0, 1});
  if (node.failure()) return *node.failure();
  return Turns(node, *body).run();
}

/// An attribute of one number for each of `count` things; 0 when it is left out.
Ints per_thing(OnnxNode& node, std::string_view attribute, size_t count) {
  Ints values = node.integers(attribute);
  if (values.empty()) values.resize(count, 0);
  if (values.size() != count) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"{}\" has {} entries instead of {}.", attribute,
                          values.size(), count));
    values.resize(count, 0);
  }
  return values;
}

struct Scanned {
  TensorId tensor = kNoTensor;
  size_t axis = 0;
  bool reverse = false;
};

Result<std::vector<Scanned>> scanned_inputs(OnnxNode& node, size_t states, size_t count,
                                            int64_t& turns) {
  const Ints axes = per_thing(node, "scan_input_axes", count);
  const Ints directions = per_thing(node, "scan_input_directions", count);
  if (node.failure()) return *node.failure();
  std::vector<Scanned> scanned;
  for (size_t i = 0; i < count; ++i) {
    const Shape shape = node.shape(states + i);
    const auto rank = static_cast<int64_t>(shape.size());
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank) {
      return invalid(
          fmt::format("Scan axis ({}) is not one of the {} of its input.", axes[i], rank));
    }
    const int64_t extent = shape[static_cast<size_t>(axis)];
    if (i > 0 && extent != turns) {
      return invalid(
          fmt::format("Inputs of Scan have {} and {} elements along their axes.", turns, extent));
    }
    turns = extent;
    scanned.push_back({node.input(states + i), static_cast<size_t>(axis), directions[i] != 0});
  }
  return scanned;
}

Result<TensorId> element_at(OnnxNode& node, const Scanned& scanned, std::string_view suffix,
                            int64_t at) {
  Graph& graph = node.graph();
  const auto axis = static_cast<int64_t>(scanned.axis);
  const std::string name = fmt::format("{}/{}", node.name(), suffix);
  TRY_ASSIGN(const TensorId part, ops::slice(graph, name + "_slice", scanned.tensor,
                                             {.starts = {at}, .ends = {at + 1}, .axes = {axis}}));
  return ops::squeeze(graph, name, part, {axis});
}

Result<TensorId> import_scan(OnnxNode& node) {
  const onnx::GraphProto* body = node.body("body");
  const int64_t count = node.required_integer("num_scan_inputs");
  if (node.failure()) return *node.failure();
  if (count < 1 || count > static_cast<int64_t>(node.input_count())) {
    return invalid(fmt::format("Scan of {} inputs cannot have num_scan_inputs ({}).",
                               node.input_count(), count));
  }
  const size_t inputs = node.input_count();
  const size_t state_count = inputs - static_cast<size_t>(count);
  for (size_t i = 0; i < inputs; ++i) {
    if (!node.has_input(i)) return invalid(fmt::format("Input {} of Scan is missing.", i));
  }
  int64_t turns = 0;
  TRY_ASSIGN(const std::vector<Scanned> scanned,
             scanned_inputs(node, state_count, static_cast<size_t>(count), turns));
  const size_t outputs = static_cast<size_t>(body->output_size());
  const size_t stack_count = outputs - std::min(outputs, state_count);
  const Ints axes = per_thing(node, "scan_output_axes", stack_count);
  const Ints directions = per_thing(node, "scan_output_directions", stack_count);
  if (node.failure()) return *node.failure();
  std::vector<Stack> stacks;
  for (size_t i = 0; i < stack_count; ++i) stacks.push_back({axes[i], directions[i] != 0});
  Values states(node.values().begin(), node.values().begin() + static_cast<int64_t>(state_count));
  if (turns == 0) return unsupported("Scan over an axis without elements.");
  for (int64_t turn = 0; turn < turns; ++turn) {
    Values given = states;
    for (size_t i = 0; i < scanned.size(); ++i) {
      const int64_t at = scanned[i].reverse ? turns - 1 - turn : turn;
      TRY_ASSIGN(const TensorId element,
                 element_at(node, scanned[i], fmt::format("turn{}_{}", turn, i), at));
      given.push_back(element);
    }
    TRY_ASSIGN(const Values results, node.run(*body, given, turn));
    TRY(take_turn(node, results, states, stacks));
  }
  return give_outputs(node, states, stacks, {});
}

constexpr OnnxOperator kOperators[] = {
    {.name = "If",
     .opset_min = 6,
     .inputs_max = 1,
     .outputs_max = kAnyNumber,
     .types = "all",
     .import = import_if,
     .remark = "both branches are computed, where the condition is",
     .takes_sequences = true},
    {.name = "Loop",
     .opset_min = 6,
     .inputs_min = 0,
     .inputs_max = kAnyNumber,
     .outputs_max = kAnyNumber,
     .types = "all",
     .import = import_loop,
     .remark = "where only a run tells how many turns, each is a part of the model",
     .takes_sequences = true},
    {.name = "Scan",
     .opset_min = 9,
     .inputs_max = kAnyNumber,
     .outputs_max = kAnyNumber,
     .types = "all",
     .import = import_scan},
};

}  // namespace

std::span<const OnnxOperator> control_operators() { return kOperators; }

}  // namespace leat::onnx_ops
