// Ties the parts of this folder together. Destruction runs upwards through the members: queue,
// cache and table hand what they hold to the context, which waits and destroys.
#include "leat/backend/vulkan/vulkan_device.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/backend/vulkan/vulkan_number.h"
#include "leat/backend/vulkan/vulkan_queue.h"
#include "leat/route/launch_checks.h"

namespace leat {

namespace {

class VulkanDevice final : public Device {
 public:
  VulkanDevice()
      : memory_(context_), cache_(context_), number_(context_), queue_(context_, memory_, *this) {}

  Result<void> open(std::unique_ptr<VulkanInstance> instance, VulkanChip chip, std::string name) {
    chip.info.name = std::move(name);
    TRY(context_.open(std::move(instance), std::move(chip)));
    cache_.open();
    TRY(number_.open());
    return queue_.open();
  }

  const DeviceInfo& info() const override { return context_.chip.info; }
  const Target& target() const override { return context_.chip.target; }
  Queue& queue() override { return queue_; }

  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return make(size_bytes, kind == MemoryKind::shared ? VulkanPlace::shared : VulkanPlace::device,
                {});
  }
  MemoryFacts memory_facts() const override;
  Result<Buffer> allocate_window(size_t size_bytes) override;
  Result<Buffer> import_host(std::span<std::byte> memory) override;
  Result<Buffer> import_dma_buf(int fd, size_t size_bytes) override;
  Result<Buffer> allocate_exportable(size_t size_bytes) override;
  Result<int> export_dma_buf(const Buffer& buffer) override;

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return VulkanKernel::load(context_, cache_, binary);
  }

  void free_buffer(uint64_t handle) override { memory_.free(handle); }

 private:
  Result<Buffer> make(size_t size_bytes, VulkanPlace place, const VulkanSharing& sharing);
  Error lacks(const char* extension) const {
    return Error(ErrorKind::unsupported,
                 fmt::format("Device \"{}\" lacks {}.", context_.chip.info.name, extension));
  }

  VulkanContext context_;
  VulkanMemory memory_;
  VulkanPipelineCache cache_;
  VulkanNumber number_;
  VulkanQueue queue_;
};

Result<Buffer> VulkanDevice::make(size_t size_bytes, VulkanPlace place,
                                  const VulkanSharing& sharing) {
  TRY(check_size(size_bytes));
  context_.drain_retired();
  TRY_ASSIGN(const uint64_t handle, memory_.allocate(size_bytes, place, sharing));
  return Buffer(this, handle, size_bytes, memory_.at(handle).host);
}

MemoryFacts VulkanDevice::memory_facts() const {
  const VulkanChip& chip = context_.chip;
  MemoryFacts facts;
  const MemoryModel own =
      chip.window_bytes > 0 ? MemoryModel::discrete_window : MemoryModel::discrete;
  facts.model = chip.info.unified_memory ? MemoryModel::unified : own;
  facts.window_bytes = chip.info.unified_memory ? 0 : chip.window_bytes;
  facts.imports_host = chip.import_alignment_bytes > 0;
  facts.import_alignment_bytes = std::max<uint64_t>(1, chip.import_alignment_bytes);
  facts.imports_dma_buf = chip.dma_bufs;
  facts.exports_dma_buf = chip.dma_bufs;
  return facts;
}

Result<Buffer> VulkanDevice::allocate_window(size_t size_bytes) {
  if (context_.chip.window_bytes == 0) return Device::allocate_window(size_bytes);
  return make(size_bytes, VulkanPlace::window, {});
}

Result<Buffer> VulkanDevice::import_host(std::span<std::byte> memory) {
  const uint64_t alignment = context_.chip.import_alignment_bytes;
  if (alignment == 0) return lacks(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  if (reinterpret_cast<uintptr_t>(memory.data()) % alignment != 0 ||
      memory.size() % alignment != 0) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Imported memory of ({}) bytes at address ({:#x}) does not begin and "
                             "end on a multiple of ({}).",
                             memory.size(), reinterpret_cast<uintptr_t>(memory.data()), alignment));
  }
  return make(memory.size(), VulkanPlace::shared, {.host = memory.data()});
}

Result<Buffer> VulkanDevice::import_dma_buf(int fd, size_t size_bytes) {
  if (!context_.chip.dma_bufs) return lacks(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
  return make(size_bytes, VulkanPlace::device, {.dma_buf = fd});
}

Result<Buffer> VulkanDevice::allocate_exportable(size_t size_bytes) {
  if (!context_.chip.dma_bufs) return lacks(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
  return make(size_bytes, VulkanPlace::device, {.is_exportable = true});
}

Result<int> VulkanDevice::export_dma_buf(const Buffer& buffer) {
  if (!context_.chip.dma_bufs) return lacks(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
  return export_vulkan(context_, memory_.at(buffer.handle()));
}

}  // namespace

std::vector<FoundRoute> find_vulkan_devices() {
  Result<std::unique_ptr<VulkanInstance>> instance = VulkanInstance::create();
  if (!instance) return {refused_route(Route::vulkan, instance.error())};
  return find_routes(
      Route::vulkan, (*instance)->physical_devices(), "No Vulkan driver finds a device.",
      [&](VkPhysicalDevice device) -> Result<FoundRoute> {
        VulkanChip chip = inspect_chip((*instance)->calls(), device);
        return FoundRoute{std::move(chip.info), std::move(chip.uuid_hex), std::move(chip.refusal)};
      });
}

Result<std::unique_ptr<Device>> open_vulkan_device(size_t index, std::string name) {
  TRY_ASSIGN(std::unique_ptr<VulkanInstance> instance, VulkanInstance::create());
  TRY_ASSIGN(const std::vector<VkPhysicalDevice> devices, instance->physical_devices());
  TRY(check_found(Route::vulkan, index, devices.size()));
  VulkanChip chip = inspect_chip(instance->calls(), devices[index]);
  if (!chip.refusal.empty()) return Error(ErrorKind::unsupported, chip.refusal);
  auto device = std::make_unique<VulkanDevice>();
  TRY(device->open(std::move(instance), std::move(chip), std::move(name)));
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace leat
