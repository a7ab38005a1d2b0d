// See cpu_threads.h.
#include "leat/backend/cpu/cpu_threads.h"

#include <algorithm>

#include "leat/base/thread_start.h"

namespace leat {

Result<void> CpuThreads::start(uint32_t count) {
  CHECK(count >= 1 && workers_.empty());
  for (uint32_t i = 1; i < count; ++i) {
    TRY_ASSIGN(std::thread worker, start_thread([this] { run_worker(); }));
    workers_.push_back(std::move(worker));
  }
  return {};
}

CpuThreads::~CpuThreads() {
  stops_.store(true, std::memory_order_release);
  published_.wake();
  for (std::thread& worker : workers_) worker.join();
}

void CpuThreads::run(KernelEntry entry, const void* const* buffers, uint32_t group_count) {
  if (workers_.empty() || group_count <= 1) {
    entry(buffers, 0, group_count);
    return;
  }
  const uint32_t thread_count = static_cast<uint32_t>(workers_.size()) + 1;
  const uint64_t epoch = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  Launch& launch = launches_[epoch % 2];
  launch.entry.store(entry, std::memory_order_relaxed);
  launch.buffers.store(buffers, std::memory_order_relaxed);
  launch.group_count.store(group_count, std::memory_order_relaxed);
  launch.chunk.store(std::max(1u, group_count / (thread_count * kChunksPerThread)),
                     std::memory_order_relaxed);
  done_count_.store(0, std::memory_order_relaxed);
  ticket_.store(epoch << 32, std::memory_order_release);
  published_.wake();
  work();
  finished_.wait([&] { return done_count_.load(std::memory_order_acquire) == group_count; });
}

// Takes chunks of the current launch until none is left.
void CpuThreads::work() {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  const uint64_t epoch = ticket >> 32;
  const Launch& launch = launches_[epoch % 2];
  const KernelEntry entry = launch.entry.load(std::memory_order_relaxed);
  const void* const* buffers = launch.buffers.load(std::memory_order_relaxed);
  const uint32_t group_count = launch.group_count.load(std::memory_order_relaxed);
  const uint32_t chunk = launch.chunk.load(std::memory_order_relaxed);
  while (ticket >> 32 == epoch && static_cast<uint32_t>(ticket) < group_count) {
    const uint32_t first = static_cast<uint32_t>(ticket);
    const uint32_t count = std::min(chunk, group_count - first);
    if (!ticket_.compare_exchange_weak(ticket, ticket + count, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;
    }
    entry(buffers, first, first + count);
    const uint32_t before = done_count_.fetch_add(count, std::memory_order_acq_rel);
    if (before + count == group_count) finished_.wake();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void CpuThreads::run_worker() {
  uint64_t seen = 0;
  while (true) {
    published_.wait([&] {
      return ticket_.load(std::memory_order_acquire) >> 32 != seen ||
             stops_.load(std::memory_order_acquire);
    });
    if (stops_.load(std::memory_order_acquire)) return;
    seen = ticket_.load(std::memory_order_acquire) >> 32;
    work();
  }
}

}  // namespace leat
