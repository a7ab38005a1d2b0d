// See cuda_context.h.
#include "leat/backend/cuda/cuda_context.h"

#include <fmt/format.h>

namespace leat {

namespace {

// A destructor of a device with unfinished work waits this long, then leaks the device.
constexpr uint64_t kCloseTimeoutNs = 5'000'000'000;

}  // namespace

uint64_t CudaFence::poll() { return __atomic_load_n(word_, __ATOMIC_ACQUIRE); }

// Between sleeps the stream is asked whether the device is lost: then the word never changes.
Result<bool> CudaFence::wait(uint64_t value, uint64_t timeout_ns) {
  const auto is_reached = [&] { return poll() >= value; };
  if (is_reached()) return true;
  TRY_ASSIGN(const bool done,
             wait_.wait(timeout_ns, is_reached, [this] { return context_.check_stream(); }));
  if (!done) TRY(context_.check_stream());
  return done;
}

Result<void> CudaContext::open(const CudaApi& calls, CudaChip found) {
  api = calls;
  chip = std::move(found);
  TRY_CUDA(api, cuDevicePrimaryCtxRetain, &context, chip.id);
  TRY(enter());
  TRY_CUDA(api, cuStreamCreate, &stream, kCudaStreamNonBlocking);
  void* word = nullptr;
  TRY_CUDA(api, cuMemHostAlloc, &word, sizeof(uint64_t), kCudaHostAllocMapped);
  fence.word_ = static_cast<uint64_t*>(word);
  *fence.word_ = 0;
  TRY_CUDA(api, cuMemHostGetDevicePointer, &fence_address, word, 0);
  return {};
}

CudaContext::~CudaContext() {
  if (context == nullptr || !enter()) return;
  if (stream != nullptr && fence.word_ != nullptr) {
    const Result<uint64_t> last = frame.has_open() ? signal() : Result<uint64_t>(frame.submitted());
    if (last) {
      const Result<bool> done = fence.wait(*last, kCloseTimeoutNs);
      const bool lost = !done && done.error().kind() == ErrorKind::device_lost;
      if (!lost && (!done || !*done)) return;  // what still runs must not be destroyed
    }
  }
  const auto destroy_one = [this](const CudaRemains& remains) { destroy(remains); };
  retired_lists_.drain_all(destroy_one);
  retired_.drain_all(destroy_one);
  if (stream != nullptr) api.cuStreamDestroy(stream);
  if (fence.word_ != nullptr) api.cuMemFreeHost(fence.word_);
  api.cuDevicePrimaryCtxRelease(chip.id);
}

Result<void> CudaContext::enter() {
  TRY_CUDA(api, cuCtxSetCurrent, context);
  return {};
}

Result<uint64_t> CudaContext::signal() {
  const uint64_t value = frame.submitted() + 1;
  TRY_CUDA(api, cuStreamWriteValue64, stream, fence_address, value, 0);
  frame.set_submitted(value);
  frame.set_open(false);
  return value;
}

Result<void> CudaContext::check_stream() {
  TRY(enter());
  const int code = api.cuStreamQuery(stream);
  if (code == kCudaSuccess || code == kCudaNotReady) return {};
  return api.error(code, "cuStreamQuery");
}

void CudaContext::retire(const CudaRemains& remains) {
  const uint64_t last_use = frame.last_use();
  if (fence.poll() >= last_use) return destroy(remains);
  const bool is_list = remains.graph != nullptr || remains.executable != nullptr;
  (is_list ? retired_lists_ : retired_).add(last_use, remains);
}

void CudaContext::drain_retired(Drain what) {
  const auto destroy_one = [this](const CudaRemains& remains) { destroy(remains); };
  const uint64_t reached = fence.poll();
  retired_lists_.drain(reached, destroy_one);
  if (what == Drain::everything) retired_.drain(reached, destroy_one);
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
