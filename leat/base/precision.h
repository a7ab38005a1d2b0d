// To what a user lets factors of products be rounded: of models in f32, whose sums stay f32.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

enum class Precision : uint8_t {
  f32,   // to nothing
  tf32,  // to 10 bits of mantissa, by units that take f32 so
  bf16,
  f16,
  i8,  // to whole numbers of 8 bits and a scale, found as it runs; sums are i32
};

std::string_view name_of(Precision precision);
/// "f32, tf32, bf16, f16, i8".
std::string precision_names();
/// "" is f32. Errors: invalid_argument, naming those that there are.
Result<Precision> parse_precision(std::string_view name);

}  // namespace leat
