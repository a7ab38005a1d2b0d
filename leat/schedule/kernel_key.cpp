// Everything that lowering reads of a node and of the placements of its tensors, one after the
// other; lists carry their length, so that no two nodes give the same bytes.
#include "leat/schedule/kernel_key.h"

#include <algorithm>
#include <bit>

#include "leat/schedule/byte_product.h"

namespace leat {

namespace {

/// A constant that is no word of a launch.
bool is_wide_constant(const ExprNode& expr) {
  const bool is_word =
      expr.type == ScalarType::f32 || expr.type == ScalarType::i32 || expr.type == ScalarType::b1;
  return expr.kind == ExprKind::constant && !is_word;
}

class KeyWriter {
 public:
  void add(int64_t value) { key_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void add(const std::string& text) {
    add_count(text);
    key_ += text;
  }
  template <typename List>
  void add_count(const List& list) {
    add(static_cast<int64_t>(list.size()));
  }
  void add(const ExprNode& expr) {
    add(static_cast<int64_t>(expr.kind));
    add(static_cast<int64_t>(expr.type));
    add(static_cast<int64_t>(expr.op));
    add(expr.index);
    // Of a constant a number of 32 bits is apart; of a load it is what stands for what is outside.
    if (expr.kind == ExprKind::load || is_wide_constant(expr)) {
      add(std::bit_cast<int64_t>(expr.number));
      add(expr.integer);
    }
    for (ExprId argument : expr.arguments) add(argument);
    add_count(expr.indices);
    for (ExprId index : expr.indices) add(index);
    add(expr.mask);
  }
  void add_tensor(const Schedule& schedule, TensorId id) {
    const Placement& placement = schedule.placements[id];
    add_count(schedule.graph.tensors[id].shape);
    add_count(placement.strides);
    add(static_cast<int64_t>(placement.storage));
    add(static_cast<int64_t>(placement.words_of));
    add(placement.packed ? 1 : 0);
  }
  void add_program(const Program& program) {
    if (program.op == ProgramOp::recurrence) add(program.recurrence);
    if (program.kernel) add(program.kernel->text);
    if (program.op == ProgramOp::normalise) {
      add(program.normalisation.centres ? 1 : 0);
      add(program.normalisation.has_bias ? 1 : 0);
      add(std::bit_cast<int64_t>(program.normalisation.epsilon));
    }
    if (program.op != ProgramOp::linear_attention) return;
    const LinearAttention& a = program.linear_attention;
    add(a.q_heads);
    add(a.kv_heads);
    for (const bool flag : {a.corrects, a.has_past, a.has_decay, a.has_beta}) add(flag ? 1 : 0);
    add(std::bit_cast<int64_t>(a.scale));
  }
  void add(const Recurrence& r) {
    add(static_cast<int64_t>(r.cell));
    for (const bool flag : {r.batch_first, r.has_initial, r.has_extra, r.has_lengths, r.is_reverse,
                            r.linear_before_reset, r.input_forget}) {
      add(flag ? 1 : 0);
    }
    add(std::bit_cast<int64_t>(r.clip));
    for (const auto& direction : r.activations) {
      for (const CellActivation& activation : direction) {
        add(static_cast<int64_t>(activation.function));
        add(std::bit_cast<int64_t>(activation.alpha));
        add(std::bit_cast<int64_t>(activation.beta));
      }
    }
  }
  void add(const ContractionOperand& operand) {
    add(operand.input);
    add_count(operand.index);
    for (bool bounded : operand.bounded) add(bounded ? 1 : 0);
    for (ExprId expr : {operand.load, operand.value, operand.inside}) add(expr);
  }

  std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

std::string structure_of(const Schedule& schedule, const Node& node) {
  KeyWriter key;
  key.add_count(node.extents);
  key.add_count(node.reduce);
  key.add(static_cast<int64_t>(node.reduce_op));
  key.add(node.element);
  key.add(node.program ? 1 : 0);
  if (const auto& program = node.program) {
    key.add(static_cast<int64_t>(program->op));
    key.add(static_cast<int64_t>(program->axis));
    for (const bool flag : {program->exclusive, program->reverse, program->ascending}) {
      key.add(flag ? 1 : 0);
    }
    key.add(static_cast<int64_t>(program->updates));
    key.add_program(*program);
    // Sums wrap, and elements are ordered, as the model's types are, however they are stored.
    for (const TensorId id :
         {node.inputs.empty() ? kNoTensor : node.inputs[0], node.results[0].output}) {
      if (id != kNoTensor) key.add(static_cast<int64_t>(schedule.graph.tensors[id].dtype));
    }
  }
  key.add(static_cast<int64_t>(node.exprs.size()));
  for (ExprId id = 0; id < node.exprs.size(); ++id) key.add(node.exprs.node(id));
  key.add_count(node.inputs);
  for (TensorId input : node.inputs) {
    // A tensor that stands twice is one argument.
    key.add(std::ranges::find(node.inputs, input) - node.inputs.begin());
    key.add_tensor(schedule, input);
  }
  key.add_count(node.results);
  for (const NodeResult& result : node.results) {
    key.add(result.value);
    key.add_count(result.index);
    for (const Affine& index : result.index) key.add_count(index.coefficients);
    key.add_tensor(schedule, result.output);
  }
  return key.take();
}

/// Of the product that find_contraction sees.
std::string structure_of(const Contraction& contraction) {
  KeyWriter key;
  for (const Shape* extents :
       {&contraction.batch, &contraction.m, &contraction.n, &contraction.k}) {
    key.add_count(*extents);
  }
  for (uint32_t axis : contraction.axes) key.add(axis);
  key.add(contraction.a);
  key.add(contraction.b);
  return key.take();
}

class NumberReader {
 public:
  explicit NumberReader(const TakeNumber& take) : take_(take) {}

  Numbers naturals(const std::vector<int64_t>& values) const {
    Numbers numbers;
    for (int64_t value : values) numbers.push_back(take_(value, true));
    return numbers;
  }
  NumberForm form(const Affine& affine) const {
    NumberForm form = {take_(affine.constant, false), {}};
    for (int64_t value : affine.coefficients) form.coefficients.push_back(take_(value, false));
    return form;
  }
  std::vector<NumberForm> forms(const std::vector<Affine>& list) const {
    std::vector<NumberForm> forms;
    for (const Affine& affine : list) forms.push_back(form(affine));
    return forms;
  }
  // The size of packed weights is the parameters' business.
  TensorNumbers tensor(const Schedule& schedule, TensorId id) const {
    const Placement& placement = schedule.placements[id];
    return {naturals(schedule.graph.tensors[id].shape), naturals(placement.strides),
            take_(placement.packed ? -1 : placement.element_count, false)};
  }
  Number constant(const ExprNode& expr) const {
    if (expr.kind != ExprKind::constant) return 0;
    switch (expr.type) {
      case ScalarType::f32:
        return take_(std::bit_cast<int32_t>(static_cast<float>(expr.number)), false);
      case ScalarType::i32: return take_(expr.integer, false);
      case ScalarType::b1: return take_(expr.integer, true);
      case ScalarType::i64:
      case ScalarType::u64:
      case ScalarType::f64: return 0;  // part of the structure
    }
    return 0;
  }

 private:
  const TakeNumber& take_;
};

void append(std::string& key, std::span<const int64_t> numbers) {
  key.append(reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes());
}

}  // namespace

NodeNumbers numbers_of(const Schedule& schedule, const Node& node, const TakeNumber& take) {
  const NumberReader reader(take);
  NodeNumbers numbers;
  numbers.extents = reader.naturals(node.extents);
  numbers.reduce = reader.naturals(node.reduce);
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    numbers.constants.push_back(reader.constant(node.exprs.node(id)));
  }
  for (TensorId input : node.inputs) numbers.inputs.push_back(reader.tensor(schedule, input));
  for (const NodeResult& result : node.results) {
    numbers.outputs.push_back(reader.tensor(schedule, result.output));
    numbers.result_index.push_back(reader.forms(result.index));
  }
  return numbers;
}

ContractionNumbers numbers_of(const Contraction& contraction, const TakeNumber& take) {
  const NumberReader reader(take);
  ContractionNumbers numbers;
  numbers.batch = reader.naturals(contraction.batch);
  numbers.m = reader.naturals(contraction.m);
  numbers.n = reader.naturals(contraction.n);
  numbers.k = reader.naturals(contraction.k);
  numbers.a_index = reader.forms(contraction.a.index);
  numbers.b_index = reader.forms(contraction.b.index);
  numbers.out_index = reader.forms(contraction.out_index);
  return numbers;
}

std::string kernel_key(const Schedule& schedule, const Node& node) {
  std::vector<int64_t> numbers;
  numbers_of(schedule, node, [&](int64_t value, bool) { return numbers.emplace_back(value); });
  std::string key = structure_of(schedule, node);
  append(key, numbers);
  // What may be chosen; the choice itself is in a step's key.
  if (schedule.precision == Precision::tf32) key += "tf32";
  return key;
}

StepKey step_key(const Schedule& schedule, const Step& step) {
  const Node& node = schedule.graph.nodes[step.node];
  StepKey key = {structure_of(schedule, node) + to_string(step.params), {}};
  const TakeNumber take = [&](int64_t value, bool) { return key.numbers.emplace_back(value); };
  numbers_of(schedule, node, take);
  if (!std::holds_alternative<ContractionParams>(step.params)) return key;
  const auto contraction = find_contraction(schedule.graph, node);
  CHECK(contraction.has_value());
  key.structure += structure_of(*contraction);
  if (std::get<ContractionParams>(step.params).by_bytes()) {
    // What is summed beside hangs on numbers, which may come with the launch.
    const auto bytes = byte_product(schedule, node, *contraction);
    CHECK(bytes.has_value());
    key.structure += bytes->sums_columns ? 'c' : '-';
    key.structure += bytes->sums_rows ? 'r' : '-';
  }
  numbers_of(*contraction, take);
  return key;
}

}  // namespace leat
