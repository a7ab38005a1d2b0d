// What the parts of one open card share: the driver's client, memory, doorbell, local memory of the
// shaders, the fence, and the list of memory that waits for the fence before it is freed.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "leat/backend/nvidia/nvidia_card.h"
#include "leat/backend/nvidia/nvidia_channel.h"
#include "leat/backend/nvidia/nvidia_memory.h"
#include "leat/device/spin.h"

namespace leat {

/// A word in cached system memory that the GPU writes. Its wait looks at the channels' error words
/// too, so a fault ends it at once. A kernel that faults may still end and set the word before the
/// driver reports the fault, so a value is believed only when it was seen with no fault reported.
class NvidiaFence final : public Fence {
 public:
  /// `word` is the fence; `channels` are asked for faults.
  void open(NvidiaRange word, std::vector<const NvidiaChannel*> channels);

  uint64_t poll() override {
    return std::atomic_ref<uint64_t>(*word_).load(std::memory_order_acquire);
  }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    return wait_until(value, timeout_ns, true);
  }
  /// For who needs the memory of the work and not its result: what was given up counts as done.
  Result<bool> wait_for_room(uint64_t value, uint64_t timeout_ns) {
    return wait_until(value, timeout_ns, false);
  }

  uint64_t address() const { return address_; }
  /// Values up to `submitted` that were not believed so far never will be: waiting for one gives
  /// device_lost. Called before the channels are closed, so that no waiter finds neither.
  void lose(uint64_t submitted);
  /// The number moves on to `submitted`: what was lost is over.
  void give_up(uint64_t submitted);

 private:
  Result<bool> wait_until(uint64_t value, uint64_t timeout_ns, bool for_result);
  Result<bool> look(uint64_t value, bool for_result);
  bool is_lost(uint64_t value) const;
  const NvidiaChannel* faulty_channel() const;

  /// Losses kept apart; the last one grows over later ones, and then takes in what was done
  /// between.
  static constexpr size_t kLossesMax = 256;
  struct Loss {
    uint64_t after = 0;
    std::atomic<uint64_t> until = 0;
  };

  uint64_t* word_ = nullptr;
  uint64_t address_ = 0;
  PolledWait wait_;
  std::vector<const NvidiaChannel*> channels_;
  std::atomic<uint64_t> believed_ = 0;  // the largest value for which wait() said so
  std::array<Loss, kLossesMax> losses_;
  std::atomic<size_t> loss_count_ = 0;
};

/// The constant bank of a kernel's launches, without parameters. It outlives its kernel until the
/// commands that launch it are written.
struct NvidiaBank {
  std::vector<std::byte> bytes;
  uint32_t parameter_offset = 0;
  /// Bytes [kBankHeadBytes, parameters' line) are zero, as the compiler nearly always leaves them.
  bool is_sparse = false;
};

class NvidiaContext {
 public:
  explicit NvidiaContext(const NvidiaOs& os) : rm(os), memory(rm) {}

  NvidiaRm rm;
  NvidiaCard card;
  NvidiaMemory memory;
  NvidiaDoorbell doorbell;
  NvidiaFence fence;
  uint64_t submitted = 0;        // the last value handed out
  bool caches_are_stale = true;  // code or constants were written since the last invalidate

  bool has_open_commands = false;  // some that the next submit hands over, or that are recorded
  uint64_t first_sign_timeout_ns = 5'000'000'000;  // of new channels

  /// Frees range and bank once all that was submitted, and what is still open, is done.
  void retire(const NvidiaRange& range, std::unique_ptr<NvidiaBank> bank = nullptr);
  /// Frees what is no longer in use.
  void drain_retired();

  /// Local memory of the shaders, for kernels whose threads need `bytes_per_thread`.
  /// Errors: out_of_memory, io.
  Result<void> reserve_local_memory(uint32_t bytes_per_thread);
  struct LocalMemory {
    NvidiaRange range;
    uint64_t bytes_per_thread = 0;
    uint64_t bytes_per_tpc = 0;
    bool is_set = true;  // the channel knows it
  };
  LocalMemory local;

 private:
  struct Retired {
    NvidiaRange range;
    std::unique_ptr<NvidiaBank> bank;
    uint64_t fence_value = 0;
  };
  std::vector<Retired> retired_;
};

}  // namespace leat
