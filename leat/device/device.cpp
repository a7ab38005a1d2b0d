// What all backends share: names, the life of a Buffer, and blocking copies.
#include "leat/device/device.h"

#include <cstring>
#include <utility>

namespace leat {

std::string_view name_of(Route route) {
  switch (route) {
    case Route::direct: return "direct";
    case Route::cuda: return "cuda";
    case Route::vulkan: return "vulkan";
    case Route::opengl: return "opengl";
    case Route::native: return "native";
    case Route::null: return "null";
  }
  return "unknown";
}

Result<uint64_t> Queue::arm(RecordedList&) {
  return Error(ErrorKind::unsupported, "This device cannot hold a submit back.");
}

Result<void> Queue::abandon() {
  return Error(ErrorKind::unsupported, "This device cannot give up work that it has begun.");
}

uint64_t hang_timeout_ns(const Device& device) {
  return hang_timeout_ns(device.info(), device.target());
}

uint64_t hang_timeout_ns(const DeviceInfo& info, const Target& target) {
  constexpr uint64_t kSlowFactor = 30;
  const bool slow = info.software || target.is_cpu;
  return slow ? kSlowFactor * kHangTimeoutNs : kHangTimeoutNs;
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  device_ = std::exchange(other.device_, nullptr);
  handle_ = std::exchange(other.handle_, 0);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  host_pointer_ = std::exchange(other.host_pointer_, nullptr);
  return *this;
}

void Buffer::release() {
  if (device_ != nullptr) device_->free_buffer(handle_);
  device_ = nullptr;
}

Result<void> check_range(const BufferRange& range, const Device* owner) {
  CHECK(range.buffer != nullptr && *range.buffer);
  CHECK(owner == nullptr || range.buffer->device() == owner);
  const size_t size_bytes = range.buffer->size_bytes();
  if (range.offset_bytes <= size_bytes && range.size_bytes <= size_bytes - range.offset_bytes) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               "Range of (" + std::to_string(range.size_bytes) + ") bytes at offset (" +
                   std::to_string(range.offset_bytes) + ") leaves its buffer of (" +
                   std::to_string(size_bytes) + ") bytes.");
}

Result<void> check_import(std::span<const std::byte> memory, size_t alignment_bytes) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  if (!memory.empty() && (address | memory.size()) % alignment_bytes == 0) return {};
  return Error(ErrorKind::invalid_argument,
               "Memory of (" + std::to_string(memory.size()) + ") bytes at (" +
                   std::to_string(address) +
                   ") cannot be imported: address and size must be positive multiples of (" +
                   std::to_string(alignment_bytes) + ").");
}

namespace {

Result<void> check_copy(const BufferRange& range, size_t size_bytes) {
  if (range.size_bytes == size_bytes) return check_range(range);
  return Error(ErrorKind::invalid_argument, "Copy of (" + std::to_string(size_bytes) +
                                                ") bytes has a range of (" +
                                                std::to_string(range.size_bytes) + ") bytes.");
}

Result<void> submit_and_wait(Device& device) {
  TRY_ASSIGN(const uint64_t value, device.queue().submit());
  TRY_ASSIGN(const bool done, device.queue().fence().wait(value, hang_timeout_ns(device)));
  if (!done) {
    return Error(ErrorKind::device_lost,
                 "A copy on Device \"" + device.info().name + "\" passed its deadline.");
  }
  return {};
}

Error cannot(const Device& device, const char* what) {
  return Error(ErrorKind::unsupported, "Device \"" + device.info().name + "\" cannot " + what +
                                           " (route " + std::string(name_of(device.info().route)) +
                                           ").");
}

}  // namespace

void Device::size_fences(size_t count) {
  CHECK(fences_.in_use() == 0);
  if (count != fences_.size()) fences_ = FencePool(count);
}

MemoryFacts Device::memory_facts() const {
  MemoryFacts facts;
  facts.model = info().unified_memory ? MemoryModel::unified : MemoryModel::discrete;
  return facts;
}

Result<Buffer> Device::allocate_window(size_t) {
  return cannot(*this, "show its own memory to the host");
}

Result<Buffer> Device::import_host(std::span<std::byte>) {
  return cannot(*this, "use the host's memory in place");
}

Result<Buffer> Device::import_dma_buf(int, size_t) { return cannot(*this, "import a dma-buf"); }

Result<Buffer> Device::allocate_exportable(size_t) {
  return cannot(*this, "allocate memory for a dma-buf");
}

Result<int> Device::export_dma_buf(const Buffer&) { return cannot(*this, "export a dma-buf"); }

Result<void> write_buffer(Device& device, BufferRange target, std::span<const std::byte> bytes,
                          uint64_t* staged_bytes) {
  TRY(check_copy(target, bytes.size()));
  if (bytes.empty()) return {};
  if (std::byte* host = target.buffer->host_pointer(); host != nullptr) {
    std::memcpy(host + target.offset_bytes, bytes.data(), bytes.size());
    return {};
  }
  TRY_ASSIGN(Buffer staging, device.allocate(bytes.size(), MemoryKind::shared));
  std::memcpy(staging.host_pointer(), bytes.data(), bytes.size());
  TRY(device.queue().copy(target, {&staging, 0, bytes.size()}));
  if (staged_bytes != nullptr) *staged_bytes += bytes.size();
  return submit_and_wait(device);
}

Result<void> read_buffer(Device& device, BufferRange source, std::span<std::byte> bytes,
                         uint64_t* staged_bytes) {
  TRY(check_copy(source, bytes.size()));
  if (bytes.empty()) return {};
  if (std::byte* host = source.buffer->host_pointer(); host != nullptr) {
    std::memcpy(bytes.data(), host + source.offset_bytes, bytes.size());
    return {};
  }
  TRY_ASSIGN(Buffer staging, device.allocate(bytes.size(), MemoryKind::shared));
  TRY(device.queue().copy({&staging, 0, bytes.size()}, source));
  TRY(submit_and_wait(device));
  std::memcpy(bytes.data(), staging.host_pointer(), bytes.size());
  if (staged_bytes != nullptr) *staged_bytes += bytes.size();
  return {};
}

Result<void> copy_buffer(Device& device, BufferRange target, BufferRange source) {
  TRY(device.queue().copy(target, source));
  return submit_and_wait(device);
}

}  // namespace leat
