// See pb_files.h.
#include "cli/pb_files.h"

namespace leat::cli {

namespace {

Error no_pb(const std::string& path) {
  return Error(
      ErrorKind::unsupported,
      "File \"" + path + "\": this build of Leat has no ONNX and takes no .pb; .npy does.");
}

}  // namespace

Result<HostTensor> read_pb(const std::string& path) { return no_pb(path); }

Result<void> write_pb(const std::string& path, const HostTensor&, const std::string&) {
  return no_pb(path);
}

}  // namespace leat::cli
