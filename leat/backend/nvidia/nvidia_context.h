// What the parts of one open card share: the driver's client, memory, doorbell, what the channel is
// to be told of the shaders, the fence, and the list of memory that waits for the fence before it
// is freed.
#pragma once

#include <memory>
#include <vector>

#include "leat/backend/nvidia/nvidia_card.h"
#include "leat/backend/nvidia/nvidia_channel.h"
#include "leat/backend/nvidia/nvidia_memory.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"
#include "leat/route/route_fence.h"

namespace leat {

/// The channels' error words, so that a fault ends a wait at once.
struct NvidiaFaults {
  std::vector<const NvidiaChannel*> channels;

  Result<void> operator()(bool is_reached) const;
};
using NvidiaFence = RouteFence<NvidiaFaults>;

/// Local memory of the shaders, as the channel is told of it.
struct NvidiaLocalMemory {
  DirectRange range;
  uint64_t bytes_per_thread = 0;
  uint64_t bytes_per_tpc = 0;
};

/// What the compute channel must be told before the next launch: that caches hold old code or
/// constants, and where local memory lies. Kernels and commands say what they changed; the queue
/// asks, and tells the channel.
class NvidiaShaderSetup {
 public:
  /// Code or constants were written where others may have lain.
  void set_caches_stale() { caches_are_stale_ = true; }
  void set_local(const NvidiaLocalMemory& local) {
    local_ = local;
    local_is_told_ = false;
  }
  const NvidiaLocalMemory& local() const { return local_; }
  /// A new channel knows nothing.
  void forget_told() {
    caches_are_stale_ = true;
    local_is_told_ = local_.bytes_per_thread == 0;
  }

  bool is_told() const { return !caches_are_stale_ && local_is_told_; }
  bool caches_are_stale() const { return caches_are_stale_; }
  bool local_is_told() const { return local_is_told_; }
  void told_caches() { caches_are_stale_ = false; }
  void told_local() { local_is_told_ = true; }

 private:
  NvidiaLocalMemory local_;
  bool local_is_told_ = true;
  bool caches_are_stale_ = true;
};

/// The constant bank of a kernel's launches, without parameters. It outlives its kernel until the
/// commands that launch it are written.
struct NvidiaBank {
  std::vector<std::byte> bytes;
  uint32_t parameter_offset = 0;
  uint32_t grid_offset = 0;  // of three u32
  /// Bytes [kBankHeadBytes, parameters' line) are zero, as the compiler nearly always leaves them.
  bool is_sparse = false;
};

class NvidiaContext {
 public:
  using Place = NvidiaPlace;
  static constexpr size_t kPage = NvidiaMemory::kPage;

  explicit NvidiaContext(const NvidiaOs& os) : rm(os), memory(rm) {}
  /// Opens card `index` of the driver's, without channels. Errors: unsupported, io, out_of_memory.
  Result<void> open(size_t index);

  // Each is written by its owner alone: `card` by who opens it, `frame` by the queue.
  NvidiaRm rm;
  NvidiaCard card;
  NvidiaMemory memory;
  NvidiaDoorbell doorbell;
  NvidiaFence fence;
  NvidiaShaderSetup setup;
  QueueFrame frame{card.info, card.target};  // open: what is submitted next, or recorded

  /// Frees range and bank once all that was submitted, and what is still open, is done.
  void retire(const DirectRange& range, std::unique_ptr<NvidiaBank> bank = nullptr);
  /// Frees what is no longer in use.
  void drain_retired();

  /// Local memory of the shaders, for kernels whose threads need `bytes_per_thread`.
  /// Errors: out_of_memory, io.
  Result<void> reserve_local_memory(uint32_t bytes_per_thread);

 private:
  struct Remains {
    DirectRange range;
    std::unique_ptr<NvidiaBank> bank;
  };
  RetireList<Remains> retired_;
};

}  // namespace leat
