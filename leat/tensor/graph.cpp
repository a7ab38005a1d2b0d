// What stands in the op graph: facts of its nodes, and its text. graph_nodes.cpp adds to it.
#include "leat/tensor/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "leat/base/printable.h"

namespace leat {

ProgramFacts facts_of(ProgramOp op) {
  switch (op) {
    case ProgramOp::scan: return {.name = "scan"};
    case ProgramOp::scan_product: return {.name = "scan_product"};
    case ProgramOp::top_k: return {.name = "top_k", .results = 2, .sharing = RowSharing::always};
    case ProgramOp::softmax: return {.name = "softmax", .sharing = RowSharing::side_by_side};
    case ProgramOp::log_softmax:
      return {.name = "log_softmax", .sharing = RowSharing::side_by_side};
    case ProgramOp::normalise: return {.name = "normalise", .sharing = RowSharing::side_by_side};
    case ProgramOp::scatter: return {.name = "scatter"};
    case ProgramOp::recurrence:
      return {
          .name = "recurrence", .results = 2, .sharing = RowSharing::always, .is_recurrent = true};
    case ProgramOp::linear_attention:
      return {.name = "linear_attention",
              .results = 2,
              .sharing = RowSharing::always,
              .is_recurrent = true};
    case ProgramOp::written: return {.name = "kernel"};
  }
  return {};
}
size_t load_count(const Node& node, uint32_t input) {
  size_t count = 0;
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind == ExprKind::load && expr.index == input) ++count;
  }
  return count;
}

bool is_whole(const Graph& graph, const Node& node, const NodeResult& result) {
  return graph.tensors[result.output].shape == node.extents &&
         result.index == affine_axes(node.extents.size());
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
    case ReduceOp::max_number: return "max_number";
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

std::string print_result(const Graph& graph, const Node& node, const NodeResult& result) {
  const Tensor& output = graph.tensors[result.output];
  const std::string value = node.program ? "" : to_string(node.exprs, result.value);
  std::string text = fmt::format(" => {}; output %{} {}{}", value, result.output,
                                 leat::name_of(output.dtype), to_string(output.shape));
  if (node.program || is_whole(graph, node, result)) return text;
  return text + fmt::format(" at {} of {}", print_index(result.index), to_string(node.extents));
}

std::string print_node(const Graph& graph, const Node& node) {
  std::vector<std::string> inputs;
  for (TensorId input : node.inputs) {
    const Tensor& tensor = graph.tensors[input];
    inputs.push_back(fmt::format("%{}{} {}{}", input, tensor.constant ? "c" : "",
                                 leat::name_of(tensor.dtype), to_string(tensor.shape)));
  }
  const std::string_view kind =
      node.program ? facts_of(node.program->op).name : name_of(node.reduce_op);
  std::string text = fmt::format("{}: {} {}", printable(node.name), node.op, kind);
  if (node.element != kNoExpr) {
    text +=
        fmt::format("({}) of {}", fmt::join(node.reduce, ","), to_string(node.exprs, node.element));
  }
  for (const NodeResult& result : node.results) text += print_result(graph, node, result);
  text += fmt::format("; inputs {}", fmt::join(inputs, ", "));
  return text + (node.reshape ? " reshape\n" : "\n");
}

}  // namespace

std::string to_string(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) text += print_node(graph, node);
  return text;
}

}  // namespace leat
