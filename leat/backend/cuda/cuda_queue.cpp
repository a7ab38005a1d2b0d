// See cuda_queue.h. Source of the mode and the meaning of a capture: CUDA Driver API,
// CU_STREAM_CAPTURE_MODE_RELAXED; in it allocations on other streams stay allowed.
#include "leat/backend/cuda/cuda_queue.h"

#include <fmt/format.h>

namespace leat {

namespace {

constexpr int kCaptureRelaxed = 2;
constexpr unsigned kStreamNonBlocking = 1;

}  // namespace

Result<void> CudaList::instantiate() {
  TRY_CUDA(context_.api, cuGraphInstantiate, &executable_, graph_, 0);
  return {};
}

CudaQueue::~CudaQueue() {
  if (capture_stream_ == nullptr || !context_.enter()) return;
  CudaHandle graph = nullptr;
  if (is_recording_) context_.api.cuStreamEndCapture(capture_stream_, &graph);
  if (graph != nullptr) context_.api.cuGraphDestroy(graph);
  context_.api.cuStreamDestroy(capture_stream_);
}

Result<void> CudaQueue::open() {
  TRY(context_.enter());
  TRY_CUDA(context_.api, cuStreamCreate, &capture_stream_, kStreamNonBlocking);
  return {};
}

Result<CudaHandle> CudaQueue::next_stream() {
  TRY(context_.enter());
  if (is_recording_) return capture_stream_;
  context_.has_unsubmitted = true;
  return context_.stream;
}

uint64_t CudaQueue::address_of(const BufferRange& range) const {
  return memory_.at(range.buffer->handle()).address + range.offset_bytes;
}

Result<void> CudaQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  CHECK(arguments.size() == kernel.arguments().size());
  uint64_t addresses[CudaKernel::kBuffersMax];
  for (size_t i = 0; i < arguments.size(); ++i) {
    TRY(check_range(arguments[i]));
    CHECK(arguments[i].offset_bytes % kBufferAlignment == 0);
    addresses[i] = address_of(arguments[i]);
  }
  TRY_ASSIGN(const CudaHandle stream, next_stream());
  return static_cast<const CudaKernel&>(kernel).launch(
      stream, std::span(addresses).first(arguments.size()));
}

Result<void> CudaQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_range(target));
  TRY(check_range(source));
  if (target.size_bytes != source.size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Copy has a target of ({}) bytes and a source of ({}) bytes.",
                             target.size_bytes, source.size_bytes));
  }
  if (source.size_bytes == 0) return {};
  TRY_ASSIGN(const CudaHandle stream, next_stream());
  TRY_CUDA(context_.api, cuMemcpyAsync, address_of(target), address_of(source), source.size_bytes,
           stream);
  return {};
}

Result<void> CudaQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  TRY_ASSIGN(const CudaHandle stream, next_stream());
  if (is_recording_) {
    recorded_slots_.push_back(slot);
  } else {
    TRY(times_.renew_epoch());
  }
  return times_.mark(stream, slot, is_recording_);
}

Result<uint64_t> CudaQueue::submit() {
  CHECK(!is_recording_);
  if (!context_.has_unsubmitted) return context_.submitted.load();
  TRY(context_.enter());
  context_.drain_retired(CudaContext::Drain::lists);
  return context_.signal();
}

Result<void> CudaQueue::begin_record() {
  CHECK(!is_recording_);
  TRY(context_.enter());
  TRY_CUDA(context_.api, cuStreamBeginCapture, capture_stream_, kCaptureRelaxed);
  is_recording_ = true;
  recorded_slots_.clear();
  return {};
}

Result<std::unique_ptr<RecordedList>> CudaQueue::end_record() {
  CHECK(is_recording_);
  is_recording_ = false;
  TRY(context_.enter());
  CudaHandle graph = nullptr;
  TRY_CUDA(context_.api, cuStreamEndCapture, capture_stream_, &graph);
  auto list = std::make_unique<CudaList>(context_, graph);
  TRY(list->instantiate());
  list->slots = recorded_slots_;
  return std::unique_ptr<RecordedList>(std::move(list));
}

Result<uint64_t> CudaQueue::replay(RecordedList& list) {
  CHECK(!is_recording_);
  auto& recorded = static_cast<CudaList&>(list);
  if (context_.fence.poll() < recorded.fence_value) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("A recorded list is replayed before its last replay reaches its fence "
                             "value ({}).",
                             recorded.fence_value));
  }
  TRY(context_.enter());
  context_.drain_retired(CudaContext::Drain::lists);
  if (!recorded.slots.empty()) {
    TRY(times_.renew_epoch());
    for (const uint32_t slot : recorded.slots) times_.replayed(slot);
  }
  TRY_CUDA(context_.api, cuGraphLaunch, recorded.executable(), context_.stream);
  context_.has_unsubmitted = true;
  TRY_ASSIGN(recorded.fence_value, context_.signal());
  return recorded.fence_value;
}

Result<uint64_t> CudaQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  return times_.time_ns(slot);
}

}  // namespace leat
