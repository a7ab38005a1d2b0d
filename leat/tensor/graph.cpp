// Building and printing the op graph. add_node checks what every later stage relies on: that no
// view and no unbounded index leaves its tensor, and that result and output agree in type.
#include "leat/tensor/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "leat/base/check.h"
#include "leat/base/printable.h"

namespace leat {
namespace {

/// A constant is computed at import if it has at most this many elements, or at most this many
/// times the elements of its inputs: folding must not blow a small file up to gigabytes.
constexpr int64_t kFoldElementsMax = 65536;
constexpr int64_t kFoldGrowthMax = 4;
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

Shape loop_extents(const Contraction& contraction) {
  Shape extents;
  for (const Shape* part : {&contraction.batch, &contraction.m, &contraction.n, &contraction.k}) {
    extents.insert(extents.end(), part->begin(), part->end());
  }
  return extents;
}

/// True if the index stays within [0, extent) for all values of the axes.
bool stays_inside(const Affine& index, const Shape& axes, int64_t extent) {
  int64_t low = index.constant;
  int64_t high = index.constant;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t reach = index.coefficients[i] * (axes[i] - 1);
    (reach < 0 ? low : high) += reach;
  }
  return low >= 0 && high < extent;
}

Result<void> check_operand(const Graph& graph, const Node& node, const ContractionOperand& operand,
                           const Shape& axes) {
  if (operand.input >= node.inputs.size()) return malformed(node, "A factor has no input");
  const Shape& shape = graph.tensors[node.inputs[operand.input]].shape;
  if (operand.index.size() != shape.size() || operand.bounded.size() != shape.size()) {
    return malformed(node, "A factor's rank is not its tensor's");
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    if (operand.index[d].coefficients.size() != axes.size()) {
      return malformed(node, "An index does not cover all axes");
    }
    if (!operand.bounded[d] && !stays_inside(operand.index[d], axes, shape[d])) {
      return malformed(node, fmt::format("An unbounded index leaves dimension {}", d));
    }
  }
  return {};
}

Result<void> check_contraction(const Graph& graph, const Node& node) {
  const Shape axes = loop_extents(node.contraction);
  if (std::ranges::find(axes, 0) != axes.end()) return malformed(node, "A loop has no rounds");
  TRY(check_operand(graph, node, node.contraction.a, axes));
  TRY(check_operand(graph, node, node.contraction.b, axes));
  if (node.contraction.out_index.size() != node.out_extents.size()) {
    return malformed(node, "The output index has the wrong rank");
  }
  for (size_t d = 0; d < node.out_extents.size(); ++d) {
    if (!stays_inside(node.contraction.out_index[d], axes, node.out_extents[d])) {
      return malformed(node, fmt::format("The output index leaves dimension {}", d));
    }
  }
  return {};
}

Result<void> check_node(const Graph& graph, const Node& node) {
  CHECK(node.output < graph.tensors.size());
  for (TensorId input : node.inputs) CHECK(input < graph.tensors.size());
  const Tensor& output = graph.tensors[node.output];
  if (node.out_extents.size() != output.shape.size() ||
      node.view.offset.size() != output.shape.size() ||
      node.view.step.size() != output.shape.size()) {
    return malformed(node, "The view's rank is not the output's");
  }
  for (size_t d = 0; d < output.shape.size(); ++d) {
    const int64_t last = node.view.offset[d] + (node.out_extents[d] - 1) * node.view.step[d];
    if (node.view.offset[d] < 0 || node.view.step[d] < 1 || last >= output.shape[d]) {
      return malformed(node, fmt::format("The view leaves dimension {}", d));
    }
  }
  if (node.result >= node.exprs.size() ||
      node.exprs.type(node.result) != scalar_type_of(output.dtype)) {
    return malformed(node, "The result's type is not the output's");
  }
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind != ExprKind::load) continue;
    if (expr.index >= node.inputs.size()) return malformed(node, "A load has no input");
    const Tensor& input = graph.tensors[node.inputs[expr.index]];
    if (expr.indices.size() != input.shape.size() || expr.type != scalar_type_of(input.dtype)) {
      return malformed(node, "A load does not fit its tensor");
    }
  }
  return node.family == Family::contraction ? check_contraction(graph, node) : Result<void>();
}

double steps_of(const Node& node) {
  const double outputs = product(node.out_extents);
  if (node.family == Family::contraction) return outputs * product(node.contraction.k);
  return outputs * (node.map_reduce.op == ReduceOp::none ? 1 : product(node.map_reduce.reduce));
}

bool should_fold(const Graph& graph, const Node& node) {
  int64_t input_elements = 0;
  for (TensorId input : node.inputs) {
    if (!graph.tensors[input].constant) return false;
    input_elements += element_count(graph.tensors[input].shape);
  }
  const int64_t limit = std::max(kFoldElementsMax, kFoldGrowthMax * input_elements);
  return node.out_extents == graph.tensors[node.output].shape &&
         element_count(node.out_extents) <= limit && steps_of(node) <= kFoldStepsMax;
}

