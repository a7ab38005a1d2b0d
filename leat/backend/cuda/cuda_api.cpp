// See cuda_api.h. The library is never unloaded: it leaves threads behind.
#include "leat/backend/cuda/cuda_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "leat/base/drivers.h"

namespace leat {

namespace {

constexpr const char* kLibraryName = "libcuda.so.1";

// Source of the numbers: CUDA Driver API, CUresult.
ErrorKind kind_of(int code) {
  switch (code) {
    case 2: return ErrorKind::out_of_memory;  // CUDA_ERROR_OUT_OF_MEMORY
    case 1: return ErrorKind::internal;       // CUDA_ERROR_INVALID_VALUE
    case 34:                                  // CUDA_ERROR_STUB_LIBRARY
    case 100:                                 // CUDA_ERROR_NO_DEVICE
    case 101:                                 // CUDA_ERROR_INVALID_DEVICE
    case 801:                                 // CUDA_ERROR_NOT_SUPPORTED
    case 802:                                 // CUDA_ERROR_SYSTEM_NOT_READY
    case 803:                                 // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
    case 804: return ErrorKind::unsupported;  // CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
    case 214:                                 // CUDA_ERROR_ECC_UNCORRECTABLE
    case 700:                                 // CUDA_ERROR_ILLEGAL_ADDRESS
    case 702:                                 // CUDA_ERROR_LAUNCH_TIMEOUT
    case 709:                                 // CUDA_ERROR_CONTEXT_IS_DESTROYED
    case 714:                                 // CUDA_ERROR_HARDWARE_STACK_ERROR
    case 715:                                 // CUDA_ERROR_ILLEGAL_INSTRUCTION
    case 716:                                 // CUDA_ERROR_MISALIGNED_ADDRESS
    case 717:                                 // CUDA_ERROR_INVALID_ADDRESS_SPACE
    case 718:                                 // CUDA_ERROR_INVALID_PC
    case 719:                                 // CUDA_ERROR_LAUNCH_FAILED
    case 999: return ErrorKind::device_lost;  // CUDA_ERROR_UNKNOWN
    default: return ErrorKind::io;
  }
}

}  // namespace

Error CudaApi::error(int code, std::string_view call) const {
  const char* name = nullptr;
  if (cuGetErrorName == nullptr || cuGetErrorName(code, &name) != kCudaSuccess) name = nullptr;
  return Error(kind_of(code), fmt::format("CUDA call {} returns {} ({}).", call,
                                          name == nullptr ? "CUresult" : name, code));
}

Result<CudaApi> CudaApi::open() {
  void* library = open_driver(kLibraryName);
  if (library == nullptr) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("The CUDA driver's library ({}) does not open: {}.", kLibraryName, dlerror()));
  }
  CudaApi api;
  const char* missing = nullptr;
#define LEAT_CUDA(name, symbol, parameters)                                \
  api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, symbol)); \
  if (api.name == nullptr) missing = symbol;
#include "leat/backend/cuda/cuda_calls.def"
#undef LEAT_CUDA
  if (missing != nullptr) {
    return Error(ErrorKind::unsupported,
                 fmt::format("The library ({}) lacks the call ({}): its driver is too old.",
                             kLibraryName, missing));
  }
  const int code = api.cuInit(0);
  if (code != kCudaSuccess) {
    return Error(ErrorKind::unsupported, api.error(code, "cuInit").message());
  }
  return api;
}

}  // namespace leat
