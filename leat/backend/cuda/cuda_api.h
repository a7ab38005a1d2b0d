// The CUDA driver's library, opened at run time: nothing of CUDA is needed to build. Its handles
// are all pointers to what only it knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

using CudaHandle = void*;
using CudaDeviceId = int;

struct CudaApi {
#define LEAT_CUDA(name, symbol, parameters) int(*name) parameters = nullptr;
#include "leat/backend/cuda/cuda_calls.def"
#undef LEAT_CUDA

  /// Opens the library and starts it. Errors: unsupported, with the reason.
  static Result<CudaApi> open();

  /// "CUDA call cuLaunchKernel returns CUDA_ERROR_... (700)."
  Error error(int code, std::string_view call) const;
};

// Values of CUresult. Source: CUDA Driver API, "Data types used by CUDA driver".
inline constexpr int kCudaSuccess = 0;
inline constexpr int kCudaNotReady = 600;

// Values of CUdevice_attribute, the same source.
inline constexpr int kCudaMultiprocessorCount = 16;
inline constexpr int kCudaL2CacheBytes = 38;
inline constexpr int kCudaCapabilityMajor = 75;
inline constexpr int kCudaCapabilityMinor = 76;
inline constexpr int kCudaSharedBytesOptin = 97;
inline constexpr int kCudaMemoryPools = 115;
inline constexpr int kCudaStreamMemOps64 = 122;  // CAN_USE_64_BIT_STREAM_MEM_OPS

// Flags, the same source.
inline constexpr unsigned kCudaHostAllocMapped = 1u | 2u;  // CU_MEMHOSTALLOC_PORTABLE | _DEVICEMAP
inline constexpr unsigned kCudaStreamNonBlocking = 1;  // not ordered with the legacy default stream

#define TRY_CUDA(api, name, ...)                                           \
  do {                                                                     \
    const int cuda_code_ = (api).name(__VA_ARGS__);                        \
    if (cuda_code_ != kCudaSuccess) return (api).error(cuda_code_, #name); \
  } while (false)

}  // namespace leat
