// Time stamps by events. The driver tells only the time between two events, as a float of
// milliseconds; so that its digits suffice, every slot is measured from a recent event, an epoch.
#pragma once

#include <array>
#include <chrono>

#include "leat/backend/cuda/cuda_context.h"

namespace leat {

class CudaTimes {
 public:
  explicit CudaTimes(CudaContext& context) : context_(context) {}
  ~CudaTimes();
  CudaTimes(const CudaTimes&) = delete;
  CudaTimes& operator=(const CudaTimes&) = delete;

  /// Starts a new epoch in the stream when the last is old. Before marks and replays of marks.
  Result<void> renew_epoch();
  /// Puts the mark into `stream`, which may be one that is being captured.
  Result<void> mark(CudaHandle stream, uint32_t slot, bool captured);
  /// The slot's mark runs again, in the present epoch.
  void replayed(uint32_t slot) { epochs_of_slots_[slot] = epoch_count_; }
  /// Nanoseconds since the first epoch. Errors: invalid_argument (no time, or one too old), io.
  Result<uint64_t> time_ns(uint32_t slot);

 private:
  /// Epochs kept; a slot's time must be read before that many seconds of later marks have passed.
  static constexpr uint64_t kEpochsMax = 64;
  static constexpr std::chrono::seconds kEpochAge{1};
  struct Epoch {
    CudaHandle event = nullptr;
    double since_first_ns = -1;  // negative: not known yet
  };

  Result<CudaHandle> event_of(CudaHandle& event);
  Result<double> epoch_ns(uint64_t number);
  Result<double> elapsed_ns(CudaHandle begin, CudaHandle end);

  CudaContext& context_;
  std::array<Epoch, kEpochsMax> epochs_{};  // epoch number n stands at n % kEpochsMax
  uint64_t epoch_count_ = 0;                // numbers start at 1
  std::chrono::steady_clock::time_point epoch_start_;
  std::array<CudaHandle, Queue::kTimeSlots> events_{};
  std::array<uint64_t, Queue::kTimeSlots> epochs_of_slots_{};  // 0: never marked
};

}  // namespace leat
