// A device reached by a direct route: the route's `Submitter` (see direct_queue.h) and its Context,
// which open(index) makes of the card at that place, around the frame that all share. Destruction
// runs upwards through the members: the queue's channel goes first, then the memory that it used,
// then the driver.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "leat/route/direct_queue.h"
#include "leat/route/found_route.h"

namespace leat {

template <typename Submitter>
class DirectDevice final : public Device {
 public:
  using Context = typename Submitter::Context;
  using Place = typename Context::Place;

  /// `os` is the route's seam to the operating system, and outlives the device.
  template <typename Os>
  explicit DirectDevice(Os& os)
      : context_(os), buffers_(context_), queue_(context_, buffers_, this) {}

  Result<void> open(size_t index, std::string name) {
    TRY(context_.open(index));
    context_.card.info.name = std::move(name);
    return queue_.open();
  }

  const DeviceInfo& info() const override { return context_.card.info; }
  const Target& target() const override { return context_.card.target; }
  Queue& queue() override { return queue_; }

  /// Where the device sees the range.
  uint64_t address_of(const BufferRange& range) const {
    return buffers_.access_of(range, false).address;
  }

  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return buffers_.allocate(this, size_bytes,
                             kind == MemoryKind::shared ? Place::shared : Place::device);
  }
  MemoryFacts memory_facts() const override {
    MemoryFacts facts = facts_with_import(Device::memory_facts(), Context::kPage);
    facts.imports_dma_buf = takes_dma_buf();
    return facts;
  }
  Result<Buffer> import_host(std::span<std::byte> memory) override {
    TRY(check_import(memory, Context::kPage));
    return buffers_.import(this, memory);
  }
  Result<Buffer> import_dma_buf(int fd, size_t size_bytes) override {
    if constexpr (takes_dma_buf()) return buffers_.import_dma_buf(this, fd, size_bytes);
    return Device::import_dma_buf(fd, size_bytes);
  }
  void free_buffer(uint64_t handle) override { buffers_.free(handle); }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return Submitter::Kernel::load(context_, binary);
  }

 private:
  static constexpr bool takes_dma_buf() {
    return requires(Context & context) { context.memory.import_dma_buf(0, 1); };
  }

  Context context_;
  DirectBuffers<Context> buffers_;
  DirectQueue<Submitter> queue_;
};

/// Errors: unsupported (the refusal), io, out_of_memory, device_lost.
template <typename Submitter, typename Os>
Result<std::unique_ptr<Device>> open_direct_device(const Os& os, size_t index, std::string name) {
  auto device = std::make_unique<DirectDevice<Submitter>>(os);
  TRY(device->open(index, std::move(name)));
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace leat
