// A channel group with one channel: a ring of entries that point at push buffers, its two indices
// (USERD), the doorbell, and a word in which the driver reports an error. Ring and USERD lie in
// video memory and are written through the card's window, so that the GPU reads nothing over the
// bus before it starts.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "leat/backend/nvidia/nvidia_card.h"
#include "leat/backend/nvidia/nvidia_memory.h"
#include "leat/backend/nvidia/nvidia_methods.h"
#include "leat/route/ring.h"

namespace leat {

/// What the driver reported: the number that its log calls Xid.
struct NvidiaFault {
  uint32_t code = 0;
  std::string text;  // one sentence
};

/// Ways to end what a channel runs. All are requests of an ordinary client about its own group.
enum class NvidiaStop : uint8_t {
  free,              // none before the free, which waits for the kernel's end
  stop_channel,      // off the runlist at once; error recovery of the channel when that times out
  preempt,           // group off, then a preemption with a time-out of its own
  disable_channels,  // by the subdevice's list of channels
  reset_channel,     // group off, then error recovery of the channel
  /// The group stays until the end, and a new one runs beside it. For the fault test: nothing holds
  /// back what the old one still writes, and both use one local memory.
  leave_running,
};
const char* name_of(NvidiaStop way);

/// A request of stop() or of the free after it, for reports.
struct NvidiaStopStep {
  const char* request = nullptr;
  Result<void> answer;
  double ms = 0;
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
  ~NvidiaChannel();
  NvidiaChannel(const NvidiaChannel&) = delete;
  NvidiaChannel& operator=(const NvidiaChannel&) = delete;

  /// Makes group, channel and engine object, and starts it. A closed channel may be opened again.
  /// Errors: unsupported, io, out_of_memory.
  Result<void> open(const NvidiaCard& card, Kind kind);
  /// Frees channel and group. Memory stays. The driver waits for a kernel that stop() did not end.
  void close();
  /// Ends what the channel runs, by `way`, before close(). Each request's answer is added to
  /// `steps`; a refusal is not an error, since close() frees the channel in any case.
  void stop(NvidiaStop way, std::vector<NvidiaStopStep>& steps);
  bool is_open() const { return channel_ != 0; }

  /// Adds a segment; the GPU does not look before ring(). The caller keeps fewer than kEntries - 1
  /// segments in flight.
  void add(uint64_t address, uint32_t dwords) {
    entries_.push(method::ring_entry(address, dwords));
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
  Result<void> set_scheduled(bool enabled);
  void leave();

  NvidiaRm& rm_;
  NvidiaMemory& memory_;
  const NvidiaDoorbell& doorbell_;
  DirectRange control_;  // ring, then USERD
  NvidiaNotifier errors_;
  Ring<uint64_t> entries_;
  volatile uint32_t* gp_put_ = nullptr;
  volatile rm::NvNotification* notifier_ = nullptr;
  uint32_t group_ = 0;
  uint32_t context_share_ = 0;
  std::atomic<uint32_t> channel_ = 0;  // waiters on other threads ask whether it is open
  uint32_t token_ = 0;
  uint32_t engine_type_ = 0;
  std::vector<uint32_t> left_groups_;  // by leave()
};

}  // namespace leat
