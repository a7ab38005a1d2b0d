// See declared_inputs.h.
#include "cli/declared_inputs.h"

#include <set>

#include "leat/base/files.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"

namespace leat::cli {

Result<std::vector<ModelValue>> declared_open_inputs(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kModelBytesMax));
  TRY_ASSIGN(const std::unique_ptr<onnx::ModelProto> model, parse_model(bytes, path));
  std::set<std::string> initialized;
  for (const auto& initializer : model->graph().initializer()) {
    initialized.insert(initializer.name());
  }
  std::vector<ModelValue> inputs;
  bool is_open = false;
  for (const auto& input : model->graph().input()) {
    if (initialized.contains(input.name())) continue;
    const auto& type = input.type().tensor_type();
    ModelValue value;
    value.name = input.name();
    TRY_ASSIGN(value.dtype, dtype_of_onnx(type.elem_type()));
    for (const auto& dimension : type.shape().dim()) {
      const bool is_known = dimension.has_dim_value();
      value.shape.push_back(is_known ? dimension.dim_value() : 1);
      is_open = is_open || !is_known;
    }
    inputs.push_back(std::move(value));
  }
  if (!is_open) inputs.clear();
  return inputs;
}

}  // namespace leat::cli
