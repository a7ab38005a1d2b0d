// Memory and events of the fake driver.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "tests/amd/fake_kfd_state.h"

namespace leat::amd_card {

namespace {

constexpr uint32_t kKnownFlags = kMemVram | kMemGtt | kMemUserptr | kMemContiguous | kMemUncached |
                                 kMemCoherent | kMemNoSubstitute | kMemPublic | kMemExecutable |
                                 kMemWritable;
constexpr uint64_t kUnsignalled = ~uint64_t{0};
constexpr uint64_t kVaMax = uint64_t{1} << 47;

}  // namespace

FakeKfd::Buffer* FakeKfd::find_buffer(uint64_t handle) {
  const auto found = buffers_.find(handle);
  return found == buffers_.end() ? nullptr : found->second.get();
}

FakeKfd::Buffer* FakeKfd::mapping_at(uint64_t va) {
  for (const auto& [handle, buffer] : buffers_) {
    if (buffer->is_mapped && buffer->va == va) return buffer.get();
  }
  return nullptr;
}

FakeKfd::Buffer* FakeKfd::mapping_around(uint64_t va) {
  for (const auto& [handle, buffer] : buffers_) {
    if (buffer->is_mapped && va - buffer->va < buffer->size) return buffer.get();
  }
  return nullptr;
}

FakeKfd::Buffer* FakeKfd::new_buffer(uint64_t size) {
  const int fd = ::memfd_create("fake-amd-memory", MFD_CLOEXEC);
  if (fd < 0) return nullptr;
  if (::ftruncate(fd, off_t(size)) == 0) return new_buffer_of(fd, size);
  ::close(fd);
  return nullptr;
}

FakeKfd::Buffer* FakeKfd::new_buffer_of(int fd, uint64_t size) {
  auto buffer = std::make_unique<Buffer>();
  buffer->size = size;
  buffer->memory_fd = fd;
  void* host = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (host == MAP_FAILED) {
    ::close(buffer->memory_fd);
    return nullptr;
  }
  buffer->host = static_cast<uint8_t*>(host);
  buffer->handle = uint64_t{kGpuId} << 32 | next_buffer_;
  buffer->mmap_offset = uint64_t{next_buffer_++} << 32;
  Buffer* made = buffer.get();
  buffers_[made->handle] = std::move(buffer);
  return made;
}

bool FakeKfd::map_to_gpu(Buffer& buffer, uint64_t va, uint8_t access) {
  const std::string name = fmt::format("buffer {}", buffer.handle & 0xffffffff);
  const bool is_data = (access & kRun) == 0;
  if (!memory_.map(va, buffer.size, buffer.host, access, name, is_data)) return false;
  buffer.va = va;
  buffer.is_mapped = true;
  return true;
}

int FakeKfd::acquire_vm(const KfdAcquireVm& in) {
  const auto found = fds_.find(int(in.drm_fd));
  if (in.gpu_id != kGpuId || found == fds_.end() || found->second.node != Node::render) {
    return fail(EINVAL);
  }
  if (vm_fd_ >= 0 && vm_fd_ != int(in.drm_fd)) return fail(EBUSY);
  vm_fd_ = int(in.drm_fd);
  found->second.has_vm = true;
  return 0;
}

int FakeKfd::alloc_memory(KfdAllocMemory& in) {
  const uint32_t kinds = in.flags & (kMemVram | kMemGtt | kMemUserptr);
  if (vm_fd_ < 0 || in.gpu_id != kGpuId) return fail(EINVAL);
  if ((in.flags & ~kKnownFlags) != 0 || std::popcount(kinds) != 1) return fail(EINVAL);
  if ((in.flags & kMemContiguous) != 0 && options_.kfd_minor < 16) return fail(EINVAL);
  if (in.size == 0 || in.size % kFakePage != 0) return fail(EINVAL);
  if (in.va == 0 || in.va % kFakePage != 0 || in.va + in.size > kVaMax) return fail(EINVAL);
  const bool is_public = (in.flags & kMemPublic) != 0;
  if (kinds == kMemVram && is_public && !options_.has_large_bar) return fail(EINVAL);
  for (const auto& [handle, buffer] : buffers_) {
    if (buffer->va < in.va + in.size && in.va < buffer->va + buffer->size) {
      return fail(EADDRINUSE);
    }
  }
  if (kinds == kMemVram && vram_used_ + in.size > options_.vram_bytes) return fail(ENOMEM);
  Buffer* buffer;
  if (kinds == kMemUserptr) {
    if (in.mmap_offset % kFakePage != 0 || in.mmap_offset == 0) return fail(EINVAL);
    auto made = std::make_unique<Buffer>();
    made->size = in.size;
    made->host = reinterpret_cast<uint8_t*>(in.mmap_offset);
    made->handle = uint64_t{kGpuId} << 32 | next_buffer_++;
    buffer = made.get();
    buffers_[made->handle] = std::move(made);
  } else {
    buffer = new_buffer(in.size);
    if (buffer == nullptr) return fail(ENOMEM);
  }
  buffer->va = in.va;
  buffer->flags = in.flags;
  if (kinds == kMemVram) vram_used_ += in.size;
  in.handle = buffer->handle;
  in.mmap_offset = buffer->mmap_offset;
  return 0;
}

FakeKfd::Buffer* FakeKfd::import_file(int fd) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const int own = size > 0 && size % off_t(kFakePage) == 0 ? ::dup(fd) : -1;
  Buffer* buffer = own < 0 ? nullptr : new_buffer_of(own, uint64_t(size));
  if (buffer != nullptr) buffer->flags = kMemGtt | kMemWritable | kMemExecutable;
  return buffer;
}

