// Driver branches whose interface is known, and in what they differ from each other.
// Source: struct sizes computed from NVIDIA/open-gpu-kernel-modules at the tags of these branches
// (nvos.h, ctrl2080fb.h, ctrl2080gpu.h, ctrla06cgpfifo.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

struct NvidiaBranch {
  uint32_t major = 0;
  uint32_t map_dma_bytes = 0;      // NVOS46: 56, since 580 64
  uint32_t schedule_bytes = 0;     // GPFIFO_SCHEDULE: 2, since 575 3
  uint32_t fb_info_bytes = 0;      // FB_GET_INFO_V2
  uint32_t name_string_bytes = 0;  // GPU_GET_NAME_STRING
  bool run_on_hardware = false;    // by us; the others are known from their headers alone
};

/// The branch of a version such as "580.159.04".
/// Errors: unsupported, for a branch whose structs are not known here.
Result<NvidiaBranch> nvidia_branch_of(std::string_view version);

}  // namespace leat
