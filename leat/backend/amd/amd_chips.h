// What the direct route must know of a generation of chips: how packets ask for cache work, which
// bits of a launch differ, how large a register file is saved.
#pragma once

#include <cstdint>
#include <string>

namespace leat {

/// Words of packets by generation; see amd_pm4.h for what they mean.
struct AmdGeneration {
  const char* name = "";
  uint32_t system_acquire = 0;  // GCR_CNTL: what the host or another engine wrote is seen
  uint32_t light_acquire = 0;   // GCR_CNTL between dependent launches
  uint32_t system_release = 0;  // dword 1 of RELEASE_MEM: what was written is seen by the host
  uint32_t rsrc1_bits = 0;      // of COMPUTE_PGM_RSRC1 that a descriptor may set
  uint32_t rsrc2_bits = 0;
  uint32_t rsrc3_bits = 0;
};

struct AmdChip {
  uint32_t version = 0;      // gfx_target_version of KFD's topology
  const char* target = "";   // LLVM's name
  uint32_t elf_machine = 0;  // EF_AMDGPU_MACH of its code objects
  const AmdGeneration* generation = nullptr;
  uint32_t vgpr_bytes_per_cu = 0;        // of a save area
  uint32_t vgpr_bytes_per_cu_early = 0;  // as kernels before a correction want it, or 0
  bool needs_priv = false;               // RSRC1.PRIV on KFD's queues
};

/// Null, when the chip is none that this route drives.
const AmdChip* find_amd_chip(uint32_t version);
const AmdChip* find_amd_chip(const std::string& target);
/// By the version of its graphics block, which a render node's device shows.
const AmdChip* find_amd_chip_of_block(uint32_t major, uint32_t minor, uint32_t revision);
/// Their targets: "gfx1100, gfx1101, ...".
std::string amd_chip_names();

}  // namespace leat
