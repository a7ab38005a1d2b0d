// What CUDA itself takes for an empty kernel: launch and synchronise, and a graph whose one kernel
// counts in a word of mapped host memory that the host polls, which is the quickest way it has.
#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "bench/cuda_driver.h"
#include "bench/peers.h"

namespace leat::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr char kKernels[] = R"(.version 6.3
.target sm_75
.address_size 64
.visible .entry nothing() { ret; }
.visible .entry count(.param .u64 word, .param .u64 counter)
{
  .reg .u64 %rd<4>;
  ld.param.u64 %rd1, [word];
  ld.param.u64 %rd2, [counter];
  ld.global.u64 %rd3, [%rd2];
  add.u64 %rd3, %rd3, 1;
  st.global.u64 [%rd2], %rd3;
  st.volatile.global.u64 [%rd1], %rd3;
  ret;
}
)";

constexpr unsigned kHostAllocMapped = 1u | 2u;  // CU_MEMHOSTALLOC_PORTABLE | _DEVICEMAP
constexpr int kCaptureRelaxed = 2;              // CU_STREAM_CAPTURE_MODE_RELAXED
constexpr double kSecondsMax = 10;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class CudaLaunches {
 public:
  explicit CudaLaunches(CudaPeer peer) : peer_(std::move(peer)) {}
  CudaLaunches(const CudaLaunches&) = delete;
  ~CudaLaunches() {
    const CudaDriver& driver = peer_.driver();
    if (executable_ != nullptr) driver.graph_exec_destroy(executable_);
    if (module_ != nullptr) driver.module_unload(module_);
    if (counter_ != 0) driver.mem_free(counter_);
    if (word_ != nullptr) driver.host_free(const_cast<uint64_t*>(word_));
  }

  Result<void> prepare() {
    const CudaDriver& driver = peer_.driver();
    TRY(check_cuda(driver.module_load(&module_, kKernels), "cuModuleLoadData"));
    TRY(check_cuda(driver.function(&nothing_, module_, "nothing"), "cuModuleGetFunction"));
    void* host = nullptr;
    TRY(check_cuda(driver.host_alloc(&host, sizeof(uint64_t), kHostAllocMapped), "cuMemHostAlloc"));
    word_ = static_cast<volatile uint64_t*>(host);
    *word_ = 0;
    TRY(check_cuda(driver.mem_alloc(&counter_, sizeof(uint64_t)), "cuMemAlloc"));
    const uint64_t zero = 0;
    TRY(check_cuda(driver.copy_in(counter_, &zero, sizeof zero), "cuMemcpyHtoD"));
    return capture();
  }

  Result<double> launch_and_synchronise() {
    const CudaDriver& driver = peer_.driver();
    const Clock::time_point start = Clock::now();
    TRY(check_cuda(driver.launch(nothing_, 1, 1, 1, 32, 1, 1, 0, peer_.stream(), nullptr, nullptr),
                   "cuLaunchKernel"));
    TRY(check_cuda(driver.stream_synchronize(peer_.stream()), "cuStreamSynchronize"));
    return seconds_since(start);
  }

  Result<double> graph_and_poll() {
    const Clock::time_point start = Clock::now();
    const uint64_t next = *word_ + 1;
    TRY(check_cuda(peer_.driver().graph_launch(executable_, peer_.stream()), "cuGraphLaunch"));
    while (*word_ < next) {
      if (seconds_since(start) > kSecondsMax) {
        return Error(ErrorKind::device_lost, "CUDA did not finish an empty kernel.");
      }
    }
    return seconds_since(start);
  }

 private:
  Result<void> capture() {
    const CudaDriver& driver = peer_.driver();
    void* count = nullptr;
    TRY(check_cuda(driver.function(&count, module_, "count"), "cuModuleGetFunction"));
    uint64_t word_address = 0;
    TRY(check_cuda(driver.host_address(&word_address, const_cast<uint64_t*>(word_), 0),
                   "cuMemHostGetDevicePointer"));
    void* parameters[] = {&word_address, &counter_};
    TRY(check_cuda(driver.begin_capture(peer_.stream(), kCaptureRelaxed), "cuStreamBeginCapture"));
    const int launched =
        driver.launch(count, 1, 1, 1, 1, 1, 1, 0, peer_.stream(), parameters, nullptr);
    void* graph = nullptr;
    TRY(check_cuda(driver.end_capture(peer_.stream(), &graph), "cuStreamEndCapture"));
    const int made = driver.graph_instantiate(&executable_, graph, 0);
    driver.graph_destroy(graph);
    TRY(check_cuda(launched, "cuLaunchKernel"));
    return check_cuda(made, "cuGraphInstantiate");
  }

  CudaPeer peer_;
  void* module_ = nullptr;
  void* nothing_ = nullptr;
  void* executable_ = nullptr;
  volatile uint64_t* word_ = nullptr;
  uint64_t counter_ = 0;
};

}  // namespace

Result<std::vector<PeerLaunch>> make_cuda_launches(const std::string& chip) {
  TRY_ASSIGN(CudaPeer peer, CudaPeer::open(chip));
  const auto launches = std::make_shared<CudaLaunches>(std::move(peer));
  TRY(launches->prepare());
  return std::vector<PeerLaunch>{
      {"cuda_launch_sync", "CUDA itself: launch, cuStreamSynchronize",
       [launches] { return launches->launch_and_synchronise(); }},
      {"cuda_graph_poll", "CUDA itself: graph, seen by polling a word",
       [launches] { return launches->graph_and_poll(); }},
  };
}

}  // namespace leat::cli
