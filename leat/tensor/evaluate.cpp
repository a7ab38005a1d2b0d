// The reference evaluator: loops over coordinates, double and 64-bit arithmetic, nothing clever but
// two things that make constant folding bearable: parts of an expression that do not depend on the
// reduce axes are computed once per output element, and a contraction's index maps are turned into
// flat offsets beforehand.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/base/check.h"
#include "leat/tensor/contraction.h"
#include "leat/tensor/scalar_math.h"

namespace leat {
namespace {

using Inputs = std::span<const HostTensor* const>;

/// Calls body(coordinates) for every point of `extents`, the last axis fastest.
template <typename Body>
void for_each_point(const Shape& extents, std::span<int64_t> coordinates, Body&& body) {
  const int64_t count = element_count(extents);
  for (int64_t& coordinate : coordinates.first(extents.size())) coordinate = 0;
  for (int64_t i = 0; i < count; ++i) {
    body();
    for (size_t d = extents.size(); d > 0; --d) {
      if (++coordinates[d - 1] < extents[d - 1]) break;
      coordinates[d - 1] = 0;
    }
  }
}

/// Computes expressions of one node at given coordinates.
class ExprEvaluator {
 public:
  ExprEvaluator(const Node& node, Inputs inputs)
      : tree_(node.exprs), inputs_(inputs), values_(tree_.size()), kinds_(tree_.size()) {
    for (const HostTensor* input : inputs) strides_.push_back(row_major_strides(input->shape));
    const uint32_t rank = static_cast<uint32_t>(node.extents.size());
    if (!is_map(node)) mark(node.element, kInElement);
    for (const NodeResult& result : node.results) mark(result.value, kInResult);
    for (ExprId id = 0; id < tree_.size(); ++id) classify(id, rank);
  }

  /// Of all axes, the reduced ones last.
  std::vector<int64_t> coordinates;
  ScalarValue accumulator;

  /// To be called after the output coordinates changed, in this order: begin, (element)*, finish,
  /// (value)*.
  void begin() { run(outer_); }
  ScalarValue element(ExprId id) { return run(inner_), values_[id]; }
  void finish() { run(final_); }
  ScalarValue value(ExprId id) const { return values_[id]; }

  /// True once a load without a mask, or with a true one, left its tensor.
  bool left_tensor() const { return left_tensor_; }

 private:
  static constexpr uint8_t kInElement = 1;
  static constexpr uint8_t kInResult = 2;
  static constexpr uint8_t kUsesReduceAxis = 4;
  static constexpr uint8_t kUsesAccumulator = 8;

  template <typename Visit>
  void for_each_operand(const ExprNode& node, Visit&& visit) {
    for (ExprId argument : node.arguments) {
      if (argument != kNoExpr) visit(argument);
    }
    for (ExprId index : node.indices) visit(index);
    if (node.mask != kNoExpr) visit(node.mask);
  }

  void mark(ExprId root, uint8_t flag) {
    kinds_[root] |= flag;
    for (size_t i = root + 1; i > 0; --i) {
      if ((kinds_[i - 1] & flag) == 0) continue;
      for_each_operand(tree_.node(static_cast<ExprId>(i - 1)),
                       [&](ExprId operand) { kinds_[operand] |= flag; });
    }
  }

  void classify(ExprId id, uint32_t rank) {
    const ExprNode& node = tree_.node(id);
    uint8_t& kind = kinds_[id];
    if ((kind & (kInElement | kInResult)) == 0) return;
    if (node.kind == ExprKind::axis && node.index >= rank) kind |= kUsesReduceAxis;
    if (node.kind == ExprKind::accumulator) kind |= kUsesAccumulator;
    for_each_operand(node, [&](ExprId operand) {
      kind = static_cast<uint8_t>(kind | (kinds_[operand] & (kUsesReduceAxis | kUsesAccumulator)));
    });
    if (kind & kUsesAccumulator) {
      final_.push_back(id);
    } else if (kind & kUsesReduceAxis) {
      inner_.push_back(id);
    } else {
      outer_.push_back(id);
    }
  }

  void run(const std::vector<ExprId>& ids) {
    for (ExprId id : ids) values_[id] = compute(tree_.node(id));
  }

  ScalarValue compute(const ExprNode& node) {
    ScalarValue value;
    switch (node.kind) {
      case ExprKind::constant: value = {node.number, node.integer}; break;
      case ExprKind::axis: value.integer = coordinates[node.index]; break;
      case ExprKind::accumulator: value = accumulator; break;
      case ExprKind::load: value = load(node); break;
      case ExprKind::apply: {
        std::array<ScalarValue, 3> operands;
        for (size_t i = 0; i < 3; ++i) {
          if (node.arguments[i] != kNoExpr) operands[i] = values_[node.arguments[i]];
        }
        const ExprId typed = node.arguments[node.op == ScalarOp::select ? 1 : 0];
        value = apply_scalar(node.op, tree_.type(typed), operands);
        break;
      }
    }
    return value;
  }

