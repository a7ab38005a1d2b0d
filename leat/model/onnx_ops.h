// The table of ONNX operators: which opset versions Leat reads, and the function that appends the
// operator to the graph. One list per onnx_ops_*.cpp; adding an operator is adding a row there.
#pragma once

#include <span>
#include <string_view>

#include "leat/model/onnx_node.h"

namespace leat::onnx_ops {

/// Opset versions of the domain "" that are read. Operators keep their meaning between the versions
/// that their import functions tell apart. Source: the ONNX changelog of operator schemas.
inline constexpr int64_t kOpsetMin = 1;
inline constexpr int64_t kOpsetMax = 28;

inline constexpr int kAnyNumber = 1 << 20;

struct OnnxOperator {
  std::string_view name;
  int opset_min = 6;   // the first opset version whose meaning the function knows
  int inputs_min = 1;  // that many inputs are there and not left out
  int inputs_max = 1;
  int outputs_max = 1;
  std::string_view types;  // for people: "float, int"
  /// Returns output 0; sets others with set_output.
  Result<TensorId> (*import)(OnnxNode& node) = nullptr;
  std::string_view remark = {};
  std::string_view domain = {};
  bool takes_sequences = false;  // or optionals, or gives them
  bool draws = false;            // random numbers, of which the standard names no generator
  bool mixes = false;  // each result sums all: the largest of them tells the rounding of every one
};

std::span<const OnnxOperator> contraction_operators();         // onnx_ops_conv.cpp
std::span<const OnnxOperator> pool_operators();                // onnx_ops_pool.cpp
std::span<const OnnxOperator> elementwise_operators();         // onnx_ops_elementwise.cpp
std::span<const OnnxOperator> activation_operators();          // onnx_ops_activation.cpp
std::span<const OnnxOperator> reduce_operators();              // onnx_ops_reduce.cpp
std::span<const OnnxOperator> norm_operators();                // onnx_ops_norm.cpp
std::span<const OnnxOperator> shape_operators();               // onnx_ops_shape.cpp
std::span<const OnnxOperator> movement_operators();            // onnx_ops_movement.cpp
std::span<const OnnxOperator> gather_operators();              // onnx_ops_gather.cpp
std::span<const OnnxOperator> resize_operators();              // onnx_ops_resize.cpp
std::span<const OnnxOperator> create_operators();              // onnx_ops_create.cpp
std::span<const OnnxOperator> control_operators();             // onnx_ops_control.cpp
std::span<const OnnxOperator> sized_operators();               // onnx_ops_sized.cpp
std::span<const OnnxOperator> sequence_operators();            // onnx_ops_sequence.cpp
std::span<const OnnxOperator> loss_operators();                // onnx_ops_loss.cpp
std::span<const OnnxOperator> random_operators();              // onnx_ops_random.cpp
std::span<const OnnxOperator> sample_operators();              // onnx_ops_sample.cpp
std::span<const OnnxOperator> einsum_operators();              // onnx_ops_einsum.cpp
std::span<const OnnxOperator> signal_operators();              // onnx_ops_signal.cpp
std::span<const OnnxOperator> feature_operators();             // onnx_ops_feature.cpp
std::span<const OnnxOperator> tree_operators();                // onnx_ops_tree.cpp
std::span<const OnnxOperator> training_operators();            // onnx_ops_training.cpp
std::span<const OnnxOperator> attention_operators();           // onnx_ops_attention.cpp
std::span<const OnnxOperator> scatter_operators();             // onnx_ops_scatter.cpp
std::span<const OnnxOperator> quantize_operators();            // onnx_ops_quantize.cpp
std::span<const OnnxOperator> quantize_microsoft_operators();  // onnx_ops_quantize_microsoft.cpp
std::span<const OnnxOperator> recurrent_operators();           // onnx_ops_recurrent.cpp
std::span<const OnnxOperator> contrib_operators();             // onnx_ops_contrib.cpp
std::span<const OnnxOperator> contrib_attention_operators();   // onnx_ops_contrib_attention.cpp
std::span<const OnnxOperator> kernel_operators();              // onnx_ops_kernel.cpp

/// Its operators are called as their kernels are.
inline constexpr std::string_view kKernelDomain = "leat";

/// Null when there is none. "ai.onnx" is the domain "".
const OnnxOperator* find_operator(std::string_view domain, std::string_view name);
/// The domain as the table has it.
std::string_view canonical_domain(std::string_view domain);

}  // namespace leat::onnx_ops
