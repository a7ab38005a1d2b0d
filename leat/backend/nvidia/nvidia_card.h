// What the direct route must know of a chip before it drives it, asked from the kernel driver.
#pragma once

#include "leat/backend/nvidia/nvidia_rm.h"
#include "leat/device/device.h"

namespace leat {

/// Version of the launch descriptor (QMD) and of the constant bank's layout.
enum class QmdVersion : uint8_t { v3_0, v4_0, v5_0 };

struct NvidiaClasses {
  uint32_t channel = 0;
  uint32_t usermode = 0;
  uint32_t compute = 0;
  uint32_t copy = 0;
  QmdVersion qmd = QmdVersion::v4_0;
  const char* family = "";       // "Hopper"
  bool run_on_hardware = false;  // by us; the others are from the class headers alone
};

struct NvidiaCard {
  DeviceInfo info;  // without a name
  std::string uuid_hex;
  NvidiaClasses classes;
  Target target;
  uint32_t sm_version = 0;  // major * 10 + minor: 90
  uint32_t sm_count = 0;
  uint32_t warps_per_sm = 0;
  uint32_t sms_per_tpc = 0;
  uint32_t tpcs_on_die = 0;       // of the full die, which is what local memory is sized by
  uint32_t copy_engine_type = 0;  // NV2080 engine type of one with its own runlist; 0: none
  uint64_t bar1_bytes = 0;
};

/// Asks about the card that `rm` has open.
/// Errors: unsupported (a class that is missing), io.
Result<NvidiaCard> inspect_nvidia_card(NvidiaRm& rm);

}  // namespace leat
