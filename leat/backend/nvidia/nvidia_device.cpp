// Ties the parts of this folder together. Destruction runs upwards through the members: the queue's
// channels go first, then the memory they used, then the client.
#include "leat/backend/nvidia/nvidia_device.h"

#include "leat/backend/nvidia/nvidia_queue.h"

namespace leat {

namespace {

class NvidiaDevice final : public Device {
 public:
  explicit NvidiaDevice(const NvidiaOs& os)
      : context_(os), buffers_(context_), queue_(context_, buffers_, this) {}

  Result<void> open(size_t index, std::string name) {
    TRY(context_.rm.open_control());
    TRY_ASSIGN(const std::vector<rm::CardInfo> cards, context_.rm.cards());
    TRY(check_found(Route::direct, index, cards.size()));
    TRY(context_.rm.open_card(cards[index]));
    TRY_ASSIGN(context_.card, inspect_nvidia_card(context_.rm));
    context_.card.info.name = std::move(name);
    TRY(context_.memory.open());
    TRY(context_.doorbell.open(context_.rm, context_.card));
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
               buffers_.allocate(size_bytes, kind == MemoryKind::shared ? NvidiaPlace::shared
                                                                        : NvidiaPlace::device));
    return Buffer(this, handle, size_bytes, buffers_.at(handle).host);
  }

  MemoryFacts memory_facts() const override {
    return facts_with_import(Device::memory_facts(), NvidiaMemory::kPage);
  }
  Result<Buffer> import_host(std::span<std::byte> memory) override {
    TRY(check_import(memory, NvidiaMemory::kPage));
    TRY_ASSIGN(const uint64_t handle, buffers_.import(memory));
    return Buffer(this, handle, memory.size(), memory.data());
  }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return NvidiaKernel::load(context_, binary);
  }

  void free_buffer(uint64_t handle) override { buffers_.free(handle); }

 private:
  NvidiaContext context_;
  NvidiaBuffers buffers_;
  NvidiaQueue queue_;
};

Result<FoundRoute> inspect(const NvidiaOs& os, const rm::CardInfo& card) {
  NvidiaRm rm(os);
  TRY(rm.open_control());
  TRY(rm.open_card(card));
  TRY_ASSIGN(NvidiaCard found, inspect_nvidia_card(rm));
  FoundRoute info = {std::move(found.info), std::move(found.uuid_hex), ""};
  if (found.copy_engine_type == 0) info.refusal = "The card shows no copy engine of its own.";
  return info;
}

}  // namespace

std::vector<FoundRoute> find_nvidia_devices_on(const NvidiaOs& os) {
  NvidiaRm rm(os);
  const Result<void> opened = rm.open_control();
  if (!opened) return {refused_route(Route::direct, opened.error())};
  const Result<std::vector<rm::CardInfo>> cards = rm.cards();
  if (!cards) return {refused_route(Route::direct, cards.error())};
  std::vector<FoundRoute> found;
  for (const rm::CardInfo& card : *cards) {
    const Result<FoundRoute> info = inspect(os, card);
    found.push_back(info ? *info : refused_route(Route::direct, info.error()));
  }
  if (!found.empty()) return found;
  return {refused_route(Route::direct,
                        Error(ErrorKind::unsupported, "NVIDIA's kernel driver shows no card."))};
}

std::vector<FoundRoute> find_nvidia_devices() { return find_nvidia_devices_on(system_nvidia_os()); }

Result<std::unique_ptr<Device>> open_nvidia_device_on(const NvidiaOs& os, size_t index,
                                                      std::string name) {
  auto device = std::make_unique<NvidiaDevice>(os);
  TRY(device->open(index, std::move(name)));
  return std::unique_ptr<Device>(std::move(device));
}

Result<std::unique_ptr<Device>> open_nvidia_device(size_t index, std::string name) {
  return open_nvidia_device_on(system_nvidia_os(), index, std::move(name));
}

}  // namespace leat
