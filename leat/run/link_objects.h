// Object files of a CPU's kernels, linked into one shared object by the system's linker: what the
// system's loader takes without a compiler.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"
#include "leat/base/target.h"

namespace leat {

/// The shared object, which exports each kernel's entry. `kernels` are native objects for `target`,
/// of different entries. Errors: unsupported, where no linker for the target is found; internal,
/// with what the linker says.
Result<std::vector<std::byte>> link_objects(std::span<const KernelBinary> kernels,
                                            const Target& target);

}  // namespace leat
