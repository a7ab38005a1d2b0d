// See cuda_driver.h. The context is retained and never released: the process ends soon.
#include "bench/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "leat/base/drivers.h"

namespace leat::cli {

namespace {

struct Opened {
  CudaDriver driver;
  std::string missing;
};

Opened open_library() {
  Opened opened;
  void* library = open_driver("libcuda.so.1");
  if (library == nullptr) {
    opened.missing = "The CUDA driver's library (libcuda.so.1) does not open.";
    return opened;
  }
  const auto look_up = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) {
      opened.missing = fmt::format("The CUDA driver's library lacks the call ({}).", name);
    }
  };
  CudaDriver& d = opened.driver;
  look_up(d.init, "cuInit");
  look_up(d.version, "cuDriverGetVersion");
  look_up(d.device_count, "cuDeviceGetCount");
  look_up(d.device_name, "cuDeviceGetName");
  look_up(d.retain, "cuDevicePrimaryCtxRetain");
  look_up(d.set_current, "cuCtxSetCurrent");
  look_up(d.stream_create, "cuStreamCreate");
  look_up(d.stream_destroy, "cuStreamDestroy_v2");
  look_up(d.stream_synchronize, "cuStreamSynchronize");
  look_up(d.begin_capture, "cuStreamBeginCapture_v2");
  look_up(d.end_capture, "cuStreamEndCapture");
  look_up(d.graph_instantiate, "cuGraphInstantiateWithFlags");
  look_up(d.graph_launch, "cuGraphLaunch");
  look_up(d.graph_exec_destroy, "cuGraphExecDestroy");
  look_up(d.graph_destroy, "cuGraphDestroy");
  look_up(d.mem_alloc, "cuMemAlloc_v2");
  look_up(d.mem_free, "cuMemFree_v2");
  look_up(d.copy_in, "cuMemcpyHtoD_v2");
  look_up(d.copy_out, "cuMemcpyDtoH_v2");
  look_up(d.host_alloc, "cuMemHostAlloc");
  look_up(d.host_free, "cuMemFreeHost");
  look_up(d.host_address, "cuMemHostGetDevicePointer_v2");
  look_up(d.module_load, "cuModuleLoadData");
  look_up(d.module_unload, "cuModuleUnload");
  look_up(d.function, "cuModuleGetFunction");
  look_up(d.launch, "cuLaunchKernel");
  if (!opened.missing.empty()) return opened;
  const int code = d.init(0);
  if (code != 0) opened.missing = fmt::format("CUDA call cuInit returns ({}).", code);
  return opened;
}

Result<int> find_gpu(const CudaDriver& driver, const std::string& chip) {
  int count = 0;
  TRY(check_cuda(driver.device_count(&count), "cuDeviceGetCount"));
  for (int device = 0; device < count; ++device) {
    char name[256] = {};
    TRY(check_cuda(driver.device_name(name, sizeof name - 1, device), "cuDeviceGetName"));
    if (chip.empty() || chip.starts_with(name)) return device;
  }
  return Error(ErrorKind::unsupported, fmt::format("CUDA finds no GPU named \"{}\".", chip));
}

}  // namespace

Result<const CudaDriver*> CudaDriver::open() {
  static const Opened opened = open_library();
  if (!opened.missing.empty()) return Error(ErrorKind::unsupported, opened.missing);
  return &opened.driver;
}

Result<void> check_cuda(int code, std::string_view call) {
  if (code == 0) return {};
  return Error(ErrorKind::io, fmt::format("CUDA call {} returns ({}).", call, code));
}

Result<CudaPeer> CudaPeer::open(const std::string& chip) {
  TRY_ASSIGN(const CudaDriver* driver, CudaDriver::open());
  TRY_ASSIGN(const int device, find_gpu(*driver, chip));
  void* context = nullptr;
  TRY(check_cuda(driver->retain(&context, device), "cuDevicePrimaryCtxRetain"));
  TRY(check_cuda(driver->set_current(context), "cuCtxSetCurrent"));
  CudaPeer peer(driver);
  constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
  TRY(check_cuda(driver->stream_create(&peer.stream_, kNonBlocking), "cuStreamCreate"));
  return peer;
}

}  // namespace leat::cli
