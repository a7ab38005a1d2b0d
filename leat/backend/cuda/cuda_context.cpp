// See cuda_context.h. Source of the flags: CUDA Driver API, CUmemhostalloc and CUstream_flags.
#include "leat/backend/cuda/cuda_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kHostAllocMapped = 1u | 2u;  // CU_MEMHOSTALLOC_PORTABLE | _DEVICEMAP
constexpr unsigned kStreamNonBlocking = 1;      // not ordered with the legacy default stream

// How long a wait looks at the number before its first sleep.
constexpr uint64_t kSpinNs = 50'000;
// Linux wakes a sleeper up to 50 us late (timer slack), and then it must run again; so much earlier
// than expected a sleep ends, and as long the looking without pause goes on.
constexpr uint64_t kWakeNs = 120'000;
constexpr uint64_t kSleepNsMin = 20'000;
constexpr uint64_t kSleepNsMax = 2'000'000;
// A destructor of a device with unfinished work waits this long, then leaks the device.
constexpr uint64_t kCloseTimeoutNs = 5'000'000'000;

uint64_t ns_since(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

}  // namespace

uint64_t CudaFence::poll() { return __atomic_load_n(word_, __ATOMIC_ACQUIRE); }

bool CudaFence::spin_until(uint64_t value, Clock::time_point end) {
  do {
    for (int look = 0; look < 16; ++look) {
      if (poll() >= value) return true;
    }
  } while (Clock::now() < end);
  return false;
}

// A sleep is never longer than half of what has passed, lest a wait that ends sooner than the last
// one did be noticed late. Behind each the stream is asked whether the device is lost: then the
// word never changes.
Result<bool> CudaFence::wait(uint64_t value, uint64_t timeout_ns) {
  if (poll() >= value) return true;
  const Clock::time_point start = Clock::now();
  const auto after = [&](uint64_t ns) { return start + std::chrono::nanoseconds(ns); };
  const uint64_t expected_ns = expected_ns_.load(std::memory_order_relaxed);
  if (spin_until(value, after(std::min(kSpinNs, timeout_ns)))) return true;
  bool done = false;
  for (uint64_t spent_ns = ns_since(start); !done && spent_ns < timeout_ns;
       spent_ns = ns_since(start)) {
    TRY(context_.check_stream());
    uint64_t sleep_ns = std::clamp(spent_ns / 16, kSleepNsMin, kSleepNsMax);
    if (spent_ns < expected_ns + kWakeNs) {
      if (spent_ns + kWakeNs + kSleepNsMin >= expected_ns) {
        done = spin_until(value, after(std::min(expected_ns + kWakeNs, timeout_ns)));
        continue;
      }
      sleep_ns = std::clamp(spent_ns / 2, kSleepNsMin, expected_ns - kWakeNs - spent_ns);
    }
    std::this_thread::sleep_for(
        std::chrono::nanoseconds(std::min(sleep_ns, timeout_ns - spent_ns)));
    done = poll() >= value;
  }
  if (done) expected_ns_.store(ns_since(start), std::memory_order_relaxed);
  if (done || poll() >= value) return true;
  TRY(context_.check_stream());
  return false;
}

Result<void> CudaContext::open(const CudaApi& calls, CudaChip found) {
  api = calls;
  chip = std::move(found);
  TRY_CUDA(api, cuDevicePrimaryCtxRetain, &context, chip.id);
  TRY(enter());
  TRY_CUDA(api, cuStreamCreate, &stream, kStreamNonBlocking);
  void* word = nullptr;
  TRY_CUDA(api, cuMemHostAlloc, &word, sizeof(uint64_t), kHostAllocMapped);
  fence.word_ = static_cast<uint64_t*>(word);
  *fence.word_ = 0;
  TRY_CUDA(api, cuMemHostGetDevicePointer, &fence_address, word, 0);
  return {};
}

CudaContext::~CudaContext() {
  if (context == nullptr || !enter()) return;
  if (stream != nullptr && fence.word_ != nullptr) {
    const Result<uint64_t> last = has_unsubmitted ? signal() : Result<uint64_t>(submitted.load());
    if (last) {
      const Result<bool> done = fence.wait(*last, kCloseTimeoutNs);
      const bool lost = !done && done.error().kind() == ErrorKind::device_lost;
      if (!lost && (!done || !*done)) return;  // what still runs must not be destroyed
    }
  }
  for (const Retired& retired : retired_) destroy(retired.remains);
  if (stream != nullptr) api.cuStreamDestroy(stream);
  if (fence.word_ != nullptr) api.cuMemFreeHost(fence.word_);
  api.cuDevicePrimaryCtxRelease(chip.id);
}

Result<void> CudaContext::enter() {
  TRY_CUDA(api, cuCtxSetCurrent, context);
  return {};
}

Result<uint64_t> CudaContext::signal() {
  const uint64_t value = submitted.load() + 1;
  TRY_CUDA(api, cuStreamWriteValue64, stream, fence_address, value, 0);
  submitted.store(value);
  has_unsubmitted = false;
  return value;
}

Result<void> CudaContext::check_stream() {
  TRY(enter());
  const int code = api.cuStreamQuery(stream);
  if (code == kCudaSuccess || code == kCudaNotReady) return {};
  return api.error(code, "cuStreamQuery");
}

void CudaContext::retire(const CudaRemains& remains) {
  const uint64_t value = submitted.load() + (has_unsubmitted ? 1 : 0);
  if (fence.poll() >= value) return destroy(remains);
  retired_.push_back({value, remains});
}

void CudaContext::drain_retired() {
  if (retired_.empty()) return;
  const uint64_t reached = fence.poll();
  std::erase_if(retired_, [&](const Retired& retired) {
    if (retired.fence_value > reached) return false;
    destroy(retired.remains);
    return true;
  });
}

// What fails here fails because the device is lost, and then there is nothing left to free.
void CudaContext::destroy(const CudaRemains& remains) {
  if (!enter()) return;
  if (remains.executable != nullptr) api.cuGraphExecDestroy(remains.executable);
  if (remains.graph != nullptr) api.cuGraphDestroy(remains.graph);
  if (remains.module != nullptr) api.cuModuleUnload(remains.module);
  if (remains.registered_memory != nullptr) api.cuMemHostUnregister(remains.registered_memory);
  if (remains.host_memory != nullptr) api.cuMemFreeHost(remains.host_memory);
}

}  // namespace leat
