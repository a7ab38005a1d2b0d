// IEEE 754 binary16 and bfloat16 conversions by bits, round to nearest even.
#pragma once

#include <cstdint>

namespace leat {

float float_from_half(uint16_t bits);
uint16_t half_from_float(float value);
float float_from_bfloat16(uint16_t bits);
uint16_t bfloat16_from_float(float value);

}  // namespace leat
