// Element types: of a tensor, as a file or a user says, and of its elements in a device's memory,
// where a target that cannot store the tensor's own has a wider one (storage_on in schedule/).
#pragma once

#include <cstdint>
#include <string_view>

namespace leat {

/// From f8e4m3fn on: types of few bits, named as in ONNX. A number of them is a code that stands
/// for a float (base/small_floats.h) or a whole number; kernels compute with neither, only Cast and
/// its like convert.
enum class DType : uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  boolean,
  f8e4m3fn,
  f8e4m3fnuz,
  f8e5m2,
  f8e5m2fnuz,
  f8e8m0,
  f4e2m1,
  i4,
  u4,
  i2,
  u2
};

/// Short name: "f32", "i64", "bool".
std::string_view name_of(DType dtype);
/// Bytes of one element as the host holds it: whole ones, also of what files pack.
int64_t size_bytes_of(DType dtype);
/// Bits of one element where elements lie packed, the first in the lowest bits: below 8 for f4e2m1,
/// i4, u4, i2 and u2.
int bits_of(DType dtype);
/// True for f32, f16, bf16 and f64.
bool is_float(DType dtype);
/// True for floats that are kept as codes: f8... and f4e2m1.
bool is_small_float(DType dtype);

}  // namespace leat
