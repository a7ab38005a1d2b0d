// What the files of this folder share of one open device: its calls, context and stream, the Fence,
// and the list of things to destroy once the work that uses them is done.
//
// The Fence is a 64-bit word in mapped host memory that the stream writes behind each submit's work
// (cuStreamWriteValue64). A wait looks at it, first in a loop, then between sleeps: no call of the
// driver waits for one point of a stream and has a deadline. How long the last wait took tells when
// to stop sleeping and to look again without pause.
#pragma once

#include "leat/backend/cuda/cuda_chip.h"
#include "leat/device/spin.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"

namespace leat {

struct CudaContext;

/// Any thread may poll and wait.
class CudaFence final : public Fence {
 public:
  explicit CudaFence(CudaContext& context) : context_(context) {}
  uint64_t poll() override;
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override;

 private:
  friend struct CudaContext;

  CudaContext& context_;
  uint64_t* word_ = nullptr;
  PolledWait wait_;
};

/// Handles that die together; those that are null are skipped.
struct CudaRemains {
  void* host_memory = nullptr;
  void* registered_memory = nullptr;  // the caller's
  CudaHandle module = nullptr;
  CudaHandle executable = nullptr;
  CudaHandle graph = nullptr;
};

/// Not copied, not moved: everything else borrows it.
struct CudaContext {
  CudaContext() : fence(*this) {}
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;
  ~CudaContext();

  /// Errors: unsupported, io, out_of_memory.
  Result<void> open(const CudaApi& calls, CudaChip found);

  /// Makes the context current in the calling thread, which most calls need.
  Result<void> enter();
  /// Queues the write of the next fence value behind the stream's work and returns the value.
  Result<uint64_t> signal();
  /// The stream's state: an Error when the device is lost.
  Result<void> check_stream();

  /// Destroys `remains` now, or once everything in the stream is done.
  void retire(const CudaRemains& remains);
  /// Destroys what is done with. Lists only: what a submit may do, since freeing memory and
  /// unloading a module wait for the whole device inside the driver.
  enum class Drain : uint8_t { lists, everything };
  void drain_retired(Drain what);

  CudaApi api;
  CudaChip chip;
  CudaHandle context = nullptr;
  CudaHandle stream = nullptr;
  CudaFence fence;
  uint64_t fence_address = 0;
  QueueFrame frame{chip.info, chip.target};  // open: work in the stream behind the last value

 private:
  void destroy(const CudaRemains& remains);

  RetireList<CudaRemains> retired_lists_;
  RetireList<CudaRemains> retired_;  // all else
};

}  // namespace leat
