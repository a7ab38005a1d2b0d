// The inputs that a model file declares, read without importing it: a model whose sizes are open
// may import only once the sizes of its inputs are known.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/model/onnx_import.h"

namespace leat::cli {

/// In the order of Model::inputs; an open extent is 1, as in an import without shapes.
/// Empty when no input has an open extent. Errors: io, invalid_argument, unsupported.
Result<std::vector<ModelValue>> declared_open_inputs(const std::string& path);

}  // namespace leat::cli
