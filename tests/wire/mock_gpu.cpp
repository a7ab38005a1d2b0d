#include "tests/wire/mock_gpu.h"

#ifdef LEAT_HAS_NVIDIA
#include "tests/wire/mock_device.h"
#endif

namespace leat {

#ifdef LEAT_HAS_NVIDIA

bool has_mock_gpu() { return true; }

Result<std::unique_ptr<Device>> open_mock_gpu() {
  TRY_ASSIGN(std::unique_ptr<mock::MockDevice> device, mock::MockDevice::open());
  return std::unique_ptr<Device>(std::move(device));
}

#else

bool has_mock_gpu() { return false; }

Result<std::unique_ptr<Device>> open_mock_gpu() {
  return Error(ErrorKind::unsupported, "This build has no direct route.");
}

#endif

}  // namespace leat
