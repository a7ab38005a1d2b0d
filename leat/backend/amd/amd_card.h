// What the direct route must know of a card before it drives it: what the kernel driver's topology
// says of it, and the sizes that follow.
#pragma once

#include <vector>

#include "leat/backend/amd/amd_chips.h"
#include "leat/backend/amd/amd_os.h"
#include "leat/device/device.h"

namespace leat {

/// Where the state of running waves is saved when a queue is preempted.
struct AmdSaveArea {
  uint32_t save_bytes = 0;           // ctx_save_restore_size
  uint32_t control_stack_bytes = 0;  // ctl_stack_size
  uint32_t debug_bytes = 0;          // behind save_bytes, for debuggers
  uint64_t total_bytes() const;      // what is to be mapped
};

struct AmdCard {
  DeviceInfo info;  // without a name
  std::string uuid_hex;
  Target target;
  const AmdChip* chip = nullptr;
  uint32_t gpu_id = 0;  // KFD's; 0: KFD does not show it
  uint32_t render_minor = 0;
  uint32_t compute_units = 0;
  uint32_t shader_engines = 0;
  uint32_t scratch_waves_per_cu = 0;
  /// In the order in which kernels are to be asked: they differ in what they accept.
  std::vector<AmdSaveArea> save_areas;
};

/// Those of KFD's topology, without CPUs; where it shows none, those of render nodes. An entry that
/// cannot be driven says why in its place. Errors: unsupported, when there is neither.
Result<std::vector<Result<AmdCard>>> find_amd_cards(const AmdOs& os);

/// Source of the formula: Linux amdkfd/kfd_queue.c, kfd_queue_ctx_save_restore_size(), for one XCC
/// of gfx10.1 to gfx12.0.
AmdSaveArea save_area_of(uint32_t compute_units, uint32_t vgpr_bytes_per_cu);

}  // namespace leat
