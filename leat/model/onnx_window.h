// The attributes that convolution and pooling share.
#pragma once

#include "leat/model/onnx_node.h"

namespace leat::onnx_ops {

/// kernel_shape, strides, dilations, pads and auto_pad; ceil_mode is pooling's own.
ops::Window read_window(OnnxNode& node);

}  // namespace leat::onnx_ops
