// A queue of the hardware, for compute or of the copy engine (SDMA): a ring of packets, the page
// with its two pointers and the word for errors, the doorbell, and, for compute, the memory that
// the kernel wants for preempting it.
#pragma once

#include <atomic>

#include "leat/backend/amd/amd_memory.h"
#include "leat/route/command_words.h"
#include "leat/route/ring.h"

namespace leat {

class AmdChannel {
 public:
  /// `type` is kfd::kQueueCompute or kfd::kQueueSdma.
  AmdChannel(AmdKfd& kfd, AmdMemory& memory, uint32_t type)
      : kfd_(kfd), memory_(memory), type_(type), events_(kfd) {}
  ~AmdChannel();
  AmdChannel(const AmdChannel&) = delete;
  AmdChannel& operator=(const AmdChannel&) = delete;

  /// Makes the queue. A closed channel may be opened again, unless close() failed.
  /// Errors: io, out_of_memory.
  Result<void> open(const AmdCard& card);
  /// Ends what runs. Errors: device_lost, when the GPU may still use the queue's memory, which is
  /// then left to it.
  Result<void> close();
  bool is_open() const { return is_open_.load(std::memory_order_acquire); }

  /// Where `dwords` (at most kSubmitDwordsMax) are to be written, in one piece, before submit().
  /// The caller keeps what is in flight below the ring's size.
  std::byte* begin(uint32_t dwords);
  /// Hands what was written to the GPU.
  void submit(uint32_t dwords);

  /// Whether something went wrong, as far as is known. Loads.
  bool has_fault() const { return *error_word_ != 0 || events_.has_fault(); }
  /// Errors: device_lost. A load.
  Result<void> check_error_word() const;
  /// For who waits in vain: asks for faults, and rings again when the GPU seems not to have heard.
  /// Errors: device_lost. Any thread.
  Result<void> look_after();
  /// The second half of it.
  void ring_again();

  static constexpr uint32_t kRingDwords = 1u << 16;
  static constexpr uint32_t kSubmitDwordsMax = 2560;

 private:
  Result<void> allocate();
  Result<void> create(const AmdSaveArea* area, int& error);
  Result<void> reserve_save_area(const AmdSaveArea& area);
  void publish(uint64_t written);
  bool is_compute() const { return type_ == kfd::kQueueCompute; }
  /// What pointers and doorbell count: dwords, or bytes.
  uint64_t unit() const { return is_compute() ? 1 : sizeof(uint32_t); }

  AmdKfd& kfd_;
  AmdMemory& memory_;
  uint32_t type_;
  AmdFaultEvents events_;
  DirectRange ring_;
  DirectRange pointers_;
  DirectRange eop_;  // for events at the end of the pipe
  DirectRange save_area_;
  DirectRange event_page_;
  Ring<uint32_t> words_;
  std::byte* doorbells_ = nullptr;
  volatile uint64_t* doorbell_ = nullptr;
  volatile uint64_t* write_pointer_ = nullptr;
  volatile uint32_t* read_pointer_ = nullptr;
  volatile uint64_t no_error_ = 0;
  volatile uint64_t* error_word_ = &no_error_;
  std::atomic<bool> is_open_ = false;
  std::atomic_flag is_ringing_ = ATOMIC_FLAG_INIT;  // held for the few stores that publish
  std::atomic<uint32_t> stalled_at_ = ~0u;          // the read pointer, when it was last looked at
  std::atomic<uint64_t> stalled_since_ns_ = 0;
  uint32_t queue_id_ = 0;
};

}  // namespace leat
