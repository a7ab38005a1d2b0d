// Functions of a model file: operators that it defines by other nodes.
// Source: ONNX IR specification, "Model-local functions".
#pragma once

#include <cstdint>
#include <memory>

#include "leat/base/result.h"

namespace leat::onnx {
class FunctionProto;
class NodeProto;
}  // namespace leat::onnx

namespace leat {

/// The function with the attributes that `call` gives it, or their defaults, in the place of those
/// that its nodes name; what neither has is left out. Null where its nodes name none: it holds as
/// it is. What the copy takes is taken off `bytes_left`. Errors: invalid_argument: an attribute
/// that the function does not have; unsupported: no bytes are left.
Result<std::unique_ptr<onnx::FunctionProto>> bind_attributes(const onnx::FunctionProto& function,
                                                             const onnx::NodeProto& call,
                                                             int64_t& bytes_left);

}  // namespace leat