  ScalarValue load(const ExprNode& node) {
    ScalarValue value;
    if (node.mask != kNoExpr && values_[node.mask].integer == 0) {
      return {node.number, node.integer};
    }
    const HostTensor& input = *inputs_[node.index];
    int64_t flat = 0;
    for (size_t d = 0; d < node.indices.size(); ++d) {
      const int64_t index = values_[node.indices[d]].integer;
      if (index < 0 || index >= input.shape[d]) return left_tensor_ = true, value;
      flat += index * strides_[node.index][d];
    }
    if (is_float(node.type)) {
      value.number = input.number(flat);
    } else {
      value.integer = input.integer(flat);
    }
    return value;
  }

  const ExprTree& tree_;
  Inputs inputs_;
  std::vector<std::vector<int64_t>> strides_;
  std::vector<ScalarValue> values_;
  std::vector<uint8_t> kinds_;
  std::vector<ExprId> outer_, inner_, final_;
  bool left_tensor_ = false;
};

/// Writes the results of a node to their regions of the outputs.
class RegionWriter {
 public:
  RegionWriter(const Node& node, std::span<HostTensor* const> outputs)
      : node_(node), outputs_(outputs) {
    for (const HostTensor* output : outputs) strides_.push_back(row_major_strides(output->shape));
  }

  void write(const ExprEvaluator& evaluator) {
    for (size_t r = 0; r < outputs_.size(); ++r) {
      const NodeResult& result = node_.results[r];
      const ScalarValue value = evaluator.value(result.value);
      const int64_t flat = flat_of(r, evaluator.coordinates);
      if (is_float(node_.exprs.type(result.value))) {
        outputs_[r]->set_number(flat, value.number);
      } else {
        outputs_[r]->set_integer(flat, value.integer);
      }
    }
  }

 private:
  int64_t flat_of(size_t result, std::span<const int64_t> coordinates) const {
    int64_t flat = 0;
    for (size_t d = 0; d < strides_[result].size(); ++d) {
      const Affine& index = node_.results[result].index[d];
      int64_t at = index.constant;
      for (size_t i = 0; i < index.coefficients.size(); ++i) {
        at += index.coefficients[i] * coordinates[i];
      }
      flat += at * strides_[result][d];
    }
    return flat;
  }

  const Node& node_;
  std::span<HostTensor* const> outputs_;
  std::vector<std::vector<int64_t>> strides_;
};

// --- Loops
// -----------------------------------------------------------------------------------

ScalarValue initial_value(ReduceOp op, ScalarType type) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (op) {
    case ReduceOp::none:
    case ReduceOp::sum: return {.number = 0, .integer = 0};
    case ReduceOp::product: return {.number = 1, .integer = 1};
    case ReduceOp::min:
      return {.number = kInfinity, .integer = is_float(type) ? 0 : truncate_to(type, kInfinity)};
    case ReduceOp::max:
    case ReduceOp::max_number:
      return {.number = -kInfinity, .integer = is_float(type) ? 0 : truncate_to(type, -kInfinity)};
  }
  return {};
}

ScalarOp scalar_op_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::none:
    case ReduceOp::sum: return ScalarOp::add;
    case ReduceOp::product: return ScalarOp::mul;
    case ReduceOp::min: return ScalarOp::min;
    case ReduceOp::max:
    case ReduceOp::max_number: return ScalarOp::max;
  }
  return ScalarOp::add;
}

/// The reduction at the outer coordinates that the evaluator has.
class ReduceLoop {
 public:
  ReduceLoop(const Node& node, ExprEvaluator& evaluator)
      : node_(node),
        evaluator_(evaluator),
        combine_(scalar_op_of(node.reduce_op)),
        type_(is_map(node) ? ScalarType::f32 : node.exprs.type(node.element)),
        initial_(initial_value(node.reduce_op, type_)) {}

  void run() {
    evaluator_.accumulator = initial_;
    evaluator_.begin();
    if (!is_map(node_)) {
      const std::span<int64_t> coordinates(evaluator_.coordinates);
      for_each_point(node_.reduce, coordinates.subspan(node_.extents.size()), [&] {
        const ScalarValue element = evaluator_.element(node_.element);
        if (node_.reduce_op == ReduceOp::max_number && std::isnan(element.number)) return;
        evaluator_.accumulator =
            apply_scalar(combine_, type_, {evaluator_.accumulator, element, ScalarValue()});
      });
    }
    evaluator_.finish();
  }

