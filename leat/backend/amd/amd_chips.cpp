// Sources. Versions and names: Linux amdkfd/kfd_device.c. Machines: LLVM's User Guide for AMDGPU
// Backend, "ELF Header", EF_AMDGPU_MACH_AMDGCN_*. Cache words: ROCm/hrx-system
// libamdf/cts/gpu/pm4/encoding/commands_test.cc; the light acquire (scalar, vector and first-level
// cache): warpfront/redline pm4_gfx10.rs, ROCm/legacy-rocm-build issue 6409. Bits of registers:
// Linux asic_reg/gc/gc_11_0_0_sh_mask.h and gc_12_0_0_sh_mask.h. Register bytes: Linux
// amdkfd/kfd_queue.c; gfx1151's were corrected by commit b42f3bf9536c. PRIV keeps hardware traps
// out of gfx11.0: ROCm kfdtest Dispatch.cpp.
#include "leat/backend/amd/amd_chips.h"

#include <algorithm>

namespace leat {

namespace {

constexpr AmdGeneration kGfx11 = {"gfx11",    0xc3a1,     0x380,     0x0030e528,
                                  0xe4bff03f, 0x00007fff, 0x800003f0};
constexpr AmdGeneration kGfx12 = {"gfx12",    0xc181,     0x180,     0x00304528,
                                  0xe4fff03f, 0x80007fff, 0x80002ff0};

constexpr AmdChip kChips[] = {
    {110000, "gfx1100", 0x41, &kGfx11, 0x60000, 0, true},
    {110001, "gfx1101", 0x46, &kGfx11, 0x60000, 0, true},
    {110002, "gfx1102", 0x47, &kGfx11, 0x40000, 0, true},
    {110003, "gfx1103", 0x44, &kGfx11, 0x40000, 0, true},
    {110500, "gfx1150", 0x43, &kGfx11, 0x40000, 0, false},
    {110501, "gfx1151", 0x4a, &kGfx11, 0x60000, 0x40000, false},
    {110502, "gfx1152", 0x55, &kGfx11, 0x40000, 0, false},
    {120000, "gfx1200", 0x48, &kGfx12, 0x60000, 0, false},
    {120001, "gfx1201", 0x4e, &kGfx12, 0x60000, 0, false},
};

template <typename Is>
const AmdChip* find_chip(const Is& is) {
  const auto* chip = std::ranges::find_if(kChips, is);
  return chip == std::end(kChips) ? nullptr : chip;
}

}  // namespace

const AmdChip* find_amd_chip(uint32_t version) {
  return find_chip([&](const AmdChip& chip) { return chip.version == version; });
}

const AmdChip* find_amd_chip(const std::string& target) {
  return find_chip([&](const AmdChip& chip) { return chip.target == target; });
}

// Compilers number two chips otherwise than the hardware does: Linux amdkfd/kfd_device.c.
const AmdChip* find_amd_chip_of_block(uint32_t major, uint32_t minor, uint32_t revision) {
  uint32_t version = major * 10000 + minor * 100 + revision;
  switch (version) {
    case 110001:
    case 110004: version = 110003; break;
    case 110003: version = 110001; break;
    default: break;
  }
  return find_amd_chip(version);
}

std::string amd_chip_names() {
  std::string names;
  for (const AmdChip& chip : kChips)
    names += (names.empty() ? "" : ", ") + std::string(chip.target);
  return names;
}

}  // namespace leat
