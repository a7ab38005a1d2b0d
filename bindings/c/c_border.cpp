// See c_border.h.
#include "bindings/c/c_border.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string_view>

#include "leat/base/dtype.h"
#include "leat_version.h"

namespace leat::c {

namespace {

struct TypeCode {
  leat_type code;
  DType dtype;
};
constexpr TypeCode kTypes[] = {{LEAT_F32, DType::f32},
                               {LEAT_U8, DType::u8},
                               {LEAT_I8, DType::i8},
                               {LEAT_U16, DType::u16},
                               {LEAT_I16, DType::i16},
                               {LEAT_I32, DType::i32},
                               {LEAT_I64, DType::i64},
                               {LEAT_BOOL, DType::boolean},
                               {LEAT_F16, DType::f16},
                               {LEAT_F64, DType::f64},
                               {LEAT_U32, DType::u32},
                               {LEAT_U64, DType::u64},
                               {LEAT_BF16, DType::bf16},
                               {LEAT_F8E4M3FN, DType::f8e4m3fn},
                               {LEAT_F8E4M3FNUZ, DType::f8e4m3fnuz},
                               {LEAT_F8E5M2, DType::f8e5m2},
                               {LEAT_F8E5M2FNUZ, DType::f8e5m2fnuz},
                               {LEAT_U4, DType::u4},
                               {LEAT_I4, DType::i4},
                               {LEAT_F4E2M1, DType::f4e2m1},
                               {LEAT_F8E8M0, DType::f8e8m0},
                               {LEAT_U2, DType::u2},
                               {LEAT_I2, DType::i2}};

/// Types that ONNX names and tensors of the library never have.
struct OtherType {
  leat_type code;
  std::string_view name;
};
constexpr OtherType kOtherTypes[] = {
    {LEAT_NONE, "undefined"}, {8, "string"}, {14, "complex64"}, {15, "complex128"}};

/// A buffer of the thread, not a string: a failure for lack of memory must find room.
constexpr size_t kMessageBytes = 4096;
thread_local std::array<char, kMessageBytes> thread_message = {};

leat_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument: return LEAT_INVALID_ARGUMENT;
    case ErrorKind::unsupported: return LEAT_UNSUPPORTED;
    case ErrorKind::out_of_memory: return LEAT_OUT_OF_MEMORY;
    case ErrorKind::device_lost: return LEAT_DEVICE_LOST;
    case ErrorKind::io: return LEAT_IO;
    case ErrorKind::internal: return LEAT_INTERNAL;
  }
  return LEAT_INTERNAL;
}

Error invalid(std::string message) {
  return Error(ErrorKind::invalid_argument, std::move(message));
}

}  // namespace

leat_status fail(leat_status status, const char* message) noexcept {
  const size_t size_bytes = std::min(std::strlen(message), kMessageBytes - 1);
  std::memcpy(thread_message.data(), message, size_bytes);
  thread_message[size_bytes] = '\0';
  return status;
}

leat_status fail(const Error& error) noexcept {
  return fail(status_of(error.kind()), error.message().c_str());
}

Result<void> check_given(const void* pointer, const char* what) {
  if (pointer != nullptr) return {};
  return invalid(fmt::format("Argument \"{}\" is null.", what));
}

Result<void> check_below(size_t index, size_t count, const char* what) {
  if (index < count) return {};
  return invalid(fmt::format("{} ({}) is not below their number ({}).", what, index, count));
}

Result<void> check_struct(const void* given, size_t struct_bytes, size_t known, const char* name) {
  if (struct_bytes < sizeof(size_t)) {
    return invalid(fmt::format("struct_bytes ({}) of {} is not its size.", struct_bytes, name));
  }
  if (given == nullptr || struct_bytes <= known) return {};
  constexpr size_t kStructBytesMax = 4096;  // no struct of ours; a size never set, more likely
  if (struct_bytes > kStructBytesMax) {
    return invalid(fmt::format("struct_bytes ({}) of {} is larger than the limit ({}).",
                               struct_bytes, name, kStructBytesMax));
  }
  const auto* const bytes = static_cast<const char*>(given);
  if (std::all_of(bytes + known, bytes + struct_bytes, [](char byte) { return byte == 0; })) {
    return {};
  }
  return Error(
      ErrorKind::unsupported,
      fmt::format("A member of {} is set that library {} does not know.", name, kLeatVersion));
}

