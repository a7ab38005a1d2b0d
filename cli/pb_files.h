// Files of one ONNX tensor (.pb). The small runtime has none (pb_files_absent.cpp).
#pragma once

#include <string>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::cli {

/// Errors: io, invalid_argument, unsupported.
Result<HostTensor> read_pb(const std::string& path);
Result<void> write_pb(const std::string& path, const HostTensor& tensor, const std::string& name);

}  // namespace leat::cli
