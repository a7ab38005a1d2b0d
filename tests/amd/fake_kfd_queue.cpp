// Queues of the fake driver: what kfd_queue.c asks of their memory, their end, and what happens to
// them when something goes wrong. The table of KFD's calls stands here too.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "tests/amd/fake_kfd_state.h"

namespace leat::amd_card {

namespace {

constexpr uint64_t kEopBytes = 4096;
constexpr uint32_t kRuntimeEnabled = 1;

uint64_t align_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

/// kfd_queue.c, kfd_queue_ctx_save_restore_size(), for gfx10.1 to gfx12.0 with one XCC.
SaveAreaSizes save_area_of(const FakeCardOptions& options) {
  constexpr uint64_t kWavesPerCu = 32, kStackBytesPerWave = 12, kHeaderBytes = 40, kTail = 8,
                     kSgprBytes = 0x4000, kLocalBytes = 0x10000, kRegisterBytes = 0x1000,
                     kDebugBytesPerWave = 32;
  const uint64_t waves = kWavesPerCu * options.compute_units;
  SaveAreaSizes sizes;
  sizes.control_stack = align_up(kHeaderBytes + waves * kStackBytesPerWave + kTail, kFakePage);
  const uint64_t per_cu = options.vgpr_bytes_per_cu + kSgprBytes + kLocalBytes + kRegisterBytes;
  sizes.save = sizes.control_stack + align_up(options.compute_units * per_cu, kFakePage);
  sizes.debug = align_up(kDebugBytesPerWave * waves, 64);
  sizes.total = align_up(sizes.save + sizes.debug, kFakePage);
  return sizes;
}

ProcessorOptions FakeKfd::processor_options(bool is_drm) const {
  ProcessorOptions options;
  options.emulator.generation =
      options_.target.starts_with("gfx12") ? Generation::gfx12 : Generation::gfx11;
  options.emulator.order = options_.order;
  options.sets_cu_masks = is_drm;
  // The hardware-trap workaround of gfx11.0: ROCm kfdtest, Dispatch.cpp.
  options.requires_priv = !is_drm && options_.target.starts_with("gfx110");
  return options;
}

int FakeKfd::check_save_area(const KfdCreateQueue& in) {
  const SaveAreaSizes sizes = save_area_of(options_);
  const Buffer* area = mapping_at(in.save_va);
  if (in.control_stack_size != sizes.control_stack || in.save_size < sizes.save) return EINVAL;
  if (area == nullptr || area->size != align_up(in.save_size + sizes.debug, kFakePage)) {
    return EINVAL;
  }
  KfdSaveHeader header;
  std::memcpy(&header, area->host, sizeof(header));
  if (header.debug_offset != in.save_size || header.debug_size != sizes.debug) {
    faults_.push_back("The save area's header lacks debug_offset and debug_size.");
    return EINVAL;
  }
  return 0;
}

int FakeKfd::check_queue_memory(const KfdCreateQueue& in) {
  const Buffer* ring = mapping_at(in.ring_va);
  if (ring == nullptr || ring->size != align_up(in.ring_size, kFakePage)) return EINVAL;
  for (const uint64_t va : {in.read_pointer_va, in.write_pointer_va}) {
    const Buffer* page = mapping_around(va);
    if (page == nullptr || page->size != kFakePage || (page->flags & kMemUserptr) != 0) {
      return EINVAL;
    }
    if ((page->flags & kMemWritable) == 0) return EINVAL;
  }
  if (in.type == kQueueSdma) return 0;  // no end-of-pipe buffer, no save area
  const Buffer* eop = mapping_at(in.eop_va);
  if (in.eop_size != kEopBytes || eop == nullptr || eop->size != kEopBytes) return EINVAL;
  return check_save_area(in);
}

int FakeKfd::create_queue(KfdCreateQueue& in) {
  if (vm_fd_ < 0 || in.gpu_id != kGpuId || was_reset_) return fail(EINVAL);
  if (in.type != kQueueCompute && in.type != kQueueSdma) return fail(EINVAL);
  if (in.type == kQueueSdma && !options_.has_copy_queues) return fail(ENOMEM);
  if (in.percentage > 100 || in.priority > 15 || in.pad != 0) return fail(EINVAL);
  if (in.ring_va % 256 != 0 || in.write_pointer_va % 8 != 0 || in.read_pointer_va % 4 != 0) {
    return fail(EINVAL);
  }
  if (!std::has_single_bit(in.ring_size) || in.ring_size < 1024) return fail(EINVAL);
  if (const int error = check_queue_memory(in); error != 0) return fail(error);
  auto queue = std::make_unique<Queue>();
  queue->id = next_queue_++;
  queue->slot = queue->id % (kDoorbellSlice / 8);
  in.queue_id = queue->id;
  in.doorbell_offset = uint64_t{3} << 62 | uint64_t{kGpuId} << 46 | queue->slot * 8;
  queue->made = in;
  const auto on_interrupt = [this](uint32_t id) { interrupt(id); };
  if (in.type == kQueueSdma) {
    queue->sdma = std::make_unique<SdmaProcessor>(memory_);
    queue->sdma->on_interrupt = on_interrupt;
  } else {
    queue->processor = std::make_unique<PacketProcessor>(memory_, processor_options(false));
    queue->processor->on_interrupt = on_interrupt;
  }
  // A new queue counts its launches from 1: what those of another one touched is over.
  if (in.type == kQueueCompute) memory_.forget_touches();
  doorbells_[queue->slot] = kNoStore;
  for (const uint64_t va :
       {in.ring_va, in.eop_va, in.save_va, in.read_pointer_va, in.write_pointer_va}) {
    if (Buffer* buffer = mapping_around(va)) buffer->is_vital = true;
  }
  queues_.push_back(std::move(queue));
  return 0;
}

void FakeKfd::interrupt(uint32_t event_id) {
  if (event_id == 0 || event_id > events_.size()) {
    return faults_.push_back("An interrupt names no event.");
  }
  if (event_page_[event_id] == ~uint64_t{0}) {
    return faults_.push_back("An interrupt comes before its event slot was written.");
  }
  event_page_[event_id] = ~uint64_t{0};
  events_[event_id - 1]->is_signalled = true;
}

int FakeKfd::destroy_queue(uint32_t id) {
  const auto found =
      std::ranges::find_if(queues_, [&](const auto& queue) { return queue->id == id; });
  if (found == queues_.end()) return fail(EINVAL);
  const KfdCreateQueue made = (*found)->made;
  queues_.erase(found);
  // ETIME: the id is gone, but nothing says that the hardware has stopped using the memory.
  const int error = destroy_error_ != 0 ? destroy_error_ : hung_ ? ETIME : 0;
  destroy_error_ = 0;
  if (error == 0) {
    for (const uint64_t va :
         {made.ring_va, made.eop_va, made.save_va, made.read_pointer_va, made.write_pointer_va}) {
      if (Buffer* buffer = mapping_around(va)) buffer->is_vital = false;
    }
  }
  return error != 0 ? fail(error) : 0;
}

int FakeKfd::update_queue(void* argument) {
  struct Update {
    uint64_t ring_va;
    uint32_t queue_id, ring_size, percentage, priority;
  } in;
  std::memcpy(&in, argument, sizeof(in));
  for (const auto& queue : queues_) {
    if (queue->id != in.queue_id) continue;
    if (in.percentage > 100 || in.priority > 15) return fail(EINVAL);
    if (in.percentage != 0 &&
        (in.ring_va != queue->made.ring_va || in.ring_size != queue->made.ring_size)) {
      return fail(EINVAL);
    }
    queue->is_stopped = in.percentage == 0;
    return 0;
  }
  return fail(EINVAL);
}

int FakeKfd::runtime_enable(const KfdRuntimeEnable& in) {
  if (options_.kfd_minor < 13) return fail(ENOTTY);
  if ((in.mode & kRuntimeEnabled) == 0) {
    runtime_enabled_ = false;
    return 0;
  }
  if (runtime_enabled_) return fail(EBUSY);
  if (!queues_.empty()) return fail(EEXIST);
  runtime_enabled_ = true;
  return 0;
}

void FakeKfd::fault(Queue* queue, const std::string& text, uint64_t va) {
  faults_.push_back(text);
  if (queue != nullptr) queue->is_dead = true;
  KfdEventData data = {};
  data.memory.not_present = 1;
  data.memory.va = va;
  data.memory.gpu_id = kGpuId;
  const bool is_memory = va != 0 || text.find("unmapped") != std::string::npos;
  if (is_memory) signal_event(kEventMemory, data);
  if (queue == nullptr) return;
  // Exception 5, memory violation, or 16, a packet error: bit = code - 1.
  KfdSaveHeader header;
  const Buffer* area = mapping_at(queue->made.save_va);
  if (area == nullptr) return;
  std::memcpy(&header, area->host, sizeof(header));
  uint8_t* word = header.error_va != 0 ? memory_.at(header.error_va, 8, kWrite) : nullptr;
  if (word == nullptr) return;
  uint64_t mask;
  std::memcpy(&mask, word, 8);
  mask |= uint64_t{1} << (is_memory ? 4 : 15);
  std::memcpy(word, &mask, 8);
}

void FakeKfd::hang(bool hung) {
  const std::lock_guard lock(mutex_);
  hung_ = hung;
}

void FakeKfd::reset() {
  const std::lock_guard lock(mutex_);
  was_reset_ = true;
  for (const auto& queue : queues_) queue->is_dead = true;
  KfdEventData data = {};
  data.reset.memory_lost = 1;
  data.reset.gpu_id = kGpuId;
  signal_event(kEventHwException, data);
  for (const auto& [handle, buffer] : buffers_) {
    if ((buffer->flags & kMemVram) != 0) std::memset(buffer->host, 0, buffer->size);
  }
  faults_.push_back("The GPU was reset.");
}

/// Newer kernels evict every queue of the process when one faults.
void FakeKfd::page_fault(uint64_t va) {
  const std::lock_guard lock(mutex_);
  for (const auto& queue : queues_) {
    fault(queue.get(), fmt::format("Page fault at 0x{:x}: unmapped.", va), va);
  }
  for (auto& [id, context] : drm_contexts_) context.is_guilty = true;
  drm_fault_ = {va, 1, 0};
}

void FakeKfd::lose_queue() {
  const std::lock_guard lock(mutex_);
  for (const auto& queue : queues_) fault(queue.get(), "The queue is lost.", 0);
  for (auto& [id, context] : drm_contexts_) context.is_guilty = true;
}

int FakeKfd::kfd_call(uint32_t request, void* argument) {
  const auto as = [&]<class T>(T*) -> T& { return *static_cast<T*>(argument); };
  switch (request) {
    case kKfdGetVersion: {
      as((KfdVersion*)nullptr) = {1, options_.kfd_minor};
      return 0;
    }
    case kKfdAcquireVm: return acquire_vm(as((KfdAcquireVm*)nullptr));
    case kKfdAllocMemory: return alloc_memory(as((KfdAllocMemory*)nullptr));
    case kKfdFreeMemory: return free_memory(as((uint64_t*)nullptr));
    case kKfdMapMemory: return map_memory(as((KfdMapMemory*)nullptr), true);
    case kKfdImportDmaBuf: return import_dma_buf(as((KfdImportDmaBuf*)nullptr));
    case kKfdUnmapMemory: return map_memory(as((KfdMapMemory*)nullptr), false);
    case kKfdCreateQueue: return create_queue(as((KfdCreateQueue*)nullptr));
    case kKfdDestroyQueue: return destroy_queue(as((KfdQueueId*)nullptr).queue_id);
    case kKfdUpdateQueue: return update_queue(argument);
    case kKfdCreateEvent: return create_event(as((KfdCreateEvent*)nullptr));
    case kKfdWaitEvents: return wait_events(as((KfdWaitEvents*)nullptr));
    case kKfdRuntimeEnable: return runtime_enable(as((KfdRuntimeEnable*)nullptr));
    case kKfdDestroyEvent:
    case kKfdSetEvent:
    case kKfdResetEvent: {
      const uint32_t id = as((KfdEventId*)nullptr).event_id;
      if (id == 0 || id > events_.size()) return fail(EINVAL);
      events_[id - 1]->is_signalled = request == kKfdSetEvent;
      return 0;
    }
    case kKfdAvailableMemory: {
      if (options_.kfd_minor < 9) return fail(ENOTTY);
      auto& in = as((KfdAvailableMemory*)nullptr);
      if (in.gpu_id != kGpuId) return fail(EINVAL);
      in.available = options_.vram_bytes - vram_used_;
      return 0;
    }
    default: return fail(ENOTTY);
  }
}

}  // namespace leat::amd_card