 private:
  const Node& node_;
  ExprEvaluator& evaluator_;
  ScalarOp combine_;
  ScalarType type_;
  ScalarValue initial_;
};

void evaluate_loops(const Node& node, ExprEvaluator& evaluator, RegionWriter& writer) {
  const size_t rank = node.extents.size();
  evaluator.coordinates.assign(rank + node.reduce.size(), 0);
  ReduceLoop loop(node, evaluator);
  for_each_point(node.extents, std::span(evaluator.coordinates).first(rank), [&] {
    loop.run();
    writer.write(evaluator);
  });
}

// --- Contraction
// ----------------------------------------------------------------------------------

/// One factor with its tensor's values and, per point of k, what k adds to its index.
class Factor {
 public:
  Factor(const ContractionOperand& operand, const HostTensor& tensor, size_t first_k,
         const Shape& k)
      : operand_(operand), shape_(tensor.shape), strides_(row_major_strides(tensor.shape)) {
    for (size_t d = 0; d < shape_.size(); ++d) {
      if (operand.bounded[d]) bounded_.push_back(d);
    }
    const int64_t count = element_count(shape_);
    values_.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) values_.push_back(tensor.number(i));
    std::vector<int64_t> coordinates(k.size(), 0);
    for_each_point(k, coordinates, [&] { add_k_point(coordinates, first_k); });
    base_bounded_.resize(bounded_.size());
  }

  /// Takes the values of all axes but those of k.
  void move_to(std::span<const int64_t> axes) {
    base_flat_ = 0;
    size_t bounded = 0;
    for (size_t d = 0; d < shape_.size(); ++d) {
      int64_t index = operand_.index[d].constant;
      for (size_t i = 0; i < axes.size(); ++i) {
        index += operand_.index[d].coefficients[i] * axes[i];
      }
      base_flat_ += index * strides_[d];
      if (operand_.bounded[d]) base_bounded_[bounded++] = index;
    }
  }

  double value(size_t k) const {
    for (size_t i = 0; i < bounded_.size(); ++i) {
      const int64_t index = base_bounded_[i] + k_bounded_[k * bounded_.size() + i];
      if (index < 0 || index >= shape_[bounded_[i]]) return 0;
    }
    return values_[static_cast<size_t>(base_flat_ + k_flat_[k])];
  }

 private:
  void add_k_point(std::span<const int64_t> coordinates, size_t first_k) {
    int64_t flat = 0;
    for (size_t d = 0; d < shape_.size(); ++d) {
      int64_t index = 0;
      for (size_t i = 0; i < coordinates.size(); ++i) {
        index += operand_.index[d].coefficients[first_k + i] * coordinates[i];
      }
      flat += index * strides_[d];
      if (operand_.bounded[d]) k_bounded_.push_back(index);
    }
    k_flat_.push_back(flat);
  }

  const ContractionOperand& operand_;
  Shape shape_;
  std::vector<int64_t> strides_;
  std::vector<double> values_;
  std::vector<size_t> bounded_;
  std::vector<int64_t> k_flat_, k_bounded_, base_bounded_;
  int64_t base_flat_ = 0;
};

void evaluate_contraction(const Node& node, const Contraction& contraction, Inputs inputs,
                          ExprEvaluator& evaluator, RegionWriter& writer) {
  Shape outer = contraction.batch;
  outer.insert(outer.end(), contraction.m.begin(), contraction.m.end());
  outer.insert(outer.end(), contraction.n.begin(), contraction.n.end());
  Factor a(contraction.a, *inputs[contraction.a.input], outer.size(), contraction.k);
  Factor b(contraction.b, *inputs[contraction.b.input], outer.size(), contraction.k);
  const size_t k_count = static_cast<size_t>(element_count(contraction.k));
  evaluator.coordinates.assign(node.extents.size() + node.reduce.size(), 0);
  std::vector<int64_t> axes(outer.size(), 0);
  for_each_point(outer, axes, [&] {
    a.move_to(axes);
    b.move_to(axes);
    double sum = 0;
    for (size_t k = 0; k < k_count; ++k) sum += a.value(k) * b.value(k);
    for (size_t i = 0; i < axes.size(); ++i) evaluator.coordinates[contraction.axes[i]] = axes[i];
    evaluator.accumulator.number = sum;
    evaluator.begin();
    evaluator.finish();
    writer.write(evaluator);
  });
}

Error wrong_value(const Tensor& tensor, const HostTensor& value) {
  return Error(ErrorKind::invalid_argument,
               fmt::format("The value's dtype and shape ({} {}) are not those of tensor \"{}\" "
                           "({} {}).",
                           name_of(value.dtype), to_string(value.shape), tensor.name,
                           name_of(tensor.dtype), to_string(tensor.shape)));
}

