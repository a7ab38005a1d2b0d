// Ties the parts of this folder together. Destruction runs upwards through the members: the queue's
// channel goes first, then the memory that it used, then the driver.
#include "leat/backend/amd/amd_device.h"

#include "leat/backend/amd/amd_queue.h"

namespace leat {

namespace {

class AmdDevice final : public Device {
 public:
  explicit AmdDevice(const AmdOs& os)
      : context_(os), buffers_(context_), queue_(context_, buffers_, this) {}

  Result<void> open(size_t index, std::string name) {
    const AmdOs& os = context_.kfd.os();
    TRY_ASSIGN(std::vector<Result<AmdCard>> cards, find_amd_cards(os));
    TRY(check_found(Route::direct, index, cards.size()));
    TRY_ASSIGN(context_.card, std::move(cards[index]));
    TRY(context_.kfd.open());
    context_.card.info.name = std::move(name);
    context_.card.info.driver = context_.kfd.version();
    TRY(context_.kfd.open_render(context_.card));
    TRY(context_.kfd.acquire_vm(context_.card));
    return queue_.open();
  }

  const DeviceInfo& info() const override { return context_.card.info; }
  const Target& target() const override { return context_.card.target; }
  Queue& queue() override { return queue_; }

  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    if (size_bytes == 0) {
      return Error(ErrorKind::invalid_argument, "Buffer size (0) is not positive.");
    }
    TRY_ASSIGN(const uint64_t handle,
               buffers_.allocate(size_bytes,
                                 kind == MemoryKind::shared ? AmdPlace::shared : AmdPlace::device));
    return Buffer(this, handle, size_bytes, buffers_.at(handle).host);
  }

  MemoryFacts memory_facts() const override {
    return facts_with_import(Device::memory_facts(), kfd::kPageBytes);
  }
  Result<Buffer> import_host(std::span<std::byte> memory) override {
    TRY(check_import(memory, kfd::kPageBytes));
    TRY_ASSIGN(const uint64_t handle, buffers_.import(memory));
    return Buffer(this, handle, memory.size(), memory.data());
  }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return AmdKernel::load(context_, binary);
  }

  void free_buffer(uint64_t handle) override { buffers_.free(handle); }

 private:
  AmdContext context_;
  AmdBuffers buffers_;
  AmdQueue queue_;
};

// Files are opened and the version is asked, no more: an address space is bound to a card once.
FoundRoute inspect(const AmdOs& os, AmdCard& card) {
  AmdKfd kfd(os);
  Result<void> opened = kfd.open();
  if (opened) opened = kfd.open_render(card);
  FoundRoute found = {std::move(card.info), std::move(card.uuid_hex), ""};
  if (!opened) {
    found.refusal = opened.error().message();
    return found;
  }
  found.info.driver = kfd.version();
  return found;
}

}  // namespace

std::vector<FoundRoute> find_amd_devices_on(const AmdOs& os) {
  Result<std::vector<Result<AmdCard>>> cards = find_amd_cards(os);
  if (!cards) return {refused_route(Route::direct, cards.error())};
  if (cards->empty()) {
    return {refused_route(Route::direct,
                          Error(ErrorKind::unsupported, "KFD's topology shows no GPU."))};
  }
  std::vector<FoundRoute> found;
  for (Result<AmdCard>& card : *cards) {
    found.push_back(card ? inspect(os, *card) : refused_route(Route::direct, card.error()));
  }
  return found;
}

std::vector<FoundRoute> find_amd_devices() { return find_amd_devices_on(system_amd_os()); }

Result<std::unique_ptr<Device>> open_amd_device_on(const AmdOs& os, size_t index,
                                                   std::string name) {
  auto device = std::make_unique<AmdDevice>(os);
  TRY(device->open(index, std::move(name)));
  return std::unique_ptr<Device>(std::move(device));
}

Result<std::unique_ptr<Device>> open_amd_device(size_t index, std::string name) {
  return open_amd_device_on(system_amd_os(), index, std::move(name));
}

}  // namespace leat
