// What the importers of the domain "com.microsoft" share.
#pragma once

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {

/// Fails when a whole number is not what it usually is.
void refuse(OnnxNode& node, std::string_view attribute, int64_t usual);

}  // namespace leat::onnx_ops
