// The rules of storage.h, one line for each type.
#include "leat/ir/storage.h"

#include <bit>

#include "leat/base/check.h"
#include "leat/base/half.h"

namespace leat::ir {
namespace {

uint64_t word_of(float value) { return std::bit_cast<uint32_t>(value); }

uint64_t word_of(int64_t whole) { return static_cast<uint32_t>(whole); }

// The low `bits` of a two's complement number.
uint64_t sign_extended(uint64_t value, int bits) {
  const uint64_t sign = uint64_t{1} << (bits - 1);
  const uint64_t low = value & (2 * sign - 1);
  return word_of(static_cast<int64_t>(low ^ sign) - static_cast<int64_t>(sign));
}

}  // namespace

uint64_t widened(DType storage, uint64_t bits) {
  switch (storage) {
    case DType::f32:
    case DType::i32:
    case DType::u32: return bits & 0xffffffffu;
    case DType::f64:
    case DType::i64:
    case DType::u64: return bits;
    case DType::f16: return word_of(float_from_half(static_cast<uint16_t>(bits)));
    case DType::bf16: return word_of(float_from_bfloat16(static_cast<uint16_t>(bits)));
    case DType::i16: return sign_extended(bits, 16);
    case DType::i8: return sign_extended(bits, 8);
    case DType::u16: return bits & 0xffffu;
    case DType::u8: return bits & 0xffu;
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: break;
  }
  CHECK(false);
}

uint64_t narrowed(DType storage, uint64_t value) {
  const float real = std::bit_cast<float>(static_cast<uint32_t>(value));
  switch (storage) {
    case DType::f32:
    case DType::i32:
    case DType::u32: return value & 0xffffffffu;
    case DType::f64:
    case DType::i64:
    case DType::u64: return value;
    case DType::f16: return half_from_float(real);
    case DType::bf16: return bfloat16_from_float(real);
    case DType::i16:
    case DType::u16: return value & 0xffffu;
    case DType::i8:
    case DType::u8: return value & 0xffu;
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: break;
  }
  CHECK(false);
}

}  // namespace leat::ir
