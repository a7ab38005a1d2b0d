// Access to single elements of a HostTensor, by dtype. Elements are copied by bytes: the vector
// holds std::byte and nothing else lives there.
#include <cstring>

#include "leat/base/half.h"
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
    case DType::boolean: return static_cast<double>(integer(index));
  }
  return 0;
}

int64_t HostTensor::integer(int64_t index) const {
  switch (dtype) {
    case DType::i8: return element_at<int8_t>(*this, index);
    case DType::u8: return element_at<uint8_t>(*this, index);
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
    case DType::u64: set_integer(index, truncate_to_integer(value)); return;
  }
}

void HostTensor::set_integer(int64_t index, int64_t value) {
  switch (dtype) {
    case DType::i8: put(*this, index, static_cast<int8_t>(value)); return;
    case DType::u8: put(*this, index, static_cast<uint8_t>(value)); return;
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
