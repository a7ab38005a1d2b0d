// One formula for all layouts: a number is a whole multiple of the unit of its exponent, and codes
// count these multiples through, from the subnormal ones up.
#include "leat/base/small_floats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "leat/base/check.h"

namespace leat {
namespace {

constexpr int kScaleBias = 127;  // of f8e8m0
constexpr int64_t kScaleNan = 255;

}  // namespace

FloatLayout layout_of(DType dtype) {
  switch (dtype) {
    case DType::f16: return {16, 10, 15, 0x7c00, 0x7e00};
    case DType::bf16: return {16, 7, 127, 0x7f80, 0x7fc0};
    case DType::f8e4m3fn: return {8, 3, 7, 0x7f, 0x7f};
    case DType::f8e4m3fnuz: return {8, 3, 8, 0x80, 0x80};
    case DType::f8e5m2: return {8, 2, 15, 0x7c, 0x7e};
    case DType::f8e5m2fnuz: return {8, 2, 16, 0x80, 0x80};
    case DType::f4e2m1: return {4, 1, 1, 0x7, 0x8};
    case DType::f32:
    case DType::f64:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::u64:
    case DType::boolean:
    case DType::f8e8m0:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: break;
  }
  CHECK(false);
}

double small_float_of(DType dtype, int64_t code) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (dtype == DType::f8e8m0) {
    return code == kScaleNan ? kNan : std::ldexp(1.0, static_cast<int>(code) - kScaleBias);
  }
  const FloatLayout layout = layout_of(dtype);
  const int64_t sign_bit = int64_t{1} << (layout.bits - 1);
  const int64_t size = code & (sign_bit - 1);
  const double sign = (code & sign_bit) != 0 ? -1 : 1;
  if (layout.zero_has_no_sign() && code == sign_bit) return kNan;
  if (layout.has_specials() && size >= layout.overflow) {
    const bool is_nan = size > layout.overflow || layout.overflow == layout.nan;
    return is_nan ? kNan : sign * std::numeric_limits<double>::infinity();
  }
  const int64_t one = int64_t{1} << layout.mantissa_bits;
  const int exponent = std::max(static_cast<int>(size >> layout.mantissa_bits), 1);
  const int64_t units = size < one ? size : one + (size & (one - 1));
  return sign *
         std::ldexp(static_cast<double>(units), exponent - layout.bias - layout.mantissa_bits);
}

int64_t code_of(DType dtype, double number) {
  const double size = std::fabs(number);
  if (dtype == DType::f8e8m0) {
    if (!(size <= std::numeric_limits<double>::max())) return kScaleNan;
    if (size == 0) return 0;
    int exponent = 0;
    const double fraction = std::frexp(size, &exponent);  // in [0.5, 1)
    return std::clamp(exponent - (fraction == 0.5 ? 1 : 0) + kScaleBias, 0,
                      static_cast<int>(kScaleNan));
  }
  const FloatLayout layout = layout_of(dtype);
  const int64_t sign = std::signbit(number) ? int64_t{1} << (layout.bits - 1) : 0;
  if (std::isnan(number)) return layout.nan | (layout.zero_has_no_sign() ? 0 : sign);
  int64_t code = layout.overflow;
  if (size < std::numeric_limits<double>::infinity()) {
    const int exponent = size == 0 ? 1 - layout.bias : std::max(std::ilogb(size), 1 - layout.bias);
    const double units = std::nearbyint(std::ldexp(size, layout.mantissa_bits - exponent));
    code = (static_cast<int64_t>(exponent + layout.bias - 1) << layout.mantissa_bits) +
           static_cast<int64_t>(units);
    code = std::min<int64_t>(code, layout.overflow);
  }
  return code == 0 && layout.zero_has_no_sign() ? 0 : code | sign;
}

double largest_of(DType dtype) {
  if (dtype == DType::f8e8m0) return small_float_of(dtype, kScaleNan - 1);
  const FloatLayout layout = layout_of(dtype);
  return small_float_of(dtype, layout.has_specials() ? layout.overflow - 1 : layout.overflow);
}

}  // namespace leat
