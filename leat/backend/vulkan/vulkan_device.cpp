// Ties the parts of this folder together. Destruction runs upwards through the members: queue,
// cache and table hand what they hold to the context, which waits and destroys.
#include "leat/backend/vulkan/vulkan_device.h"

#include <fmt/format.h>

#include "leat/backend/vulkan/vulkan_number.h"
#include "leat/backend/vulkan/vulkan_queue.h"

namespace leat {

namespace {

class VulkanDevice final : public Device {
 public:
  VulkanDevice()
      : memory_(context_), cache_(context_), number_(context_), queue_(context_, memory_) {}

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
    if (size_bytes == 0) {
      return Error(ErrorKind::invalid_argument, "Buffer size (0) is not positive.");
    }
    context_.drain_retired();
    TRY_ASSIGN(const uint64_t handle,
               memory_.allocate(size_bytes, kind == MemoryKind::shared ? VulkanPlace::shared
                                                                       : VulkanPlace::device));
    return Buffer(this, handle, size_bytes, memory_.at(handle).host);
  }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return VulkanKernel::load(context_, cache_, binary);
  }

  void free_buffer(uint64_t handle) override { memory_.free(handle); }

 private:
  VulkanContext context_;
  VulkanMemory memory_;
  VulkanPipelineCache cache_;
  VulkanNumber number_;
  VulkanQueue queue_;
};

VulkanInfo refused(const Error& error) {
  VulkanInfo none;
  none.info.route = Route::vulkan;
  none.refusal = error.message();
  return none;
}

}  // namespace

std::vector<VulkanInfo> find_vulkan_devices() {
  Result<std::unique_ptr<VulkanInstance>> instance = VulkanInstance::create();
  if (!instance) return {refused(instance.error())};
  const Result<std::vector<VkPhysicalDevice>> devices = (*instance)->physical_devices();
  if (!devices) return {refused(devices.error())};
  if (devices->empty()) {
    return {refused(Error(ErrorKind::unsupported, "No Vulkan driver finds a device."))};
  }
  std::vector<VulkanInfo> found;
  for (VkPhysicalDevice device : *devices) {
    VulkanChip chip = inspect_chip((*instance)->calls(), device);
    found.push_back({std::move(chip.info), std::move(chip.uuid_hex), std::move(chip.refusal)});
  }
  return found;
}

Result<std::unique_ptr<Device>> open_vulkan_device(size_t index, std::string name) {
  TRY_ASSIGN(std::unique_ptr<VulkanInstance> instance, VulkanInstance::create());
  TRY_ASSIGN(const std::vector<VkPhysicalDevice> devices, instance->physical_devices());
  if (index >= devices.size()) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("Vulkan device ({}) is not among the ({}) found.", index, devices.size()));
  }
  VulkanChip chip = inspect_chip(instance->calls(), devices[index]);
  if (!chip.refusal.empty()) return Error(ErrorKind::unsupported, chip.refusal);
  auto device = std::make_unique<VulkanDevice>();
  TRY(device->open(std::move(instance), std::move(chip), std::move(name)));
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace leat
