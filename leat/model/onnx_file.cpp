// Reading and writing ONNX' protobuf messages; see onnx_file.h. Source of the rules for where a
// tensor's data lies: ONNX IR specification, onnx.proto, message TensorProto.
#include "leat/model/onnx_file.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include <bit>
#include <cstring>

#include "leat/base/files.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_external.h"
#include "leat/model/onnx_import.h"
#include "leat/model/onnx_wire.h"

namespace leat {
namespace {

using onnx::TensorProto;

static_assert(std::endian::native == std::endian::little, "raw_data is little endian");

/// `what` as in "an ONNX model".
template <typename Message>
Result<void> parse(std::string_view bytes, Message& message, WireRoot root, const std::string& path,
                   std::string_view what) {
  if (bytes.size() > kModelBytesMax) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("File \"{}\" ({} bytes) is larger than the limit ({}).", path,
                             bytes.size(), kModelBytesMax));
  }
  const WireState state = check_wire(bytes, root);
  if (state == WireState::too_large) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("File \"{}\" ({} bytes) asks for more memory beside its bytes than the "
                    "limit ({} MiB) of {}.",
                    path, bytes.size(), kModelObjectBytesMax >> 20, what));
  }
  google::protobuf::LogSilencer silence;  // the caller prints one sentence
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kModelNestingMax);
  if (state == WireState::good && message.ParseFromCodedStream(&stream) &&
      stream.ConsumedEntireMessage()) {
    return {};
  }
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("File \"{}\" ({} bytes) is truncated or is not {}.", path, bytes.size(), what));
}

