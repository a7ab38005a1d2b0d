// A code object as LLVM writes it, taken apart for a dispatch: one image with code and descriptor,
// linked here, and the descriptor's fields, checked against the notes. Objects come from caches, so
// every offset is checked; what this route does not serve is refused.
#pragma once

#include "leat/backend/amd/amd_chips.h"
#include "leat/backend/amd/amd_notes.h"
#include "leat/base/kernel_binary.h"

namespace leat {

/// Layout: LLVM's User Guide for AMDGPU Backend, "Kernel Descriptor".
struct AmdDescriptor {
  uint32_t group_bytes = 0;
  uint32_t private_bytes = 0;
  uint32_t kernarg_bytes = 0;
  int64_t entry_offset = 0;  // from the descriptor
  uint32_t rsrc3 = 0;
  uint32_t rsrc1 = 0;
  uint32_t rsrc2 = 0;
  uint16_t properties = 0;
};

struct AmdObject {
  std::vector<std::byte> image;  // lies at a multiple of kImageAlignment
  uint64_t entry_offset = 0;     // of the first instruction, in the image
  AmdDescriptor descriptor;
  AmdKernelNotes notes;

  static constexpr uint64_t kImageAlignment = 256;  // of code; COMPUTE_PGM_LO drops 8 bits
};

/// The kernel of `binary`, for `chip`. Errors: invalid_argument.
Result<AmdObject> read_amd_object(const KernelBinary& binary, const AmdChip& chip);

}  // namespace leat