// The whole buffer is mapped, whatever the caller has reserved.
int FakeKfd::import_dma_buf(KfdImportDmaBuf& in) {
  if (vm_fd_ < 0 || in.gpu_id != kGpuId) return fail(EINVAL);
  if (in.va == 0 || in.va % kFakePage != 0) return fail(EINVAL);
  Buffer* made = import_file(int(in.dmabuf_fd));
  if (made == nullptr) return fail(EINVAL);
  for (const auto& [handle, buffer] : buffers_) {
    if (buffer.get() != made && buffer->va < in.va + made->size &&
        in.va < buffer->va + buffer->size) {
      (void)free_memory(made->handle);
      return fail(EADDRINUSE);
    }
  }
  made->va = in.va;
  in.handle = made->handle;
  return 0;
}

int FakeKfd::free_memory(uint64_t handle) {
  Buffer* buffer = find_buffer(handle);
  if (buffer == nullptr) return fail(EINVAL);
  if (buffer->is_vital) {
    // The kernel evicts the queue; whoever frees it too early learns it here.
    faults_.push_back(fmt::format("Buffer 0x{:x} is freed while a queue uses it.", handle));
    return fail(EBUSY);
  }
  if (buffer->is_mapped) return fail(EBUSY);
  if ((buffer->flags & kMemVram) != 0) vram_used_ -= buffer->size;
  if (buffer->memory_fd >= 0) {
    ::munmap(buffer->host, buffer->size);
    ::close(buffer->memory_fd);
  }
  buffers_.erase(handle);
  return 0;
}

int FakeKfd::map_memory(KfdMapMemory& in, bool maps) {
  Buffer* buffer = find_buffer(in.handle);
  if (vm_fd_ < 0 || buffer == nullptr || in.device_count != 1) return fail(EINVAL);
  if (in.success_count > in.device_count || in.device_ids == 0) return fail(EINVAL);
  uint32_t gpu_id;
  std::memcpy(&gpu_id, reinterpret_cast<const void*>(in.device_ids), sizeof(gpu_id));
  if (gpu_id != kGpuId) return fail(EINVAL);
  if (interrupted_ > 0) {
    --interrupted_;
    return fail(EINTR);
  }
  if (maps) {
    uint8_t access = kRead;
    if ((buffer->flags & kMemWritable) != 0) access |= kWrite;
    if ((buffer->flags & kMemExecutable) != 0) access |= kRun;
    if (!buffer->is_mapped && !map_to_gpu(*buffer, buffer->va, access)) return fail(EADDRINUSE);
  } else {
    if (!buffer->is_mapped) return fail(EINVAL);
    if (buffer->is_vital) return fail(EBUSY);
    memory_.unmap(buffer->va);
    buffer->is_mapped = false;
  }
  in.success_count = in.device_count;
  return 0;
}

int FakeKfd::create_event(KfdCreateEvent& in) {
  if (vm_fd_ < 0) return fail(EINVAL);
  if (in.type != kEventSignal && in.type != kEventMemory && in.type != kEventHwException) {
    return fail(EINVAL);
  }
  if (event_page_ == nullptr) {
    Buffer* page = find_buffer(in.page_handle);
    const bool is_right = page != nullptr && page->is_mapped && page->size == kEventPageBytes &&
                          (page->flags & kMemGtt) != 0;
    if (!is_right) return fail(EINVAL);
    event_page_ = reinterpret_cast<uint64_t*>(page->host);
    std::fill(event_page_, event_page_ + kEventsMax, kUnsignalled);
    page->is_vital = true;
  } else if (in.page_handle != 0) {
    return fail(EINVAL);
  }
  if (events_.size() + 1 >= kEventsMax) return fail(ENOSPC);
  auto event = std::make_unique<Event>();
  event->id = uint32_t(events_.size()) + 1;  // 0 is not used
  event->type = in.type;
  event->auto_reset = in.auto_reset != 0;
  in.event_id = in.trigger_data = in.slot_index = event->id;
  events_.push_back(std::move(event));
  return 0;
}

void FakeKfd::signal_event(uint32_t type, const KfdEventData& data) {
  for (const auto& event : events_) {
    if (event->type != type) continue;
    event->is_signalled = true;
    event->data = data;
  }
}

int FakeKfd::wait_events(KfdWaitEvents& in) {
  if (in.count == 0 || in.events == 0) return fail(EINVAL);
  if (interrupted_ > 0) {
    --interrupted_;
    return fail(EINTR);
  }
  auto* wanted = reinterpret_cast<KfdEventData*>(in.events);
  for (uint32_t k = 0; k < in.count; ++k) {
    if (wanted[k].event_id == 0 || wanted[k].event_id > events_.size()) return fail(EINVAL);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(in.timeout_ms);
  while (true) {
    uint32_t signalled = 0;
    for (uint32_t k = 0; k < in.count; ++k) {
      Event& event = *events_[wanted[k].event_id - 1];
      if (!event.is_signalled) continue;
      ++signalled;
    }
    if (signalled == in.count || (signalled > 0 && in.wait_for_all == 0)) {
      for (uint32_t k = 0; k < in.count; ++k) {
        Event& event = *events_[wanted[k].event_id - 1];
        if (!event.is_signalled) continue;
        if (event.type != kEventSignal) std::memcpy(wanted[k].bytes, event.data.bytes, 32);
        if (event.auto_reset) event.is_signalled = false;
      }
      in.result = kWaitDone;
      return 0;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      in.result = kWaitTimeout;
      return 0;
    }
    // The GPU goes on while a process sleeps in the driver.
    mutex_.unlock();
    if (!is_polling_) (void)poll();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    mutex_.lock();
  }
}

}  // namespace leat::amd_card