std::string type_name(int code) {
  if (!TensorProto::DataType_IsValid(code)) return fmt::format("{}", code);
  std::string name = TensorProto::DataType_Name(static_cast<TensorProto::DataType>(code));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

Error malformed(const TensorProto& proto, std::string_view what) {
  return Error(ErrorKind::invalid_argument, fmt::format("Tensor \"{}\" {}.", proto.name(), what));
}

Error size_mismatch(const TensorProto& proto, int64_t found, int64_t expected) {
  return malformed(
      proto, fmt::format("has {} elements of data where its shape needs {}", found, expected));
}

/// Copies typed data, one entry per element, each converted to T.
template <typename T, typename Field>
Result<HostTensor> from_field(const TensorProto& proto, DType dtype, Shape shape,
                              const Field& field) {
  if (field.size() != element_count(shape)) {
    return size_mismatch(proto, field.size(), element_count(shape));
  }
  HostTensor tensor = HostTensor::zeros(dtype, std::move(shape));
  for (int i = 0; i < field.size(); ++i) {
    const T value = static_cast<T>(field[i]);
    std::memcpy(tensor.bytes.data() + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
  }
  return tensor;
}

/// Elements of less than 8 bits: the low bits of each entry are a byte, which holds as many as fit,
/// the first in its lowest bits.
template <typename Field>
Result<HostTensor> from_packed(const TensorProto& proto, DType dtype, Shape shape,
                               const Field& bytes) {
  const int bits = bits_of(dtype);
  const int64_t per_byte = 8 / bits;
  const int64_t count = element_count(shape);
  if (static_cast<int64_t>(bytes.size()) != (count + per_byte - 1) / per_byte) {
    return malformed(proto, fmt::format("has {} bytes of data where its shape needs {}",
                                        bytes.size(), (count + per_byte - 1) / per_byte));
  }
  HostTensor tensor = HostTensor::zeros(dtype, std::move(shape));
  for (int64_t i = 0; i < count; ++i) {
    const int byte = static_cast<uint8_t>(bytes.begin()[i / per_byte]);
    tensor.set_integer(i, byte >> (bits * static_cast<int>(i % per_byte)));
  }
  return tensor;
}

void normalise_bools(HostTensor& tensor) {
  if (tensor.dtype != DType::boolean) return;
  for (std::byte& byte : tensor.bytes) byte = byte == std::byte{0} ? std::byte{0} : std::byte{1};
}

Result<HostTensor> from_raw(const TensorProto& proto, DType dtype, Shape shape) {
  const std::string& raw = proto.raw_data();
  if (bits_of(dtype) < 8) {
    return from_packed(proto, dtype, std::move(shape), std::string_view(raw));
  }
  const int64_t size_bytes = element_count(shape) * size_bytes_of(dtype);
  if (static_cast<int64_t>(raw.size()) != size_bytes) {
    return malformed(proto, fmt::format("has {} bytes of data where its shape needs {}", raw.size(),
                                        size_bytes));
  }
  const auto bytes = std::as_bytes(std::span(raw));
  HostTensor tensor = {dtype, std::move(shape), {bytes.begin(), bytes.end()}};
  normalise_bools(tensor);
  return tensor;
}

/// Takes memory only once the file is known to have the data.
Result<HostTensor> from_external(const TensorProto& proto, DType dtype, Shape shape,
                                 ExternalData& external) {
  const int64_t count = element_count(shape);
  const int64_t per_byte = 8 / std::min(bits_of(dtype), 8);
  const int64_t size_bytes =
      bits_of(dtype) < 8 ? (count + per_byte - 1) / per_byte : count * size_bytes_of(dtype);
  TRY_ASSIGN(const ExternalData::Region region, external.find(proto, size_bytes));
  if (bits_of(dtype) < 8) {
    std::string packed(static_cast<size_t>(size_bytes), '\0');
    TRY(ExternalData::read(region, std::as_writable_bytes(std::span(packed))));
    return from_packed(proto, dtype, std::move(shape), std::string_view(packed));
  }
  HostTensor tensor = HostTensor::zeros(dtype, std::move(shape));
  TRY(ExternalData::read(region, tensor.bytes));
  normalise_bools(tensor);
  return tensor;
}

Result<HostTensor> from_typed(const TensorProto& proto, DType dtype, Shape shape) {
  const auto& whole = proto.int32_data();
  switch (dtype) {
    case DType::f32: return from_field<float>(proto, dtype, std::move(shape), proto.float_data());
    case DType::f64: return from_field<double>(proto, dtype, std::move(shape), proto.double_data());
    case DType::f16:
    case DType::bf16:  // the bits, one element in each int32
    case DType::u16: return from_field<uint16_t>(proto, dtype, std::move(shape), whole);
    case DType::i8: return from_field<int8_t>(proto, dtype, std::move(shape), whole);
    case DType::u8:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0: return from_field<uint8_t>(proto, dtype, std::move(shape), whole);
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: return from_packed(proto, dtype, std::move(shape), whole);
    case DType::i16: return from_field<int16_t>(proto, dtype, std::move(shape), whole);
    case DType::i32: return from_field<int32_t>(proto, dtype, std::move(shape), whole);
    case DType::boolean: return from_field<bool>(proto, dtype, std::move(shape), whole);
    case DType::i64: return from_field<int64_t>(proto, dtype, std::move(shape), proto.int64_data());
    case DType::u32:
      return from_field<uint32_t>(proto, dtype, std::move(shape), proto.uint64_data());
    case DType::u64:
      return from_field<uint64_t>(proto, dtype, std::move(shape), proto.uint64_data());
  }
  return malformed(proto, "has an unknown element type");
}

std::string raw_bytes(const HostTensor& tensor) {
  const size_t bits = static_cast<size_t>(bits_of(tensor.dtype));
  if (bits >= 8) {
    return std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  const size_t per_byte = 8 / bits;
  std::string packed((tensor.bytes.size() + per_byte - 1) / per_byte, '\0');
  for (size_t i = 0; i < tensor.bytes.size(); ++i) {
    const size_t code = static_cast<size_t>(tensor.bytes[i]) & ((size_t{1} << bits) - 1);
    char& byte = packed[i / per_byte];
    byte = static_cast<char>(static_cast<size_t>(byte) | code << (bits * (i % per_byte)));
  }
  return packed;
}

}  // namespace

Result<std::unique_ptr<onnx::ModelProto>> parse_model(std::string_view bytes,
                                                      const std::string& path) {
  auto model = std::make_unique<onnx::ModelProto>();
  TRY(parse(bytes, *model, WireRoot::model, path, "an ONNX model"));
  if (!model->has_graph()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("File \"{}\" ({} bytes) is not an ONNX model: it has no graph.", path,
                             bytes.size()));
  }
  return model;
}

int onnx_code_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return TensorProto::FLOAT;
    case DType::f16: return TensorProto::FLOAT16;
    case DType::bf16: return TensorProto::BFLOAT16;
    case DType::f64: return TensorProto::DOUBLE;
    case DType::i8: return TensorProto::INT8;
    case DType::u8: return TensorProto::UINT8;
    case DType::i16: return TensorProto::INT16;
    case DType::u16: return TensorProto::UINT16;
    case DType::i32: return TensorProto::INT32;
    case DType::u32: return TensorProto::UINT32;
    case DType::i64: return TensorProto::INT64;
    case DType::u64: return TensorProto::UINT64;
    case DType::boolean: return TensorProto::BOOL;
    case DType::f8e4m3fn: return TensorProto::FLOAT8E4M3FN;
    case DType::f8e4m3fnuz: return TensorProto::FLOAT8E4M3FNUZ;
    case DType::f8e5m2: return TensorProto::FLOAT8E5M2;
    case DType::f8e5m2fnuz: return TensorProto::FLOAT8E5M2FNUZ;
    case DType::f8e8m0: return TensorProto::FLOAT8E8M0;
    case DType::f4e2m1: return TensorProto::FLOAT4E2M1;
    case DType::i4: return TensorProto::INT4;
    case DType::u4: return TensorProto::UINT4;
    case DType::i2: return TensorProto::INT2;
    case DType::u2: return TensorProto::UINT2;
  }
  return TensorProto::UNDEFINED;
}

