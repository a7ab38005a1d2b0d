// What the parts of one open card share: the driver, memory, the fence, scratch memory of kernels,
// and the list of memory that waits for the fence before it is freed.
#pragma once

#include "leat/backend/amd/amd_memory.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"
#include "leat/route/watched_fence.h"

namespace leat {

class AmdChannel;

/// A word in system memory that the GPU writes. Its wait looks at the channel's error word and at
/// the driver's events too, so a fault ends it at once.
class AmdFence final : public Fence {
 public:
  /// `word` is the fence; `channel` is asked for faults.
  void open(const AmdRange& word, AmdChannel* channel);

  uint64_t poll() override { return watched_.poll(); }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    return wait_for(value, timeout_ns, WaitFor::result);
  }
  Result<bool> wait_for(uint64_t value, uint64_t timeout_ns, WaitFor what) {
    return watched_.wait(value, timeout_ns, what, [&] { return check_faults(value); });
  }

  uint64_t address() const { return address_; }
  void lose(uint64_t submitted) { watched_.lose(submitted); }
  void give_up(uint64_t submitted) { watched_.give_up(submitted); }

 private:
  Result<void> check_faults(uint64_t value);

  WatchedFence watched_;
  uint64_t address_ = 0;
  AmdChannel* channel_ = nullptr;
};

/// Scratch memory of kernels, as a launch is told of it.
struct AmdScratch {
  uint64_t address = 0;
  uint32_t tmpring_size = 0;  // COMPUTE_TMPRING_SIZE
};

class AmdContext {
 public:
  explicit AmdContext(const AmdOs& os) : kfd(os), memory(kfd) {}

  // Each is written by its owner alone: `card` by who opens it, `frame` by the queue.
  AmdKfd kfd;
  AmdCard card;
  AmdMemory memory;
  AmdFence fence;
  QueueFrame frame{card.info, card.target};

  /// Frees the range once all that was submitted, and what is still open, is done.
  void retire(const AmdRange& range);
  /// Frees what is no longer in use.
  void drain_retired();

  /// Scratch for kernels whose work-items need `bytes_per_item` (> 0). What was given before stays,
  /// since recorded lists name it. Errors: out_of_memory, io.
  Result<AmdScratch> reserve_scratch(uint32_t bytes_per_item);

 private:
  RetireList<AmdRange> retired_;
  AmdScratch scratch_;
  uint32_t scratch_bytes_per_item_ = 0;
};

}  // namespace leat
