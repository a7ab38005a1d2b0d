// Element types: of a tensor, as a file or a user says, and of its elements in a device's memory,
// where a target that cannot store the tensor's own has a wider one (storage_on in schedule/).
#pragma once

#include <cstdint>
#include <string_view>

namespace leat {

enum class DType : uint8_t { f32, f16, bf16, f64, i8, u8, i16, u16, i32, u32, i64, u64, boolean };

/// Short name: "f32", "i64", "bool".
std::string_view name_of(DType dtype);
/// Bytes of one element as a file or the host holds it.
int64_t size_bytes_of(DType dtype);
/// True for f32, f16, bf16 and f64.
bool is_float(DType dtype);

}  // namespace leat