bool fits(const Tensor& tensor, const HostTensor& value) {
  const int64_t size_bytes = element_count(value.shape) * size_bytes_of(value.dtype);
  return tensor.dtype == value.dtype && tensor.shape == value.shape &&
         static_cast<size_t>(size_bytes) == value.bytes.size();
}

Result<void> check_inputs(const Graph& graph, const Node& node, Inputs inputs) {
  CHECK(inputs.size() == node.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& tensor = graph.tensors[node.inputs[i]];
    if (!fits(tensor, *inputs[i])) return wrong_value(tensor, *inputs[i]);
  }
  return {};
}

Result<void> check_inside(const Node& node, const ExprEvaluator& evaluator) {
  if (!evaluator.left_tensor()) return {};
  return Error(ErrorKind::internal,
               fmt::format("Node \"{}\" ({}) reads outside an input.", node.name, node.op));
}

}  // namespace

Result<void> evaluate_node(const Graph& graph, const Node& node,
                           std::span<const HostTensor* const> inputs,
                           std::span<HostTensor* const> outputs) {
  CHECK(outputs.size() == node.results.size());
  TRY(check_inputs(graph, node, inputs));
  if (node.program && node.program->kernel) return node.program->kernel->interpret(inputs, outputs);
  if (node.program) {
    evaluate_program(node, inputs, outputs);
    return {};
  }
  ExprEvaluator evaluator(node, inputs);
  RegionWriter writer(node, outputs);
  const auto contraction = find_contraction(graph, node);
  const bool sums_floats = contraction && contraction->type == ScalarType::f32;
  if (sums_floats && contraction->a.is_plain() && contraction->b.is_plain()) {
    evaluate_contraction(node, *contraction, inputs, evaluator, writer);
  } else {
    evaluate_loops(node, evaluator, writer);
  }
  return check_inside(node, evaluator);
}

Result<std::vector<std::vector<double>>> evaluate_points(const Graph& graph, const Node& node,
                                                         std::span<const HostTensor* const> inputs,
                                                         std::span<const Shape> points) {
  CHECK(!node.program);
  TRY(check_inputs(graph, node, inputs));
  ExprEvaluator evaluator(node, inputs);
  evaluator.coordinates.assign(node.extents.size() + node.reduce.size(), 0);
  ReduceLoop loop(node, evaluator);
  std::vector<std::vector<double>> values;
  for (const Shape& point : points) {
    CHECK(point.size() == node.extents.size());
    std::ranges::copy(point, evaluator.coordinates.begin());
    loop.run();
    std::vector<double>& of_point = values.emplace_back();
    for (const NodeResult& result : node.results) {
      const ScalarValue value = evaluator.value(result.value);
      const bool is_number = is_float(node.exprs.type(result.value));
      of_point.push_back(is_number ? value.number : static_cast<double>(value.integer));
    }
  }
  TRY(check_inside(node, evaluator));
  return values;
}

Result<std::vector<HostTensor>> evaluate(const Graph& graph, std::span<const HostTensor> inputs) {
  if (inputs.size() != graph.inputs.size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The number of values ({}) is not the number of graph inputs ({}).",
                             inputs.size(), graph.inputs.size()));
  }
  std::vector<HostTensor> computed(graph.tensors.size());
  std::vector<const HostTensor*> values(graph.tensors.size(), nullptr);
  for (size_t i = 0; i < graph.tensors.size(); ++i) values[i] = graph.tensors[i].constant.get();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& tensor = graph.tensors[graph.inputs[i]];
    if (!fits(tensor, inputs[i])) return wrong_value(tensor, inputs[i]);
    values[graph.inputs[i]] = &inputs[i];
  }
  for (const Node& node : graph.nodes) {
    std::vector<const HostTensor*> node_inputs;
    for (TensorId input : node.inputs) node_inputs.push_back((CHECK(values[input]), values[input]));
    std::vector<HostTensor*> node_outputs;
    for (const NodeResult& result : node.results) {
      HostTensor& output = computed[result.output];
      if (values[result.output] == nullptr) {
        const Tensor& tensor = graph.tensors[result.output];
        output = HostTensor::zeros(tensor.dtype, tensor.shape);
        values[result.output] = &output;
      }
      node_outputs.push_back(&output);
    }
    TRY(evaluate_node(graph, node, node_inputs, node_outputs));
  }
  std::vector<HostTensor> results;
  for (TensorId id : graph.outputs) results.push_back((CHECK(values[id]), *values[id]));
  return results;
}

}  // namespace leat
