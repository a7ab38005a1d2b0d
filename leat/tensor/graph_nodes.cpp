// Adding to the op graph: what add_node checks, which every later stage relies on (that no result
// and no load without a mask leaves its tensor, and that value and output agree in type), what a
// node costs, and constants that are computed at once.
#include "leat/tensor/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "leat/base/check.h"
#include "leat/tensor/constant_memory.h"
#include "leat/tensor/fold.h"

namespace leat {
namespace {

/// A constant is computed at import if it has at most this many elements, or at most this many
/// times the elements of its inputs: folding must not blow a small file up to gigabytes.
constexpr int64_t kFoldElementsMax = 65536;
constexpr int64_t kFoldGrowthMax = 4;
/// Fewer floats than these are computed at once, whoever reads them: no product of bytes is so
/// small.
constexpr int64_t kWidenedElementsMin = 64;
/// ... and if it takes at most this many element steps (about a second).
constexpr double kFoldStepsMax = 1 << 24;

Error malformed(const Node& node, std::string_view what) {
  return Error(ErrorKind::internal,
               fmt::format("{} in node \"{}\" ({}).", what, node.name, node.op));
}

double product(const Shape& shape) {
  double count = 1;
  for (int64_t extent : shape) count *= static_cast<double>(extent);
  return count;
}

bool stays_inside(const Affine& index, const Shape& axes, int64_t extent) {
  const Range range = range_of(index, axes);
  return range.low >= 0 && range.high < extent;
}

Result<void> check_result(const Graph& graph, const Node& node, const NodeResult& result) {
  CHECK(result.output < graph.tensors.size());
  const Tensor& output = graph.tensors[result.output];
  if (result.index.size() != output.shape.size()) {
    return malformed(node, "A result's rank is not its tensor's");
  }
  for (size_t d = 0; d < output.shape.size(); ++d) {
    if (result.index[d].coefficients.size() != node.extents.size()) {
      return malformed(node, "A result's index does not cover the axes");
    }
    if (!stays_inside(result.index[d], node.extents, output.shape[d])) {
      return malformed(node, fmt::format("A result leaves dimension {}", d));
    }
  }
  if (result.value >= node.exprs.size() ||
      node.exprs.type(result.value) != scalar_type_of(output.dtype)) {
    return malformed(node, "A result's type is not its tensor's");
  }
  return {};
}

/// The index of a load without a mask must not leave its tensor. What is no affine form cannot be
/// seen here; the evaluator sees it.
Result<void> check_load(const Graph& graph, const Node& node, const ExprNode& load) {
  if (load.index >= node.inputs.size()) return malformed(node, "A load has no input");
  const Tensor& input = graph.tensors[node.inputs[load.index]];
  if (load.indices.size() != input.shape.size() || load.type != scalar_type_of(input.dtype)) {
    return malformed(node, "A load does not fit its tensor");
  }
  Shape axes = node.extents;
  axes.insert(axes.end(), node.reduce.begin(), node.reduce.end());
  if (load.mask != kNoExpr || element_count(axes) == 0) return {};
  for (size_t d = 0; d < input.shape.size(); ++d) {
    const auto form = affine_of(node.exprs, load.indices[d], axes.size());
    if (form && !stays_inside(*form, axes, input.shape[d])) {
      return malformed(node, fmt::format("A load leaves dimension {}", d));
    }
  }
  return {};
}

/// Places and updates lie over rows of input 0.
bool scatter_fits(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3) return false;
  const Shape& shape = graph.tensors[node.inputs[0]].shape;
  const Tensor& places = graph.tensors[node.inputs[1]];
  const Tensor& updates = graph.tensors[node.inputs[2]];
  if (places.dtype != DType::i32 || updates.dtype != graph.tensors[node.inputs[0]].dtype ||
      places.shape.size() != shape.size() || updates.shape.size() != shape.size()) {
    return false;
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool is_axis = d == node.program->axis;
    if (!is_axis && updates.shape[d] > shape[d]) return false;
    if (places.shape[d] != updates.shape[d] && (is_axis || places.shape[d] != 1)) return false;
  }
  return true;
}

Result<void> check_program(const Graph& graph, const Node& node) {
  if (node.program->op == ProgramOp::written) return {};  // its operator has checked it
  const Shape& shape = graph.tensors[node.inputs[0]].shape;
  const ProgramFacts facts = facts_of(node.program->op);
  if (node.program->axis >= shape.size() || node.results.size() != facts.results) {
    return malformed(node, "A program has not its axis or results");
  }
  if (facts.is_recurrent) return {};  // its operator has checked the shapes
  for (const NodeResult& result : node.results) {
    Shape rest = graph.tensors[result.output].shape;
    if (rest.size() != shape.size() || rest[node.program->axis] > shape[node.program->axis]) {
      return malformed(node, "A program's result does not fit its input");
    }
    rest[node.program->axis] = 1;
    if (rest != node.extents) return malformed(node, "A program's result has other rows");
  }
  if (node.program->op == ProgramOp::scatter && !scatter_fits(graph, node)) {
    return malformed(node, "Places or updates do not fit what they are scattered over");
  }
  return {};
}

Result<void> check_node(const Graph& graph, const Node& node) {
  for (TensorId input : node.inputs) CHECK(input < graph.tensors.size());
  if (node.program) return check_program(graph, node);
  for (const NodeResult& result : node.results) TRY(check_result(graph, node, result));
  const bool is_map = leat::is_map(node);
  if (is_map != (node.element == kNoExpr) || (is_map && !node.reduce.empty())) {
    return malformed(node, "What is reduced and how do not agree");
  }
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind == ExprKind::load) TRY(check_load(graph, node, expr));
    const bool is_sum = expr.kind == ExprKind::accumulator && !is_map;
    if (is_sum && expr.type != node.exprs.type(node.element)) {
      return malformed(node, "What is reduced is not of the type of its sum");
    }
  }
  return {};
}

