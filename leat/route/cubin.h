// What can be checked of a cubin without a GPU: that its bytes are one, for this chip, with the
// kernel that its description promises. For caches and for routes, before they trust a file.
#pragma once

#include <string_view>

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"

namespace leat {

/// True when the code of `binary` is an ELF file for the architecture of `target` that holds
/// binary.entry with one 8-byte parameter for each argument, in order and without gaps.
/// Errors: io, with the first thing that is not so.
Result<void> check_cubin(const KernelBinary& binary, const Target& target);

}  // namespace leat
