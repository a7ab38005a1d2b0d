// A node of an ONNX file in the plainest form that means the same, for who computes it again from
// its definition alone.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "leat/run/capture.h"

namespace leat::onnx {
class NodeProto;
}  // namespace leat::onnx

namespace leat {

/// The value of that name with its shape and type, or null.
using ValueOf = std::function<const Tensor*(const std::string& name)>;

/// As operator set 17 has it, save Clip's limits: pads are numbers, axes count from the front, what
/// is nothing but its input is Identity. Nothing for an operator that is not in the table, for
/// whole numbers, windows that are not over two axes, and what cannot be said so.
std::optional<OperationNode> operation_node(const onnx::NodeProto& proto, int64_t opset,
                                            const ValueOf& value_of);

}  // namespace leat
