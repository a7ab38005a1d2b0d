// What LLVM notes of a kernel beside its code: the metadata of a code object, in MessagePack. Notes
// come from caches, so everything is checked; what is not understood is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/route/elf_file.h"

namespace leat {

/// A buffer's or another argument of a kernel.
struct AmdNotedArgument {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  std::string kind;  // "global_buffer"
};

struct AmdKernelNotes {
  std::string target;  // of the whole object: "amdgcn-amd-amdhsa--gfx1100"
  std::string symbol;  // of the descriptor: "NAME.kd"
  uint64_t kernarg_bytes = 0;
  uint64_t group_bytes = 0;    // local memory
  uint64_t private_bytes = 0;  // scratch of a work-item
  uint64_t wave_lanes = 0;
  uint64_t sgprs = 0;
  uint64_t vgprs = 0;
  uint64_t sgpr_spills = 0;
  uint64_t vgpr_spills = 0;
  uint64_t workgroup_size_max = 0;
  bool has_dynamic_stack = false;
  std::vector<AmdNotedArgument> arguments;
};

/// The notes of the kernel whose descriptor is `symbol`. Errors: those of `file`.
Result<AmdKernelNotes> read_amd_notes(const ElfFile& file, const std::string& symbol);

}  // namespace leat
