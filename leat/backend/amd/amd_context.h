// What the parts of one open card share: the driver, memory, the fence, scratch memory of kernels,
// and the list of memory that waits for the fence before it is freed.
#pragma once

#include "leat/backend/amd/amd_memory.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"
#include "leat/route/route_fence.h"

namespace leat {

class AmdChannel;

/// The channel's error word, and the driver's events for who waits in vain: a fault ends a wait.
struct AmdFaults {
  AmdChannel* channel = nullptr;
  AmdChannel* copies = nullptr;
  AmdDrmQueue* buffers = nullptr;  // in place of both, or null

  Result<void> operator()(bool is_reached) const;
};
using AmdFence = RouteFence<AmdFaults>;

/// Scratch memory of kernels, as a launch is told of it.
struct AmdScratch {
  uint64_t address = 0;
  uint32_t tmpring_size = 0;  // COMPUTE_TMPRING_SIZE
};

/// How compute queue and copy engine wait for each other: each raises a number that the other waits
/// for, in turns, so that either is ever at the last step or the one before.
struct AmdHandoff {
  uint64_t from_compute = 0;  // addresses
  uint64_t from_copies = 0;
  uint32_t steps = 0;
  bool is_open = false;  // the copy engine has a queue
};

class AmdContext {
 public:
  using Place = AmdPlace;
  static constexpr size_t kPage = kfd::kPageBytes;

  explicit AmdContext(const AmdOs& os) : kfd(os), drm(os), memory(kfd, drm) {}
  /// Opens entry `index` of find_amd_cards() by KFD; with kByDrm added, by its render node.
  /// Errors: unsupported, io.
  Result<void> open(size_t index);
  static constexpr size_t kByDrm = size_t{1} << 16;
  bool is_by_drm() const { return drm.is_open(); }
  /// Whether waves are to run with PRIV: on the kernel's own rings nothing asks for it.
  bool needs_priv() const { return card.chip->needs_priv && !is_by_drm(); }

  // Each is written by its owner alone: `card` by who opens it, `frame` by the queue,
  // `handoff` by the submitter, and its steps by the commands.
  AmdKfd kfd;
  AmdDrm drm;
  AmdCard card;
  AmdMemory memory;
  AmdFence fence;
  AmdHandoff handoff;
  QueueFrame frame{card.info, card.target};

  /// Frees the range once all that was submitted, and what is still open, is done.
  void retire(const DirectRange& range);
  /// Frees what is no longer in use.
  void drain_retired();

  /// Scratch for kernels whose work-items need `bytes_per_item` (> 0). What was given before stays,
  /// since recorded lists name it. Errors: out_of_memory, io.
  Result<AmdScratch> reserve_scratch(uint32_t bytes_per_item);

 private:
  RetireList<DirectRange> retired_;
  AmdScratch scratch_;
  uint32_t scratch_bytes_per_item_ = 0;
};

}  // namespace leat