std::string text_of(const char* text) { return text == nullptr ? "" : text; }

size_t bytes_of(DType dtype, const Shape& shape) {
  return static_cast<size_t>(element_count(shape) * size_bytes_of(dtype));
}

Result<TensorFacts> shape_facts_of(const leat_tensor& tensor, const std::string& what) {
  if (tensor.rank < 0 || tensor.rank > LEAT_RANK_MAX) {
    return invalid(
        fmt::format("Rank ({}) of {} is not 0 to {}.", tensor.rank, what, LEAT_RANK_MAX));
  }
  TensorFacts facts;
  facts.shape.assign(tensor.shape, tensor.shape + tensor.rank);
  if (const Result<void> checked = check_shape(facts.shape); !checked) {
    return checked.error().during("reading " + what);
  }
  return facts;
}

Result<DType> dtype_of(leat_type type) {
  for (const auto& [code, dtype] : kTypes) {
    if (code == type) return dtype;
  }
  const auto named = std::ranges::find(kOtherTypes, type, &OtherType::code);
  return Error(ErrorKind::unsupported,
               fmt::format("Element type {} is not supported.", named == std::end(kOtherTypes)
                                                                    ? fmt::format("({})", type)
                                                                    : std::string(named->name)));
}

leat_type type_of(DType dtype) {
  for (const auto& [code, each] : kTypes) {
    if (each == dtype) return code;
  }
  return LEAT_NONE;
}

Result<TensorFacts> facts_of(const leat_tensor& tensor, const std::string& what) {
  TRY_ASSIGN(TensorFacts facts, shape_facts_of(tensor, what));
  const Result<DType> dtype = dtype_of(tensor.type);
  if (!dtype) return dtype.error().during("reading " + what);
  facts.dtype = *dtype;
  facts.size_bytes = bytes_of(*dtype, facts.shape);
  if (tensor.size_bytes != facts.size_bytes) {
    return invalid(fmt::format("Size ({} bytes) of {} is not that of {} {} ({} bytes).",
                               tensor.size_bytes, what, name_of(*dtype), to_string(facts.shape),
                               facts.size_bytes));
  }
  if (tensor.data == nullptr && facts.size_bytes > 0) {
    return invalid(fmt::format("Data of {} ({} bytes) is null.", what, facts.size_bytes));
  }
  return facts;
}

Result<HostTensor> value_of(const leat_tensor& tensor, const std::string& what) {
  TRY_ASSIGN(TensorFacts facts, facts_of(tensor, what));
  const auto* const bytes = static_cast<const std::byte*>(tensor.data);
  return HostTensor{facts.dtype, std::move(facts.shape), {bytes, bytes + facts.size_bytes}};
}

void describe(DType dtype, const Shape& shape, leat_tensor& tensor) {
  CHECK(shape.size() <= LEAT_RANK_MAX);
  tensor.type = type_of(dtype);
  tensor.rank = static_cast<int32_t>(shape.size());
  std::ranges::copy(shape, tensor.shape);
  tensor.size_bytes = bytes_of(dtype, shape);
}

}  // namespace leat::c

using namespace leat;

const char* leat_message(void) { return c::thread_message.data(); }

const char* leat_status_name(leat_status status) {
  if (status == LEAT_OK) return "ok";
  if (status == LEAT_TIMEOUT) return "timeout";
  for (const ErrorKind kind :
       {ErrorKind::invalid_argument, ErrorKind::unsupported, ErrorKind::out_of_memory,
        ErrorKind::device_lost, ErrorKind::io, ErrorKind::internal}) {
    if (c::status_of(kind) == status) return name_of(kind).data();  // literals
  }
  return "unknown";
}

const char* leat_version(void) { return kLeatVersion; }
const char* leat_commit(void) { return kLeatCommit; }

size_t leat_type_bytes(leat_type type) {
  size_t size_bytes = 0;
  c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(const DType dtype, c::dtype_of(type));
    size_bytes = static_cast<size_t>(size_bytes_of(dtype));
    return {};
  });
  return size_bytes;
}

const char* leat_type_name(leat_type type) {
  const char* name = "unknown";
  c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(const DType dtype, c::dtype_of(type));
    name = name_of(dtype).data();  // a literal
    return {};
  });
  return name;
}
