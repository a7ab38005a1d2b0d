// Models and tensors out of files: imported and, when small, evaluated.
#include "leat/base/check.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_import.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/onnx_seeds.h"

namespace leat {
namespace {

constexpr int64_t kFuzzedFillBytesMax = 1 << 20;
/// Evaluated are graphs of at most this many elements and this much work.
constexpr double kEvaluateWorkMax = 1e6;

double product(const Shape& shape) {
  double count = 1;
  for (int64_t extent : shape) count *= static_cast<double>(extent);
  return count;
}

bool is_small(const Graph& graph) {
  double work = 0;
  for (const Tensor& tensor : graph.tensors) work += product(tensor.shape);
  for (const Node& node : graph.nodes) {
    work += flop_count(node) + product(node.extents) * product(node.reduce);
  }
  return work <= kEvaluateWorkMax;
}

/// Of a model whose sizes follow from values.
constexpr int kFuzzedPartsMax = 4;

/// An error is one of the input, and says something.
void check_error(const Error& error) {
  CHECK(!error.message().empty());
  CHECK(error.kind() != ErrorKind::internal);
}

}  // namespace

bool feed_model(std::string_view bytes) {
  Result<Model> model = import_onnx_bytes(
      bytes, "fuzzed.onnx", {.fill_bytes_max = kFuzzedFillBytesMax, .in_parts = true});
  std::vector<HostTensor> inputs;
  if (model && is_small(model->graph)) {
    for (const ModelValue& input : model->inputs) {
      inputs.push_back(HostTensor::zeros(input.dtype, input.shape));
    }
  }
  for (int part = 0; part < kFuzzedPartsMax; ++part) {
    if (!model) check_error(model.error());
    if (!model || !is_small(model->graph)) return part > 0;
    Result<std::vector<HostTensor>> outputs = evaluate(model->graph, inputs);
    CHECK(outputs.has_value());
    if (!model->rest) return true;
    Result<NextPart> next = model->rest(std::move(inputs), std::move(*outputs));
    if (!next) {
      check_error(next.error());
      return true;
    }
    inputs = std::move(next->inputs);
    model = next->make();
  }
  return true;
}

bool feed_tensor(std::string_view bytes) {
  const Result<HostTensor> tensor = parse_tensor_file(bytes, "fuzzed.pb");
  if (!tensor) {
    check_error(tensor.error());
    return false;
  }
  const Result<HostTensor> again = parse_tensor_file(tensor_file_bytes(*tensor, "t"), "again.pb");
  CHECK(again.has_value() && again->bytes == tensor->bytes && again->shape == tensor->shape);
  return true;
}

std::vector<std::string> model_seeds() {
  std::vector<std::string> seeds;
  for (const OnnxBuilder& model : fuzz_seeds()) seeds.push_back(model.bytes());
  return seeds;
}

std::vector<std::string> tensor_seeds() {
  std::vector<std::string> seeds;
  for (const DType dtype : {DType::f32, DType::f16, DType::i64, DType::boolean}) {
    seeds.push_back(tensor_file_bytes(HostTensor::zeros(dtype, {2, 3}), "t"));
  }
  return seeds;
}

}  // namespace leat
