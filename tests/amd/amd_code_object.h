// Loads an AMDGPU ELF object (ET_REL, as LLVM emits it) for the emulator: sections laid out in one
// image, the few relocations applied, kernels found by their descriptors.
// Layout: LLVM, "User Guide for AMDGPU Backend", "ELF Code Object", "Kernel Descriptor".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "tests/amd/amd_emulator.h"

namespace leat::amd_card {

/// The 64 bytes of a kernel descriptor that a dispatch needs.
struct KernelDescriptor {
  std::string name;
  uint32_t local_bytes = 0;
  uint32_t private_bytes = 0;
  uint32_t argument_bytes = 0;
  uint64_t entry_offset = 0;       // in the image
  uint64_t descriptor_offset = 0;  // in the image
  uint32_t rsrc1 = 0, rsrc2 = 0, rsrc3 = 0;
  uint16_t properties = 0;
};

struct CodeImage {
  std::vector<uint8_t> bytes;  // to be placed at a multiple of 4096, readable and executable
  std::vector<KernelDescriptor> kernels;
};

/// Errors: invalid_argument, for what is not such an object or uses another relocation.
Result<CodeImage> load_code_object(std::span<const uint8_t> object);

/// The launch of a kernel whose image lies at `image_va`: RSRC words as a dispatcher makes them
/// (LDS size filled in, SGPRS cleared) and the argument block's address in USER_DATA 0 and 1.
/// Errors: unsupported, when the kernel needs more than its argument block.
Result<Launch> launch_of(const KernelDescriptor& kernel, uint64_t image_va, uint64_t arguments_va);

}  // namespace leat::amd_card
