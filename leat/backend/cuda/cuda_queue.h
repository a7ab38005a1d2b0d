// The ordered queue: one stream. What is launched goes to it at once; submit adds the write of the
// fence. A recorded list is captured from a second stream and replayed as one graph.
#pragma once

#include "leat/backend/cuda/cuda_kernel.h"
#include "leat/backend/cuda/cuda_memory.h"
#include "leat/backend/cuda/cuda_times.h"

namespace leat {

/// An instantiated graph.
class CudaList final : public RecordedList {
 public:
  CudaList(CudaContext& context, CudaHandle graph) : context_(context), graph_(graph) {}
  ~CudaList() override { context_.retire({.executable = executable_, .graph = graph_}); }
  CudaList(const CudaList&) = delete;
  CudaList& operator=(const CudaList&) = delete;

  Result<void> instantiate();
  CudaHandle executable() const { return executable_; }
  uint64_t fence_value = 0;     // of its last replay
  std::vector<uint32_t> slots;  // of the time marks in it

 private:
  CudaContext& context_;
  CudaHandle graph_ = nullptr;
  CudaHandle executable_ = nullptr;
};

class CudaQueue final : public Queue {
 public:
  /// `owner` is the device whose buffers the queue takes.
  CudaQueue(CudaContext& context, const CudaMemory& memory, const Device& owner)
      : context_(context), frame_(context.frame), memory_(memory), owner_(owner), times_(context) {}
  ~CudaQueue() override;
  CudaQueue(const CudaQueue&) = delete;
  CudaQueue& operator=(const CudaQueue&) = delete;

  Result<void> open();

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override;
  Result<void> copy(BufferRange target, BufferRange source) override;
  Result<void> mark_time(uint32_t slot) override;
  Result<uint64_t> submit() override;
  Result<void> begin_record() override;
  Result<std::unique_ptr<RecordedList>> end_record() override;
  Result<uint64_t> replay(RecordedList& list) override;
  Fence& fence() override { return context_.fence; }
  Result<uint64_t> time_ns(uint32_t slot) override;
  Counts counts() const override { return frame_.counts(); }

 private:
  /// Enters the context and returns the stream that takes the next command.
  Result<CudaHandle> next_stream();
  uint64_t address_of(const BufferRange& range) const;

  CudaContext& context_;
  QueueFrame& frame_;
  const CudaMemory& memory_;
  const Device& owner_;
  CudaTimes times_;
  CudaHandle capture_stream_ = nullptr;
  std::vector<uint32_t> recorded_slots_;
};

}  // namespace leat
