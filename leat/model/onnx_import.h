// ONNX import: a model file becomes an op graph with every shape known and constants folded.
//
// A file is hostile until parsed: counts and sizes are checked before memory is taken, and an error
// names the file, the node and the value. Where the facts come from: the ONNX operator schemas and
// IR specification, opset 7 to 26 (older files are read where the operator's meaning is unchanged).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/model.h"

namespace leat::onnx {
class ModelProto;
}  // namespace leat::onnx

namespace leat {

/// Limits of what is read.
inline constexpr size_t kModelBytesMax = (size_t{1} << 31) - 1;  // protobuf's own limit
inline constexpr int kModelNodesMax = 1 << 17;
inline constexpr int kTensorRankMax = 8;
/// VGG-19 with all its weights filled needs 0.58e9.
inline constexpr int64_t kFillBytesMax = int64_t{1} << 30;
/// Instructions of 32 lanes that the interpreter runs for all kernels of a model, some seconds, the
/// elements of their tensors, and their texts.
inline constexpr uint64_t kKernelStepsMax = uint64_t{1} << 26;
inline constexpr int64_t kKernelElementsMax = int64_t{1} << 28;
inline constexpr size_t kKernelTextsBytesMax = size_t{64} << 20;

struct ImportOptions {
  /// By input name. An unknown dimension of an input that is not listed becomes 1: in practice it
  /// is the batch.
  /// An input that has a default in the file is an input only when it is listed.
  std::map<std::string, Shape> input_shapes;
  /// Values at hand, by input name. Kernels are made for one shape, so an input that decides a
  /// shape (axes, pads, a target shape) has to be known here: such an input, and no other, becomes
  /// a constant with its value from this list, and is not among Model::inputs.
  std::map<std::string, HostTensor> input_values;
  /// A few bytes of a file can ask for tensors of any size (ConstantOfShape). Up to this many bytes
  /// in all become constants at once, which lets weights be packed; beyond, they stay nodes.
  int64_t fill_bytes_max = kFillBytesMax;
  /// Where a size follows from a value that only a run gives, the graph ends, and Model::rest goes
  /// on. Else such a model is refused.
  bool in_parts = false;
  /// Kernels in the model (docs/kernels.md) are not checked by the interpreter. They touch no
  /// memory of others all the same.
  bool trusts_kernels = false;
  /// Fills Model::values.
  bool keeps_values = false;
};

/// The node at which an import failed, empty where it failed before or after the nodes.
struct ImportFailure {
  std::string op;
  std::string node;
  std::vector<std::string> inputs_needed;  // inputs whose values decide a shape at this node
};

/// An input as the file declares it.
struct DeclaredInput {
  struct Extent {
    int64_t value = 1;  // of an open one: 1, as in an import without shapes
    bool is_open = false;
    std::string symbol;  // "batch", where an open one has a name
  };
  std::string name;
  DType dtype = DType::f32;
  std::vector<Extent> extents;
  bool has_rank = true;  // false: the file tells no shape at all

  Shape shape() const;
  /// The same with -1 for an open extent; (-1) where not even their number is known.
  Shape declared_shape() const;
  /// Whether the file leaves an extent, or all, to who runs it.
  bool is_open() const;
};

struct ModelFrame;

struct ModelPath {
  std::string path;
  bool is_file = false;  // else a name for messages
};

/// A model file, read and parsed once, and made into graphs for as many shapes as are asked for.
class OnnxModel {
 public:
  /// Checks what needs no shapes: versions, operators, declared inputs. `failure` may be null.
  /// Errors: io (no such file), invalid_argument (not a model) and unsupported (an operator,
  /// version or type that Leat does not have).
  static Result<OnnxModel> read(const std::string& path, ImportFailure* failure = nullptr);
  /// The same from memory; `path` is used in messages only, and no file is read.
  static Result<OnnxModel> parse(std::string_view bytes, const std::string& path,
                                 ImportFailure* failure = nullptr);
  OnnxModel(OnnxModel&&) noexcept;
  OnnxModel& operator=(OnnxModel&&) noexcept;
  ~OnnxModel();

  /// In the order of the file; no initializers.
  const std::vector<DeclaredInput>& inputs() const;
  /// Those that the file has a value for, which holds unless another is given.
  const std::vector<DeclaredInput>& default_inputs() const;
  const onnx::ModelProto& proto() const { return *proto_; }
  /// What the file says: names, types and shapes of inputs and outputs, in which an open extent is
  /// -1, and no graph; of what is more than it can be, as of what it does not tell, (-1). An output
  /// without a type is f32. `shapes`: of inputs, where they are known. Errors: invalid_argument,
  /// for an input that is more than it can be.
  Result<Model> declared(const std::map<std::string, Shape>& shapes) const;
  /// The graph for these shapes. Errors: invalid_argument (malformed, sizes that do not fit) and
  /// unsupported (an attribute or type). `failure` may be null.
  Result<Model> specialised(const ImportOptions& options = {},
                            ImportFailure* failure = nullptr) const;

 private:
  OnnxModel(std::unique_ptr<onnx::ModelProto> proto, std::unique_ptr<ModelFrame> frame,
            ModelPath path);
  static Result<OnnxModel> parse(std::string_view bytes, ModelPath path, ImportFailure* failure);

  std::shared_ptr<const onnx::ModelProto> proto_;  // which rests of models keep, too
  std::shared_ptr<const ModelFrame> frame_;
  ModelPath path_;
  std::shared_ptr<ConstantMemory> memory_;  // where the file leaves a shape open, else null
};

/// OnnxModel::read and specialised() for those who want one graph.
Result<Model> import_onnx(const std::string& path, const ImportOptions& options = {},
                          ImportFailure* failure = nullptr);
/// OnnxModel::parse and specialised().
Result<Model> import_onnx_bytes(std::string_view bytes, const std::string& path,
                                const ImportOptions& options = {},
                                ImportFailure* failure = nullptr);

/// The table of operators as Markdown: name, versions, element types, remarks.
std::string operators_markdown();

}  // namespace leat
