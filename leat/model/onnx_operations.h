// What the kernels of a network compute, said as nodes of the ONNX file that it came from.
#pragma once

#include <vector>

#include "leat/model/onnx_import.h"
#include "leat/run/capture.h"

namespace leat {

/// For each value of the file that `network`'s kernels leave in memory, the nodes between it and
/// the values that those kernels read. `model` is what `file` became, with ImportOptions::
/// keeps_values. A kernel whose result is no value of the file, or that cannot be said in a few
/// nodes, is left out.
std::vector<CapturedOperation> operations_of(const OnnxModel& file, const Model& model,
                                             const Network& network);

}  // namespace leat
