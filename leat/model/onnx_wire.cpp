// See onnx_wire.h. A walk over the tags of those messages that have a size worth counting; all else
// is a string, a number or an unknown field, whose cost follows from its wire type.
#include "leat/model/onnx_wire.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "leat/model/onnx.pb.h"

namespace leat {
namespace {

enum class Part {
  text,     // a string, or bytes
  numbers,  // packed varints of up to 64 bits
  model,
  graph,
  node,
  attribute,
  tensor,
  sparse_tensor,
  value_info,
  type,
  tensor_type,
  shape,
  dimension,
  entry,
  opset,
  function,
};

struct Field {
  Part parent;
  uint32_t number;
  Part child;
};

// The fields of onnx.proto that are messages or packed varints.
constexpr Field kFields[] = {
    {Part::model, 7, Part::graph},          {Part::model, 8, Part::opset},
    {Part::model, 14, Part::entry},         {Part::model, 25, Part::function},
    {Part::function, 7, Part::node},        {Part::function, 9, Part::opset},
    {Part::function, 11, Part::attribute},  {Part::graph, 1, Part::node},
    {Part::graph, 5, Part::tensor},         {Part::graph, 11, Part::value_info},
    {Part::graph, 12, Part::value_info},    {Part::graph, 13, Part::value_info},
    {Part::graph, 15, Part::sparse_tensor}, {Part::node, 5, Part::attribute},
    {Part::attribute, 5, Part::tensor},     {Part::attribute, 6, Part::graph},
    {Part::attribute, 8, Part::numbers},    {Part::tensor, 1, Part::numbers},
    {Part::tensor, 5, Part::numbers},       {Part::tensor, 7, Part::numbers},
    {Part::tensor, 11, Part::numbers},      {Part::tensor, 13, Part::entry},
    {Part::sparse_tensor, 1, Part::tensor}, {Part::value_info, 2, Part::type},
    {Part::type, 1, Part::tensor_type},     {Part::tensor_type, 2, Part::shape},
    {Part::shape, 1, Part::dimension},
};

size_t object_bytes(Part part) {
  switch (part) {
    case Part::text: return sizeof(std::string);
    case Part::numbers: return 0;
    case Part::model: return sizeof(onnx::ModelProto);
    case Part::graph: return sizeof(onnx::GraphProto);
    case Part::node: return sizeof(onnx::NodeProto);
    case Part::attribute: return sizeof(onnx::AttributeProto);
    case Part::tensor: return sizeof(onnx::TensorProto);
    case Part::sparse_tensor: return sizeof(onnx::SparseTensorProto);
    case Part::value_info: return sizeof(onnx::ValueInfoProto);
    case Part::type: return sizeof(onnx::TypeProto);
    case Part::tensor_type: return sizeof(onnx::TypeProto::Tensor);
    case Part::shape: return sizeof(onnx::TensorShapeProto);
    case Part::dimension: return sizeof(onnx::TensorShapeProto::Dimension);
    case Part::entry: return sizeof(onnx::StringStringEntryProto);
    case Part::opset: return sizeof(onnx::OperatorSetIdProto);
    case Part::function: return sizeof(onnx::FunctionProto);
  }
  return 0;
}

/// The allocator's own bytes and rounding, and a pointer in a list that grows by doubling.
constexpr size_t kBlockBytes = 16 + 2 * sizeof(void*);
/// A number, or an unknown one with its tag, in a list that grows by doubling.
constexpr size_t kNumberBytes = 4 * sizeof(int64_t);

class WireScan {
 public:
  explicit WireScan(size_t limit) : left_(limit) {}

  /// Charges for all fields of a message `part` in `bytes`. False: stop, see is_over().
  bool message(std::string_view bytes, Part part, int depth) {
    if (depth > kModelNestingMax) return false;
    while (!bytes.empty()) {
      const std::optional<uint64_t> tag = varint(bytes);
      if (!tag || *tag > UINT32_MAX) return false;
      if (!field(bytes, part, static_cast<uint32_t>(*tag), depth)) return false;
    }
    return true;
  }

  bool is_over() const { return is_over_; }

 private:
  // Wire types.
  enum : uint32_t { varint_type, fixed64, delimited, group_begin, group_end, fixed32 };

  static std::optional<uint64_t> varint(std::string_view& bytes) {
    uint64_t value = 0;
    constexpr size_t kLengthMax = 10;
    for (size_t i = 0; i < std::min(bytes.size(), kLengthMax); ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      value |= static_cast<uint64_t>(byte & 0x7F) << std::min<size_t>(7 * i, 63);
      if ((byte & 0x80) != 0) continue;
      bytes.remove_prefix(i + 1);
      return value;
    }
    return std::nullopt;
  }

  static bool skip(std::string_view& bytes, uint64_t count) {
    if (count > bytes.size()) return false;
    bytes.remove_prefix(count);
    return true;
  }

  static Part child_of(Part parent, uint32_t number) {
    for (const Field& field : kFields) {
      if (field.parent == parent && field.number == number) return field.child;
    }
    return Part::text;
  }

  bool field(std::string_view& bytes, Part part, uint32_t tag, int depth) {
    switch (tag & 7) {
      case varint_type: return charge(kNumberBytes) && varint(bytes).has_value();
      case fixed64: return charge(kNumberBytes) && skip(bytes, 8);
      case fixed32: return charge(kNumberBytes) && skip(bytes, 4);
      case group_begin:  // unknown to onnx.proto; its fields are charged as the parent's would be
      case group_end: return charge(sizeof(void*) * 4 + kBlockBytes);
      case delimited: break;
    }
    if ((tag & 7) != delimited) return false;  // no wire type
    const std::optional<uint64_t> size = varint(bytes);
    if (!size || *size > bytes.size()) return false;
    const std::string_view content = bytes.substr(0, *size);
    bytes.remove_prefix(*size);
    return delimited_field(content, child_of(part, tag >> 3), depth);
  }

  bool delimited_field(std::string_view content, Part child, int depth) {
    if (child == Part::numbers) {
      const auto ends = [](char c) { return (c & 0x80) == 0; };
      return charge(static_cast<size_t>(std::ranges::count_if(content, ends)) * kNumberBytes);
    }
    if (!charge(object_bytes(child) + kBlockBytes)) return false;
    return child == Part::text || message(content, child, depth + 1);
  }

  bool charge(size_t size_bytes) {
    is_over_ = size_bytes > left_;
    if (!is_over_) left_ -= size_bytes;
    return !is_over_;
  }

  size_t left_;
  bool is_over_ = false;
};

}  // namespace

WireState check_wire(std::string_view bytes, WireRoot root, size_t object_bytes_max) {
  WireScan scan(object_bytes_max);
  const Part part = root == WireRoot::model ? Part::model : Part::tensor;
  if (scan.message(bytes, part, 1)) return WireState::good;
  return scan.is_over() ? WireState::too_large : WireState::malformed;
}

}  // namespace leat