double steps_of(const Node& node) { return product(node.extents) * product(node.reduce); }

/// What folding it costs. A program looks at each element of its inputs, and to put a row in order,
/// some times; what goes along a sequence, for each unit of its results.
double fold_steps_of(const Graph& graph, const Node& node) {
  constexpr double kLooksOfProgram = 32;
  if (!node.program) return steps_of(node);
  double elements = 0;
  for (const TensorId input : node.inputs) elements += product(graph.tensors[input].shape);
  const double looks = kLooksOfProgram * elements;
  if (!facts_of(node.program->op).is_recurrent) return looks;
  return looks * static_cast<double>(graph.tensors[node.results[0].output].shape.back());
}

/// Whether the node writes every element of its outputs: a result takes each coordinate once.
bool writes_all(const Graph& graph, const Node& node) {
  return node.program || std::ranges::all_of(node.results, [&](const NodeResult& result) {
           return element_count(graph.tensors[result.output].shape) == element_count(node.extents);
         });
}

int64_t output_bytes(const Graph& graph, const Node& node) {
  int64_t size_bytes = 0;
  for (const NodeResult& result : node.results) {
    const Tensor& output = graph.tensors[result.output];
    size_bytes += element_count(output.shape) * size_bytes_of(output.dtype);
  }
  return size_bytes;
}

/// Whether the node's result is a number times a scale.
bool scales(const Node& node) {
  const ExprNode& value = node.exprs.node(node.results[0].value);
  if (value.kind != ExprKind::apply || value.op != ScalarOp::mul) return false;
  const ExprNode& number = node.exprs.node(value.arguments[0]);
  return number.kind == ExprKind::apply && number.op == ScalarOp::to_f32;
}

