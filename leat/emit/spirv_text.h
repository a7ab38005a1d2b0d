// SPIR-V as text, for `leat dump`: one instruction a line, "%result = Name operands". It knows the
// instructions that our emitter writes; enumerants stay numbers, as in the specification's tables.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "leat/base/result.h"

namespace leat::spirv {

/// The module's instructions. Those that we never write are shown by number with their words.
/// Errors: invalid_argument, when the bytes are not a SPIR-V module of this byte order or an
/// instruction leaves it.
Result<std::string> module_text(std::span<const std::byte> module);

}  // namespace leat::spirv
