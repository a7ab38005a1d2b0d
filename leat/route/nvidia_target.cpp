// Source of all limits: CUDA C++ Programming Guide, "Compute Capabilities", table "Technical
// Specifications per Compute Capability": the same for 7.5 to 12.x save shared memory.
#include "leat/route/nvidia_target.h"

#include <algorithm>
#include <cctype>

#include "leat/base/files.h"

namespace leat {

namespace {

/// Chips of this capability have instructions (wgmma) that none after them has; the "a" names them.
/// Source: PTX ISA 8.0, ".target".
constexpr uint32_t kCapabilityHopper = 90;

}  // namespace

Target nvidia_target(const NvidiaChip& chip) {
  const uint32_t capability = chip.capability_major * 10 + chip.capability_minor;
  std::string architecture = "sm_" + std::to_string(capability);
  if (capability == kCapabilityHopper) architecture += 'a';
  Target target;
  target.name = "nvidia " + architecture;
  target.format = CodeFormat::cubin;
  target.tile_rates = TileRates::ptxas;
  target.llvm_triple = "nvptx64-nvidia-cuda";
  target.llvm_cpu = architecture;
  target.llvm_features = "+ptx80";  // PTX ISA 8.0: CUDA 12.0 and its drivers (525) take it
  target.wave_lanes = 32;
  target.lanes_per_workgroup_max = 1024;
  target.local_memory_bytes_max = chip.shared_bytes_max;
  target.workgroups_max[0] = 2147483647;
  target.workgroups_max[1] = 65535;
  target.workgroups_max[2] = 65535;
  target.vector_registers = 32;  // 255 registers a thread, in eights
  target.compute_units = std::max(1u, chip.multiprocessors);
  if (chip.l2_bytes > 0) target.cache_bytes = chip.l2_bytes;
  target.buffer_bindings_max = 64;  // 4096 bytes of parameters hold 512; no lowering asks for more
  return target;
}

uint32_t nvidia_shared_kib(uint32_t capability) {
  if (capability < 80) return 64;
  if (capability == 80 || capability == 87) return 164;
  const bool is_large = capability >= 90 && capability < 120;
  return is_large ? 228 : 100;
}

uint32_t nvidia_shared_bytes_max(uint32_t capability) {
  const uint32_t reserve_bytes = capability < 80 ? 0 : kNvidiaSharedReserveBytes;
  return (nvidia_shared_kib(capability) << 10) - reserve_bytes;
}

std::string nvidia_driver() {
  constexpr size_t kFileBytesMax = 4096;
  const Result<std::string> text = read_file("/proc/driver/nvidia/version", kFileBytesMax);
  return text ? nvidia_driver_of(*text) : "NVIDIA";
}

// The first line is "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release
// Build ...".
std::string nvidia_driver_of(std::string_view text) {
  const auto is_part = [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.';
  };
  text = text.substr(0, text.find('\n'));
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (word.find('.') != std::string_view::npos && std::ranges::all_of(word, is_part)) {
      return "NVIDIA " + std::string(word);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return "NVIDIA";
}

}  // namespace leat
