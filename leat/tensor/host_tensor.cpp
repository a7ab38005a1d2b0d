// Access to single elements of a HostTensor, by dtype. Elements are copied by bytes: the vector
// holds std::byte and nothing else lives there.
#include <cstring>

#include "leat/base/half.h"
#include "leat/base/small_floats.h"
#include "leat/tensor/graph.h"
#include "leat/tensor/scalar_math.h"

namespace leat {
namespace {

template <typename T>
T element_at(const HostTensor& tensor, int64_t index) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void put(HostTensor& tensor, int64_t index, T value) {
  std::memcpy(tensor.bytes.data() + static_cast<size_t>(index) * sizeof(T), &value, sizeof(T));
}

}  // namespace

ScalarType scalar_type_of(DType dtype) {
  if (dtype == DType::f64) return ScalarType::f64;
  if (dtype == DType::i64 || dtype == DType::u32) return ScalarType::i64;
  if (dtype == DType::u64) return ScalarType::u64;
  if (is_float(dtype)) return ScalarType::f32;
  return dtype == DType::boolean ? ScalarType::b1 : ScalarType::i32;
}

double HostTensor::number(int64_t index) const {
  switch (dtype) {
    case DType::f32: return static_cast<double>(element_at<float>(*this, index));
    case DType::f16:
      return static_cast<double>(float_from_half(element_at<uint16_t>(*this, index)));
    case DType::bf16:
      return static_cast<double>(float_from_bfloat16(element_at<uint16_t>(*this, index)));
    case DType::f64: return element_at<double>(*this, index);
    case DType::u64: return static_cast<double>(element_at<uint64_t>(*this, index));
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::boolean:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: return static_cast<double>(integer(index));
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1: return small_float_of(dtype, integer(index));
  }
  return 0;
}

int64_t HostTensor::integer(int64_t index) const {
  switch (dtype) {
    case DType::i8:
    case DType::i4:
    case DType::i2: return element_at<int8_t>(*this, index);
    case DType::u8:
    case DType::u4:
    case DType::u2:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1: return element_at<uint8_t>(*this, index);
    case DType::i16: return element_at<int16_t>(*this, index);
    case DType::u16: return element_at<uint16_t>(*this, index);
    case DType::i32: return element_at<int32_t>(*this, index);
    case DType::u32: return element_at<uint32_t>(*this, index);
    case DType::i64: return element_at<int64_t>(*this, index);
    case DType::u64: return static_cast<int64_t>(element_at<uint64_t>(*this, index));
    case DType::boolean: return element_at<uint8_t>(*this, index) != 0 ? 1 : 0;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f64: return truncate_to_integer(number(index));
  }
  return 0;
}

void HostTensor::set_number(int64_t index, double value) {
  switch (dtype) {
    case DType::f32: put(*this, index, static_cast<float>(value)); return;
    case DType::f16: put(*this, index, half_from_float(static_cast<float>(value))); return;
    case DType::bf16: put(*this, index, bfloat16_from_float(static_cast<float>(value))); return;
    case DType::f64: put(*this, index, value); return;
    case DType::boolean: put(*this, index, static_cast<uint8_t>(value != 0)); return;
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: set_integer(index, truncate_to_integer(value)); return;
    case DType::u64: set_integer(index, truncate_to(ScalarType::u64, value)); return;
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1: set_integer(index, code_of(dtype, value)); return;
  }
}

void HostTensor::set_integer(int64_t index, int64_t value) {
  switch (dtype) {
    case DType::i8: put(*this, index, static_cast<int8_t>(value)); return;
    case DType::u8:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0: put(*this, index, static_cast<uint8_t>(value)); return;
    case DType::i4:
    case DType::i2: {
      const int64_t sign = int64_t{1} << (bits_of(dtype) - 1);
      put(*this, index, static_cast<int8_t>(((value & (2 * sign - 1)) ^ sign) - sign));
      return;
    }
    case DType::f4e2m1:
    case DType::u4:
    case DType::u2:
      put(*this, index, static_cast<uint8_t>(value & ((1 << bits_of(dtype)) - 1)));
      return;
    case DType::i16: put(*this, index, static_cast<int16_t>(value)); return;
    case DType::u16: put(*this, index, static_cast<uint16_t>(value)); return;
    case DType::i32: put(*this, index, static_cast<int32_t>(value)); return;
    case DType::u32: put(*this, index, static_cast<uint32_t>(value)); return;
    case DType::i64: put(*this, index, value); return;
    case DType::u64: put(*this, index, static_cast<uint64_t>(value)); return;
    case DType::boolean: put(*this, index, static_cast<uint8_t>(value != 0 ? 1 : 0)); return;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f64: set_number(index, static_cast<double>(value)); return;
  }
}

HostTensor HostTensor::zeros(DType dtype, Shape shape) {
  HostTensor tensor{.dtype = dtype, .shape = std::move(shape), .bytes = {}};
  tensor.bytes.resize(static_cast<size_t>(element_count(tensor.shape) * size_bytes_of(dtype)));
  return tensor;
}

}  // namespace leat
