// Looking operators up in the lists of onnx_ops.h, and printing them.
#include "leat/model/onnx_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "leat/model/onnx_import.h"

namespace leat::onnx_ops {
namespace {

std::vector<std::span<const OnnxOperator>> all_lists() {
  return {contraction_operators(),
          pool_operators(),
          elementwise_operators(),
          activation_operators(),
          reduce_operators(),
          norm_operators(),
          shape_operators(),
          movement_operators(),
          gather_operators(),
          resize_operators(),
          create_operators(),
          control_operators(),
          sized_operators(),
          sequence_operators(),
          loss_operators(),
          random_operators(),
          sample_operators(),
          einsum_operators(),
          signal_operators(),
          feature_operators(),
          tree_operators(),
          training_operators(),
          attention_operators(),
          scatter_operators(),
          quantize_operators(),
          quantize_microsoft_operators(),
          recurrent_operators(),
          contrib_operators(),
          contrib_attention_operators(),
          kernel_operators()};
}

}  // namespace

std::string_view canonical_domain(std::string_view domain) {
  return domain == "ai.onnx" ? std::string_view() : domain;
}

const OnnxOperator* find_operator(std::string_view domain, std::string_view name) {
  const std::string_view wanted = canonical_domain(domain);
  if (wanted == kKernelDomain) return &kernel_operators()[0];
  for (std::span<const OnnxOperator> list : all_lists()) {
    for (const OnnxOperator& row : list) {
      if (row.name == name && row.domain == wanted) return &row;
    }
  }
  return nullptr;
}

}  // namespace leat::onnx_ops

namespace leat {

std::string operators_markdown() {
  using onnx_ops::OnnxOperator;
  std::vector<const OnnxOperator*> rows;
  for (std::span<const OnnxOperator> list : onnx_ops::all_lists()) {
    for (const OnnxOperator& row : list) rows.push_back(&row);
  }
  std::ranges::sort(rows, {}, [](const OnnxOperator* row) { return row->name; });
  std::string text = "| operator | opset versions | element types | remarks |\n|---|---|---|---|\n";
  for (const OnnxOperator* row : rows) {
    const bool is_other = !row->domain.empty();
    text += fmt::format("| {}{} | {} {} | {} | {} |\n", row->name,
                        is_other ? fmt::format(" ({})", row->domain) : "", row->opset_min,
                        is_other ? "on" : fmt::format("to {}", onnx_ops::kOpsetMax), row->types,
                        row->remark);
  }
  return text;
}

}  // namespace leat
