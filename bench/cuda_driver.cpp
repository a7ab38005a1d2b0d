// See cuda_driver.h. The context is retained and never released: the process ends soon.
#include "bench/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <chrono>

#include "leat/base/drivers.h"

namespace leat::cli {

namespace {

constexpr int kCaptureRelaxed = 2;  // CU_STREAM_CAPTURE_MODE_RELAXED

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

Result<uint64_t> CudaPeer::allocate(size_t size_bytes) const {
  uint64_t address = 0;
  TRY(check_cuda(driver_->mem_alloc(&address, size_bytes), "cuMemAlloc"));
  return address;
}

Result<uint64_t> CudaPeer::upload(std::span<const std::byte> bytes) const {
  TRY_ASSIGN(const uint64_t address, allocate(bytes.size()));
  TRY(check_cuda(driver_->copy_in(address, bytes.data(), bytes.size()), "cuMemcpyHtoD"));
  return address;
}

CudaRepeats::~CudaRepeats() {
  for (const auto& [count, executable] : graphs_) {
    if (executable != nullptr) peer_.driver().graph_exec_destroy(executable);
  }
}

Result<double> CudaRepeats::run(uint32_t repeats) {
  TRY_ASSIGN(void* const graph, graph_of(repeats));
  const CudaDriver& driver = peer_.driver();
  const auto start = std::chrono::steady_clock::now();
  if (graph != nullptr) {
    TRY(check_cuda(driver.graph_launch(graph, peer_.stream()), "cuGraphLaunch"));
  } else {
    TRY(execute_(repeats));
  }
  TRY(check_cuda(driver.stream_synchronize(peer_.stream()), "cuStreamSynchronize"));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<void*> CudaRepeats::graph_of(uint32_t repeats) {
  if (const auto known = graphs_.find(repeats); known != graphs_.end()) return known->second;
  const CudaDriver& driver = peer_.driver();
  void* graph = nullptr;
  void* executable = nullptr;
  TRY(check_cuda(driver.begin_capture(peer_.stream(), kCaptureRelaxed), "cuStreamBeginCapture"));
  const bool executed = execute_(repeats).has_value();
  const bool captured = driver.end_capture(peer_.stream(), &graph) == 0 && executed;
  if (captured && driver.graph_instantiate(&executable, graph, 0) != 0) executable = nullptr;
  if (graph != nullptr) driver.graph_destroy(graph);
  graphs_[repeats] = executable;
  return executable;
}

}  // namespace leat::cli