Result<std::shared_ptr<const HostTensor>> fold(const Graph& graph, const Node& node) {
  const Tensor& output = graph.tensors[node.output];
  auto value = std::make_shared<HostTensor>(HostTensor::zeros(output.dtype, output.shape));
  std::vector<const HostTensor*> inputs;
  for (TensorId input : node.inputs) inputs.push_back(graph.tensors[input].constant.get());
  TRY(evaluate_node(graph, node, inputs, *value));
  return std::shared_ptr<const HostTensor>(std::move(value));
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
  const TensorId id = add_tensor(std::move(name), value.dtype, value.shape);
  tensors[id].constant = std::make_shared<HostTensor>(std::move(value));
  return id;
}

Result<void> Graph::add_node(Node node) {
  Tensor& output = tensors[node.output];
  if (node.out_extents.empty()) node.out_extents = output.shape;
  if (node.view.offset.empty()) node.view.offset.assign(output.shape.size(), 0);
  if (node.view.step.empty()) node.view.step.assign(output.shape.size(), 1);
  if (element_count(output.shape) == 0) {
    output.constant = std::make_shared<HostTensor>(HostTensor::zeros(output.dtype, output.shape));
  }
  if (element_count(node.out_extents) == 0) return {};
  TRY(check_node(*this, node));
  if (should_fold(*this, node)) {
    TRY_ASSIGN(tensors[node.output].constant, fold(*this, node));
    return {};
  }
  nodes.push_back(std::move(node));
  return {};
}

double flop_count(const Graph&, const Node& node) {
  const double result = product(node.out_extents) * apply_count(node.exprs, node.result);
  if (node.family == Family::contraction) return 2 * steps_of(node) + result;
  if (node.map_reduce.op == ReduceOp::none) return result;
  return steps_of(node) * (1 + apply_count(node.exprs, node.map_reduce.element)) + result;
}

// --- Printing
// -------------------------------------------------------------------------------------

namespace {

std::string_view name_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::none: return "map";
    case ReduceOp::sum: return "sum";
    case ReduceOp::product: return "product";
    case ReduceOp::min: return "min";
    case ReduceOp::max: return "max";
  }
  return "";
}

std::string print_affine(const Affine& affine) {
  std::string text;
  for (size_t i = 0; i < affine.coefficients.size(); ++i) {
    const int64_t coefficient = affine.coefficients[i];
    if (coefficient == 0) continue;
    text += text.empty() ? "" : "+";
    text += coefficient == 1 ? fmt::format("a{}", i) : fmt::format("{}a{}", coefficient, i);
  }
  if (affine.constant != 0 || text.empty()) {
    text += fmt::format("{}{}", text.empty() || affine.constant < 0 ? "" : "+", affine.constant);
  }
  return text;
}

std::string print_index(const std::vector<Affine>& index) {
  std::vector<std::string> parts;
  for (const Affine& affine : index) parts.push_back(print_affine(affine));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

std::string print_family(const Node& node) {
  if (node.family == Family::contraction) {
    const Contraction& c = node.contraction;
    return fmt::format("contraction batch({}) m({}) n({}) k({}) A {}{} B {}{} out {}",
                       fmt::join(c.batch, ","), fmt::join(c.m, ","), fmt::join(c.n, ","),
                       fmt::join(c.k, ","), c.a.input, print_index(c.a.index), c.b.input,
                       print_index(c.b.index), print_index(c.out_index));
  }
  const MapReduce& map_reduce = node.map_reduce;
  if (map_reduce.op == ReduceOp::none) return "map";
  return fmt::format("{}({}) of {}", name_of(map_reduce.op), fmt::join(map_reduce.reduce, ","),
                     to_string(node.exprs, map_reduce.element));
}

std::string print_node(const Graph& graph, const Node& node) {
  std::vector<std::string> inputs;
  for (TensorId input : node.inputs) {
    const Tensor& tensor = graph.tensors[input];
    inputs.push_back(fmt::format("%{}{} {}{}", input, tensor.constant ? "c" : "",
                                 leat::name_of(tensor.dtype), to_string(tensor.shape)));
  }
  const Tensor& output = graph.tensors[node.output];
  std::string text =
      fmt::format("{}: {} {} => {}; inputs {}; output %{} {}{}", printable(node.name), node.op,
                  print_family(node), to_string(node.exprs, node.result), fmt::join(inputs, ", "),
                  node.output, leat::name_of(output.dtype), to_string(output.shape));
  if (node.out_extents != output.shape) {
    text += fmt::format(" at offset ({}) step ({}) extents ({})", fmt::join(node.view.offset, ", "),
                        fmt::join(node.view.step, ", "), fmt::join(node.out_extents, ", "));
  }
  return text + (node.reshape ? " reshape\n" : "\n");
}

}  // namespace

std::string to_string(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) text += print_node(graph, node);
  return text;
}

}  // namespace leat
