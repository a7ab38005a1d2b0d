// See gpu_nodes.h.
#include "leat/backend/gpu_nodes.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>

namespace leat {

namespace {

/// How the names of device files begin that are not below /dev/dri, where Linux' own drivers have
/// theirs. Sources: NVIDIA's driver README, "Device Nodes"; L4T's nvhost and nvmap; the kernel's
/// drivers/gpu/drm/amd/amdkfd/kfd_chardev.c; Arm's kbase (mali_kbase_core_linux.c); Qualcomm's
/// kgsl.h; Imagination's pvr_drv; Vivante's gc_hal_kernel_driver.c; Microsoft's
/// drivers/hv/dxgkrnl.
constexpr std::string_view kNodes[] = {"nvidia", "nvhost", "nvmap", "nvgpu",   "kfd",
                                       "mali",   "kgsl",   "pvr",   "galcore", "dxg"};

bool has_none(const std::filesystem::path& folder) {
  std::error_code error;
  return std::filesystem::is_empty(folder, error) && !error;
}

}  // namespace

bool may_have_gpu(const std::string& folder) {
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  if (error) return true;
  for (; entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == "dri" && !has_none(entry->path())) return true;
    const auto begins = [&](std::string_view node) { return name.starts_with(node); };
    if (std::any_of(std::begin(kNodes), std::end(kNodes), begins)) return true;
    if (error) return true;
  }
  return false;
}

}  // namespace leat
