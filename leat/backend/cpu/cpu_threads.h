// The threads that share the workgroups of a launch. The calling thread is one of them.
// A launch is published as one number, the ticket: its epoch and the next workgroup to be taken. A
// thread takes a chunk of workgroups by moving the ticket on; a late thread fails to, as the epoch
// has changed, so nobody has to wait for threads that still sleep.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "leat/backend/cpu/cpu_code.h"
#include "leat/backend/cpu/cpu_wait.h"
#include "leat/base/result.h"

namespace leat {

class CpuThreads {
 public:
  CpuThreads() = default;
  CpuThreads(const CpuThreads&) = delete;
  ~CpuThreads();

  /// Once, before the first run: `count` threads with the caller's, at least 1. Errors:
  /// out_of_memory, as of start_thread; those that started end with this.
  Result<void> start(uint32_t count);

  /// Runs all workgroups and returns when they are done and their writes visible to the caller.
  void run(KernelEntry entry, const void* const* buffers, uint32_t group_count);

 private:
  // A launch. Atomics, because a late thread may read the launch after next's values; it then finds
  // the ticket changed and drops them.
  struct Launch {
    std::atomic<KernelEntry> entry = nullptr;
    std::atomic<const void* const*> buffers = nullptr;
    std::atomic<uint32_t> group_count = 0;
    std::atomic<uint32_t> chunk = 1;
  };

  void work();
  void run_worker();

  std::array<Launch, 2> launches_;        // by the epoch's last bit
  std::atomic<uint64_t> ticket_ = 0;      // epoch << 32 | next workgroup
  std::atomic<uint32_t> done_count_ = 0;  // workgroups of this epoch
  std::atomic<bool> stops_ = false;
  CpuWait published_;
  CpuWait finished_;
  std::vector<std::thread> workers_;
};

/// Each thread takes about this many chunks of a launch: enough to even out threads that are
/// disturbed, few enough that taking them costs nothing.
inline constexpr uint32_t kChunksPerThread = 8;

}  // namespace leat
