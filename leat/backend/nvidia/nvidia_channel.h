// A channel group with one channel: a ring of entries that point at push buffers, its two indices
// (USERD), the doorbell, and a word in which the driver reports an error. Ring and USERD lie in
// video memory and are written through the card's window, so that the GPU reads nothing over the
// bus before it starts.
#pragma once

#include <atomic>
#include <optional>

#include "leat/backend/nvidia/nvidia_card.h"
#include "leat/backend/nvidia/nvidia_memory.h"
#include "leat/backend/nvidia/nvidia_methods.h"

namespace leat {

/// What the driver reported: the number that its log calls Xid.
struct NvidiaFault {
  uint32_t code = 0;
  std::string text;  // one sentence
};

/// The doorbell page of a card, mapped for the host; shared by its channels.
class NvidiaDoorbell {
 public:
  NvidiaDoorbell() = default;
  ~NvidiaDoorbell();
  NvidiaDoorbell(const NvidiaDoorbell&) = delete;
  NvidiaDoorbell& operator=(const NvidiaDoorbell&) = delete;
  /// Errors: unsupported, io.
  Result<void> open(NvidiaRm& rm, const NvidiaCard& card);
  void ring(uint32_t token) const { os_->ring_doorbell(os_->context, register_, token); }

 private:
  const NvidiaOs* os_ = nullptr;
  std::byte* page_ = nullptr;
  volatile uint32_t* register_ = nullptr;
};

class NvidiaChannel {
 public:
  enum class Kind : uint8_t { compute, copy };

  NvidiaChannel(NvidiaRm& rm, NvidiaMemory& memory, const NvidiaDoorbell& doorbell)
      : rm_(rm), memory_(memory), doorbell_(doorbell) {}
  ~NvidiaChannel() { close(); }
  NvidiaChannel(const NvidiaChannel&) = delete;
  NvidiaChannel& operator=(const NvidiaChannel&) = delete;

  /// Makes group, channel and engine object, and starts it. A closed channel may be opened again.
  /// Errors: unsupported, io, out_of_memory.
  Result<void> open(const NvidiaCard& card, Kind kind);
  /// Frees channel and group; a running kernel is preempted by the driver. Memory stays.
  void close();
  bool is_open() const { return channel_ != 0; }

  /// Adds a segment; the GPU does not look before ring(). The caller keeps fewer than kEntries - 1
  /// segments in flight.
  void add(uint64_t address, uint32_t dwords) {
    entries_[put_ % kEntries] = method::ring_entry(address, dwords);
    ++put_;
  }
  /// Hands what was added to the GPU.
  void ring();

  /// What the driver reported about this channel, if it did. A load.
  bool has_fault() const { return notifier_->status == kNotified; }
  NvidiaFault fault() const;

  static constexpr uint32_t kEntries = 1024;

 private:
  static constexpr uint16_t kNotified = 0xFFFF;  // NvNotification.status once written

  Result<void> open_group(const NvidiaCard& card, Kind kind);
  Result<void> open_channel(const NvidiaCard& card, Kind kind);
  Result<void> schedule();

  NvidiaRm& rm_;
  NvidiaMemory& memory_;
  const NvidiaDoorbell& doorbell_;
  NvidiaRange control_;  // ring, then USERD
  NvidiaRange errors_;
  volatile uint64_t* entries_ = nullptr;
  volatile uint32_t* gp_put_ = nullptr;
  volatile rm::NvNotification* notifier_ = nullptr;
  uint32_t put_ = 0;
  uint32_t group_ = 0;
  uint32_t context_share_ = 0;
  std::atomic<uint32_t> channel_ = 0;  // waiters on other threads ask whether it is open
  uint32_t token_ = 0;
};

}  // namespace leat
