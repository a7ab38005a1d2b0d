// Floats of 8 and 4 bits, which are kept as codes: what each code stands for.
// Source: ONNX, "Float stored in 8 bits" and "Float stored in 4 bits"; OCP 8-bit Floating Point
// Specification 1.0; OCP Microscaling Formats 1.0, section 5.
#pragma once

#include <cstdint>

#include "leat/base/dtype.h"

namespace leat {

/// How a narrow float is laid out: sign, exponent, mantissa. A code counts without its sign.
struct FloatLayout {
  int bits = 16;
  int mantissa_bits = 0;
  int bias = 0;
  int32_t overflow = 0;  // the code of what is too large, infinity or NaN; codes below are numbers
  int32_t nan = 0;
  /// f4e2m1 has no infinity and no NaN.
  bool has_specials() const { return bits > 4; }
  /// fnuz: there is no negative zero, its code is the NaN.
  bool zero_has_no_sign() const { return bits == 8 && nan == 0x80; }
};

/// Of f16, bf16 and the small floats but f8e8m0, which is an exponent alone.
FloatLayout layout_of(DType dtype);

/// The number that a code of a small float stands for.
double small_float_of(DType dtype, int64_t code);
/// The code of the nearest number, ties to even. What is too large becomes infinity, where the type
/// has none NaN, where it has none either the largest number; f4e2m1 has -0 for NaN. f8e8m0: of
/// |number|, the next power of two from it up.
int64_t code_of(DType dtype, double number);
/// The largest finite number of a small float.
double largest_of(DType dtype);

}  // namespace leat