/// Whether the node makes floats of as many numbers of a constant that takes fewer bytes: many, or
/// some that a product of bytes would take as they are.
bool widens_constant(const Graph& graph, const Node& node) {
  if (!is_map(node) || node.results.size() != 1) return false;
  const Tensor& made = graph.tensors[node.results[0].output];
  const int64_t count = element_count(made.shape);
  if (!is_float(made.dtype) || count < kWidenedElementsMin) return false;
  if (count <= kFoldElementsMax && !scales(node)) return false;
  return std::ranges::any_of(node.inputs, [&](TensorId input) {
    const Tensor& tensor = graph.tensors[input];
    return tensor.constant && !is_float(tensor.dtype) && tensor.dtype != DType::boolean &&
           element_count(tensor.shape) == count &&
           size_bytes_of(tensor.dtype) < size_bytes_of(made.dtype);
  });
}

bool may_fold(const Graph& graph, const Node& node) {
  int64_t input_elements = 0;
  if (node.program && node.program->op == ProgramOp::written) return false;
  for (TensorId input : node.inputs) {
    if (!graph.tensors[input].constant) return false;
    input_elements += element_count(graph.tensors[input].shape);
  }
  const int64_t limit = std::max(kFoldElementsMax, kFoldGrowthMax * input_elements);
  return writes_all(graph, node) && element_count(node.extents) <= limit &&
         fold_steps_of(graph, node) <= std::min(kFoldStepsMax, graph.fold_steps_left) &&
         output_bytes(graph, node) <= graph.fold_bytes_left;
}

bool should_fold(const Graph& graph, const Node& node) {
  return may_fold(graph, node) && !widens_constant(graph, node);
}

Result<std::vector<ConstantValue>> results_of(const Graph& graph, const Node& node,
                                              std::span<const ConstantValue> inputs) {
  std::vector<std::shared_ptr<HostTensor>> values;
  std::vector<HostTensor*> outputs;
  for (const NodeResult& result : node.results) {
    const Tensor& output = graph.tensors[result.output];
    values.push_back(std::make_shared<HostTensor>(HostTensor::zeros(output.dtype, output.shape)));
    outputs.push_back(values.back().get());
  }
  std::vector<const HostTensor*> read;
  for (const ConstantValue& input : inputs) read.push_back(input.get());
  TRY(evaluate_node(graph, node, read, outputs));
  return std::vector<ConstantValue>(values.begin(), values.end());
}

bool are_results_of(const Graph& graph, const Node& node, std::span<const ConstantValue> values) {
  return std::ranges::equal(node.results, values,
                            [&](const NodeResult& result, const ConstantValue& value) {
                              const Tensor& output = graph.tensors[result.output];
                              return value->dtype == output.dtype && value->shape == output.shape;
                            });
}

Result<void> fold(Graph& graph, const Node& node) {
  graph.fold_steps_left -= fold_steps_of(graph, node);
  graph.fold_bytes_left -= output_bytes(graph, node);
  std::vector<ConstantValue> inputs;
  for (TensorId input : node.inputs) inputs.push_back(graph.tensors[input].constant);
  std::vector<ConstantValue> values;
  if (graph.memory) values = graph.memory->results_of(node, inputs);
  if (!are_results_of(graph, node, values)) {
    TRY_ASSIGN(values, results_of(graph, node, inputs));
    if (graph.memory) graph.memory->keep_results(node, std::move(inputs), values);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    graph.tensors[node.results[i].output].constant = std::move(values[i]);
  }
  return {};
}

/// Applies that the value of `id` needs; index and mask arithmetic is not counted.
double apply_count(const ExprTree& tree, ExprId id, std::vector<bool>& seen) {
  if (id == kNoExpr || seen[id]) return 0;
  seen[id] = true;
  const ExprNode& node = tree.node(id);
  if (node.kind != ExprKind::apply) return 0;
  double count = 1;
  for (ExprId argument : node.arguments) count += apply_count(tree, argument, seen);
  return count;
}

/// Whether the value of `id` is made of something that is loaded. Arguments stand before their
/// users, so one pass back does, however often a part is shared.
bool reads(const ExprTree& tree, ExprId id) {
  std::vector<bool> is_used(id + 1, false);
  is_used[id] = true;
  for (ExprId next = id + 1; next > 0; --next) {
    if (!is_used[next - 1]) continue;
    const ExprNode& node = tree.node(next - 1);
    if (node.kind == ExprKind::load) return true;
    for (const ExprId argument : node.arguments) {
      if (argument != kNoExpr) is_used[argument] = true;
    }
  }
  return false;
}

