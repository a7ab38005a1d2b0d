// A chip as the CUDA driver shows it.
#pragma once

#include <string>

#include "leat/backend/cuda/cuda_api.h"
#include "leat/base/target.h"
#include "leat/device/device.h"

namespace leat {

struct CudaChip {
  CudaDeviceId id = 0;
  DeviceInfo info;  // without a name
  Target target;
  std::string uuid_hex;
  std::string refusal;  // empty when it can be used
};

/// With a refusal, where the driver does not answer.
CudaChip inspect_cuda_chip(const CudaApi& api, int ordinal);

}  // namespace leat