Result<DType> dtype_of_onnx(int code) {
  constexpr DType kAll[] = {DType::f32,        DType::f16,      DType::bf16,       DType::f64,
                            DType::i8,         DType::u8,       DType::i16,        DType::u16,
                            DType::i32,        DType::u32,      DType::i64,        DType::u64,
                            DType::boolean,    DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2,
                            DType::f8e5m2fnuz, DType::f8e8m0,   DType::f4e2m1,     DType::i4,
                            DType::u4,         DType::i2,       DType::u2};
  for (DType dtype : kAll) {
    if (onnx_code_of(dtype) == code) return dtype;
  }
  return Error(ErrorKind::unsupported,
               fmt::format("Element type {} is not supported.", type_name(code)));
}

Result<HostTensor> host_tensor_of(const TensorProto& proto, ExternalData* external) {
  TRY_ASSIGN(const DType dtype, dtype_of_onnx(proto.data_type()));
  const bool is_external = proto.data_location() == TensorProto::EXTERNAL;
  if (is_external && external == nullptr) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Tensor \"{}\" keeps its data in another file.", proto.name()));
  }
  if (proto.has_segment()) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Tensor \"{}\" is stored in segments.", proto.name()));
  }
  if (proto.dims_size() > kTensorRankMax) {
    return malformed(proto, fmt::format("has more dimensions ({}) than the limit ({})",
                                        proto.dims_size(), kTensorRankMax));
  }
  Shape shape(proto.dims().begin(), proto.dims().end());
  if (auto checked = check_shape(shape); !checked) {
    return checked.error().during(fmt::format("reading tensor \"{}\"", proto.name()));
  }
  if (is_external) return from_external(proto, dtype, std::move(shape), *external);
  return proto.has_raw_data() ? from_raw(proto, dtype, std::move(shape))
                              : from_typed(proto, dtype, std::move(shape));
}

Result<HostTensor> read_tensor_file(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kModelBytesMax));
  return parse_tensor_file(bytes, path);
}

Result<HostTensor> parse_tensor_file(std::string_view bytes, const std::string& path) {
  TensorProto proto;
  TRY(parse(bytes, proto, WireRoot::tensor, path, "an ONNX tensor"));
  if (proto.data_type() == TensorProto::UNDEFINED) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("File \"{}\" ({} bytes) is not an ONNX tensor: it has no type.", path,
                             bytes.size()));
  }
  Result<HostTensor> tensor = host_tensor_of(proto);
  if (!tensor) return tensor.error().during(fmt::format("reading file \"{}\"", path));
  return tensor;
}

std::string tensor_file_bytes(const HostTensor& tensor, const std::string& name) {
  TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(onnx_code_of(tensor.dtype));
  for (int64_t extent : tensor.shape) proto.add_dims(extent);
  proto.set_raw_data(raw_bytes(tensor));
  return proto.SerializeAsString();
}

}  // namespace leat