double apply_count(const ExprTree& tree, ExprId id) {
  std::vector<bool> seen(tree.size(), false);
  return apply_count(tree, id, seen);
}

}  // namespace

TensorId Graph::add_tensor(std::string name, DType dtype, Shape shape) {
  tensors.push_back({.name = std::move(name), .dtype = dtype, .shape = std::move(shape)});
  return static_cast<TensorId>(tensors.size() - 1);
}

TensorId Graph::add_constant(std::string name, HostTensor value) {
  ConstantValue kept = memory ? memory->shared(name, std::move(value))
                              : std::make_shared<HostTensor>(std::move(value));
  return add_constant(std::move(name), std::move(kept));
}

TensorId Graph::add_constant(std::string name, ConstantValue value) {
  const TensorId id = add_tensor(std::move(name), value->dtype, value->shape);
  fold_steps_left += kFoldGrowthMax * static_cast<double>(element_count(value->shape));
  fold_bytes_left += kFoldGrowthMax * static_cast<int64_t>(value->bytes.size());
  tensors[id].constant = std::move(value);
  return id;
}

Result<void> Graph::add_node(Node node) {
  CHECK(!node.results.empty());
  if (node.extents.empty()) node.extents = tensors[node.results[0].output].shape;
  for (NodeResult& result : node.results) {
    Tensor& output = tensors[result.output];
    if (!node.program && result.index.empty() && node.extents.size() == output.shape.size()) {
      result.index = affine_axes(node.extents.size());
    }
    if (element_count(output.shape) == 0) {
      output.constant = std::make_shared<HostTensor>(HostTensor::zeros(output.dtype, output.shape));
    }
  }
  if (element_count(node.extents) == 0) return {};
  TRY(check_node(*this, node));
  if (should_fold(*this, node)) return fold(*this, node);
  nodes.push_back(std::move(node));
  return {};
}

Result<void> fold_widened(Graph& graph, int64_t elements_max, bool outputs) {
  std::vector<Node> nodes = std::exchange(graph.nodes, {});
  std::vector<bool> is_folded(graph.tensors.size(), false);
  for (Node& node : nodes) {
    const bool is_output =
        std::ranges::count(graph.outputs, node.results[0].output) > 0;  // some kernel writes those
    const bool follows =
        std::ranges::any_of(node.inputs, [&](TensorId input) { return is_folded[input]; });
    const bool is_wanted = (widens_constant(graph, node) || (follows && is_map(node))) &&
                           element_count(node.extents) <= elements_max;
    if ((!is_output || outputs) && is_wanted && may_fold(graph, node)) {
      TRY(fold(graph, node));
      for (const NodeResult& result : node.results) is_folded[result.output] = true;
    } else {
      graph.nodes.push_back(std::move(node));
    }
  }
  return {};
}
double flop_count(const Node& node) {
  if (node.program && node.program->kernel) return node.program->kernel->flop;
  if (node.program) return 0;  // it moves and compares, or computes as often as it loads
  double count = 0;
  std::vector<bool> seen(node.exprs.size(), false);
  for (const NodeResult& result : node.results) {
    count += product(node.extents) * apply_count(node.exprs, result.value, seen);
  }
  if (is_map(node)) return count;
  const ExprNode& element = node.exprs.node(node.element);
  const bool is_product =
      node.reduce_op == ReduceOp::sum && element.kind == ExprKind::apply &&
      element.op == ScalarOp::mul && element.arguments[0] != element.arguments[1] &&
      reads(node.exprs, element.arguments[0]) && reads(node.exprs, element.arguments[1]);
  const double of_step = is_product ? 1 : apply_count(node.exprs, node.element);
  return count + steps_of(node) * (1 + of_step);
}

}  // namespace leat
