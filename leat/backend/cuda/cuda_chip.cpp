// See cuda_chip.h.
#include "leat/backend/cuda/cuda_chip.h"

#include <fmt/format.h>

#include "leat/base/nvidia_architecture.h"
#include "leat/route/nvidia_target.h"

namespace leat {

namespace {

Result<uint32_t> attribute(const CudaApi& api, CudaDeviceId device, int number) {
  int value = 0;
  TRY_CUDA(api, cuDeviceGetAttribute, &value, number, device);
  return static_cast<uint32_t>(value);
}

Result<Target> target_of(const CudaApi& api, CudaDeviceId device) {
  NvidiaChip chip;
  TRY_ASSIGN(chip.capability_major, attribute(api, device, kCudaCapabilityMajor));
  TRY_ASSIGN(chip.capability_minor, attribute(api, device, kCudaCapabilityMinor));
  TRY_ASSIGN(chip.multiprocessors, attribute(api, device, kCudaMultiprocessorCount));
  TRY_ASSIGN(chip.shared_bytes_max, attribute(api, device, kCudaSharedBytesOptin));
  TRY_ASSIGN(chip.l2_bytes, attribute(api, device, kCudaL2CacheBytes));
  return nvidia_target(chip);
}

Result<void> fill_info(const CudaApi& api, CudaChip& chip) {
  char name[256] = {};
  TRY_CUDA(api, cuDeviceGetName, name, static_cast<int>(sizeof name - 1), chip.id);
  chip.info.chip = name;
  unsigned char uuid[16] = {};
  TRY_CUDA(api, cuDeviceGetUuid, uuid, chip.id);
  size_t memory_bytes = 0;
  TRY_CUDA(api, cuDeviceTotalMem, &memory_bytes, chip.id);
  for (const unsigned char byte : uuid) chip.uuid_hex += fmt::format("{:02x}", byte);
  chip.info.memory_bytes = memory_bytes;
  return {};
}

/// What this route relies on.
Result<std::string> refusal_of(const CudaApi& api, const CudaChip& chip) {
  if (nvidia_architecture(chip.target.llvm_cpu) < kNvidiaCapabilityMin) {
    return fmt::format("Chip \"{}\" has the architecture ({}), older than (sm_{}).", chip.info.chip,
                       chip.target.llvm_cpu, kNvidiaCapabilityMin);
  }
  TRY_ASSIGN(const uint32_t pools, attribute(api, chip.id, kCudaMemoryPools));
  if (pools == 0) return fmt::format("CUDA has no memory pools on \"{}\".", chip.info.chip);
  TRY_ASSIGN(const uint32_t writes, attribute(api, chip.id, kCudaStreamMemOps64));
  if (writes == 0) {
    return fmt::format("CUDA streams write no 64-bit values on \"{}\".", chip.info.chip);
  }
  return std::string();
}

Result<void> inspect(const CudaApi& api, int ordinal, CudaChip& chip) {
  TRY_CUDA(api, cuDeviceGet, &chip.id, ordinal);
  TRY(fill_info(api, chip));
  TRY_ASSIGN(chip.target, target_of(api, chip.id));
  TRY_ASSIGN(chip.refusal, refusal_of(api, chip));
  return {};
}

}  // namespace

CudaChip inspect_cuda_chip(const CudaApi& api, int ordinal) {
  CudaChip chip;
  chip.info.vendor = "NVIDIA";
  chip.info.driver = nvidia_driver();
  chip.info.route = Route::cuda;
  const Result<void> inspected = inspect(api, ordinal, chip);
  if (!inspected) {
    chip.refusal = fmt::format("CUDA device ({}) cannot be inspected: {}", ordinal,
                               inspected.error().message());
  }
  return chip;
}

}  // namespace leat
