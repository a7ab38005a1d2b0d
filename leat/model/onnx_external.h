// Data of tensors that lies in files beside the model, as exporters write it for large networks.
// Source: ONNX documentation, "External Data": location, offset, length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "leat/base/result.h"
#include "leat/base/unique_fd.h"

namespace leat::onnx {
class TensorProto;
}  // namespace leat::onnx

namespace leat {

/// Files in or below the folder of one model, and no other: a path is judged by where the opened
/// file really lies, so that no link leads out. A model that is itself a link may also have its
/// data beside the file that it leads to.
class ExternalData {
 public:
  /// Opens nothing yet. An empty path, of a model that is in memory, has no folder.
  explicit ExternalData(std::string model_path) : model_path_(std::move(model_path)) {}

  struct Region {
    UniqueFd file;
    int64_t offset = 0;
    std::string location;
  };
  /// Where the file has the tensor's data, of `size_bytes`. Errors: invalid_argument, naming the
  /// tensor, the file and the value; io.
  Result<Region> find(const onnx::TensorProto& tensor, int64_t size_bytes);
  /// A whole file. Errors: invalid_argument, for one that is larger, too; io.
  Result<std::string> read_text(const std::string& location, size_t size_bytes_max);
  /// Errors: io.
  static Result<void> read(const Region& region, std::span<std::byte> bytes);

 private:
  struct File {
    UniqueFd descriptor;
    int64_t size_bytes = 0;
  };
  Result<File> open(const std::string& location);
  Result<void> find_folders();

  std::string model_path_;
  std::vector<std::string> folders_;               // where files may lie, with links resolved
  std::set<std::pair<uint64_t, uint64_t>> known_;  // device and number of each file, once
  // Tensors may share data, but not so that a small file becomes gigabytes.
  int64_t bytes_left_ = 0;
};

}  // namespace leat
