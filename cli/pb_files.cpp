// See pb_files.h.
#include "cli/pb_files.h"

#include "cli/interrupt.h"
#include "leat/model/onnx_file.h"

namespace leat::cli {

Result<HostTensor> read_pb(const std::string& path) { return read_tensor_file(path); }

Result<void> write_pb(const std::string& path, const HostTensor& tensor, const std::string& name) {
  return write_whole_file(path, tensor_file_bytes(tensor, name));
}

}  // namespace leat::cli
