// See cuda_times.h. Source of the flag: CUDA Driver API, CU_EVENT_RECORD_EXTERNAL: in a capture the
// record becomes a node of the graph.
#include "leat/backend/cuda/cuda_times.h"

#include <cmath>

#include "leat/route/time_slots.h"

namespace leat {

namespace {

constexpr unsigned kRecordExternal = 1;

}  // namespace

CudaTimes::~CudaTimes() {
  if (!context_.enter()) return;
  for (const Epoch& epoch : epochs_) {
    if (epoch.event != nullptr) context_.api.cuEventDestroy(epoch.event);
  }
  for (const CudaHandle event : events_) {
    if (event != nullptr) context_.api.cuEventDestroy(event);
  }
}

Result<CudaHandle> CudaTimes::event_of(CudaHandle& event) {
  if (event == nullptr) TRY_CUDA(context_.api, cuEventCreate, &event, 0);
  return event;
}

// The last epoch's own distance is looked up before its predecessor may be overwritten.
Result<void> CudaTimes::renew_epoch() {
  const auto now = std::chrono::steady_clock::now();
  if (epoch_count_ > 0 && now - epoch_start_ < kEpochAge) return {};
  if (epoch_count_ > 0 && !epoch_ns(epoch_count_)) return {};  // it is still to come
  Epoch& epoch = epochs_[(epoch_count_ + 1) % kEpochsMax];
  TRY_ASSIGN(const CudaHandle event, event_of(epoch.event));
  TRY_CUDA(context_.api, cuEventRecordWithFlags, event, context_.stream, 0);
  epoch.since_first_ns = epoch_count_ == 0 ? 0 : -1;
  ++epoch_count_;
  epoch_start_ = now;
  return {};
}

Result<void> CudaTimes::mark(CudaHandle stream, uint32_t slot, bool captured) {
  TRY_ASSIGN(const CudaHandle event, event_of(events_[slot]));
  TRY_CUDA(context_.api, cuEventRecordWithFlags, event, stream, captured ? kRecordExternal : 0);
  if (!captured) epochs_of_slots_[slot] = epoch_count_;
  return {};
}

Result<double> CudaTimes::elapsed_ns(CudaHandle begin, CudaHandle end) {
  float milliseconds = 0;
  TRY_CUDA(context_.api, cuEventElapsedTime, &milliseconds, begin, end);
  return static_cast<double>(milliseconds) * 1e6;
}

Result<double> CudaTimes::epoch_ns(uint64_t number) {
  Epoch& epoch = epochs_[number % kEpochsMax];
  if (epoch.since_first_ns >= 0) return epoch.since_first_ns;
  const Epoch& before = epochs_[(number - 1) % kEpochsMax];
  CHECK(before.since_first_ns >= 0);
  TRY_ASSIGN(const double between_ns, elapsed_ns(before.event, epoch.event));
  epoch.since_first_ns = before.since_first_ns + between_ns;
  return epoch.since_first_ns;
}

Result<uint64_t> CudaTimes::time_ns(uint32_t slot) {
  const uint64_t number = epochs_of_slots_[slot];
  if (number == 0 || epoch_count_ - number >= kEpochsMax) {
    return marked_time(slot, 0);
  }
  TRY(context_.enter());
  TRY_ASSIGN(const double begin_ns, epoch_ns(number));
  TRY_ASSIGN(const double since_ns, elapsed_ns(epochs_[number % kEpochsMax].event, events_[slot]));
  return static_cast<uint64_t>(std::llround(std::max(0.0, begin_ns + since_ns)));
}

}  // namespace leat
