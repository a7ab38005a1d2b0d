// Whether bytes are a SPIR-V module that a driver can be handed. Vulkan drivers take the module's
// validity for granted and crash on rubbish, and a KernelBinary may come out of a damaged file.
// This is the module's outline, not a validator: header, instruction lengths, entry point, size.
// Facts: SPIR-V 1.6 specification, section 2.3 (physical layout) and 3.42 (instructions).
#pragma once

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"

namespace leat {

/// Errors: invalid_argument.
Result<void> check_spirv(const KernelBinary& binary);

}  // namespace leat
