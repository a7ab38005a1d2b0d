// Element types. A DType is what a file or a user says a tensor holds; a device stores only three
// of them (f32, f16, i32): whole numbers and booleans are widened to i32 where they cross to a
// device and narrowed on the way back, so that no kernel needs 8- or 64-bit storage, which many
// GPUs lack. bf16 and f64 exist at the file level only.
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
/// The type in which a device stores it: f32 for f32 and bf16, f16 for f16, i32 for all others.
/// f64 maps to f32 too; refusing f64 is the importer's business.
DType storage_of(DType dtype);

}  // namespace leat
