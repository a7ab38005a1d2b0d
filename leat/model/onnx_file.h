// Reading ONNX files: models and single tensors (.pb, as the conformance suite has them). Nothing
// is trusted: a tensor's data must have exactly the size that its dimensions say.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::onnx {
class ModelProto;
class TensorProto;
}  // namespace leat::onnx

namespace leat {

class ExternalData;

/// Errors: io, or invalid_argument when the bytes are no ONNX model.
Result<std::unique_ptr<onnx::ModelProto>> parse_model(std::string_view bytes,
                                                      const std::string& path);

/// The code of TensorProto.DataType.
int onnx_code_of(DType dtype);
/// The dtype of TensorProto.DataType `code`. Errors: unsupported, naming the type ("string").
Result<DType> dtype_of_onnx(int code);

/// `external` reads data that lies in other files; null: they are refused.
/// Errors: invalid_argument, unsupported (strings, complex numbers); io.
Result<HostTensor> host_tensor_of(const onnx::TensorProto& proto, ExternalData* external = nullptr);

/// A file that holds one TensorProto.
Result<HostTensor> read_tensor_file(const std::string& path);
/// The same of bytes; `path` is for the error.
Result<HostTensor> parse_tensor_file(std::string_view bytes, const std::string& path);
/// The bytes of one TensorProto that holds `tensor`, to be read back by read_tensor_file.
std::string tensor_file_bytes(const HostTensor& tensor, const std::string& name);

}  // namespace leat
