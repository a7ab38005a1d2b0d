// See cuda_queue.h. Source of the mode and the meaning of a capture: CUDA Driver API,
// CU_STREAM_CAPTURE_MODE_RELAXED; in it allocations on other streams stay allowed.
#include "leat/backend/cuda/cuda_queue.h"

#include "leat/route/launch_checks.h"

namespace leat {

namespace {

constexpr int kCaptureRelaxed = 2;

}  // namespace

Result<void> CudaList::instantiate() {
  TRY_CUDA(context_.api, cuGraphInstantiate, &executable_, graph_, 0);
  return {};
}

CudaQueue::~CudaQueue() {
  if (capture_stream_ == nullptr || !context_.enter()) return;
  CudaHandle graph = nullptr;
  if (frame_.is_recording()) context_.api.cuStreamEndCapture(capture_stream_, &graph);
  if (graph != nullptr) context_.api.cuGraphDestroy(graph);
  context_.api.cuStreamDestroy(capture_stream_);
}

Result<void> CudaQueue::open() {
  TRY(context_.enter());
  TRY_CUDA(context_.api, cuStreamCreate, &capture_stream_, kCudaStreamNonBlocking);
  return {};
}

Result<CudaHandle> CudaQueue::next_stream() {
  TRY(context_.enter());
  if (frame_.is_recording()) return capture_stream_;
  frame_.set_open(true);
  return context_.stream;
}

uint64_t CudaQueue::address_of(const BufferRange& range) const {
  return memory_.at(range.buffer->handle()).address + range.offset_bytes;
}

Result<void> CudaQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                               uint32_t groups_x) {
  TRY(check_launch(kernel, arguments, groups_x, &owner_));
  uint64_t addresses[CudaKernel::kBuffersMax];
  for (size_t i = 0; i < arguments.size(); ++i) addresses[i] = address_of(arguments[i]);
  TRY_ASSIGN(const CudaHandle stream, next_stream());
  return static_cast<const CudaKernel&>(kernel).launch(
      stream, std::span(addresses).first(arguments.size()), kernel.grid_with(groups_x));
}

Result<void> CudaQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_copy(target, source, &owner_));
  if (source.size_bytes == 0) return {};
  TRY_ASSIGN(const CudaHandle stream, next_stream());
  TRY_CUDA(context_.api, cuMemcpyAsync, address_of(target), address_of(source), source.size_bytes,
           stream);
  return {};
}

Result<void> CudaQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  TRY_ASSIGN(const CudaHandle stream, next_stream());
  if (frame_.is_recording()) {
    recorded_slots_.push_back(slot);
  } else {
    TRY(times_.renew_epoch());
  }
  return times_.mark(stream, slot, frame_.is_recording());
}

Result<uint64_t> CudaQueue::submit() {
  CHECK(!frame_.is_recording());
  if (!frame_.has_open()) return frame_.submitted();
  TRY(context_.enter());
  context_.drain_retired(CudaContext::Drain::lists);
  TRY_ASSIGN(const uint64_t value, context_.signal());
  frame_.count_submit();
  return value;
}

Result<void> CudaQueue::begin_record() {
  TRY(context_.enter());
  TRY_CUDA(context_.api, cuStreamBeginCapture, capture_stream_, kCaptureRelaxed);
  frame_.begin_record();
  recorded_slots_.clear();
  return {};
}

Result<std::unique_ptr<RecordedList>> CudaQueue::end_record() {
  frame_.end_record();
  TRY(context_.enter());
  CudaHandle graph = nullptr;
  TRY_CUDA(context_.api, cuStreamEndCapture, capture_stream_, &graph);
  auto list = std::make_unique<CudaList>(context_, graph);
  TRY(list->instantiate());
  list->slots = recorded_slots_;
  return std::unique_ptr<RecordedList>(std::move(list));
}

Result<uint64_t> CudaQueue::replay(RecordedList& list) {
  auto& recorded = static_cast<CudaList&>(list);
  TRY(frame_.check_replay(recorded.fence_value, context_.fence.poll()));
  TRY(context_.enter());
  context_.drain_retired(CudaContext::Drain::lists);
  if (!recorded.slots.empty()) {
    TRY(times_.renew_epoch());
    for (const uint32_t slot : recorded.slots) times_.replayed(slot);
  }
  TRY_CUDA(context_.api, cuGraphLaunch, recorded.executable(), context_.stream);
  frame_.set_open(true);
  TRY_ASSIGN(recorded.fence_value, context_.signal());
  frame_.count_submit(true);
  return recorded.fence_value;
}

Result<uint64_t> CudaQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  return times_.time_ns(slot);
}

}  // namespace leat
