// Ties the parts of this folder together. Destruction runs upwards through the members: queue and
// memory hand what they hold to the context, which waits and destroys.
#include "leat/backend/cuda/cuda_device.h"

#include "leat/backend/cuda/cuda_queue.h"
#include "leat/route/launch_checks.h"

namespace leat {

namespace {

class CudaDevice final : public Device {
 public:
  CudaDevice() : memory_(context_), queue_(context_, memory_, *this) {}

  Result<void> open(const CudaApi& api, CudaChip chip, std::string name) {
    chip.info.name = std::move(name);
    TRY(context_.open(api, std::move(chip)));
    return queue_.open();
  }

  const DeviceInfo& info() const override { return context_.chip.info; }
  const Target& target() const override { return context_.chip.target; }
  Queue& queue() override { return queue_; }

  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    TRY(check_size(size_bytes));
    context_.drain_retired(CudaContext::Drain::everything);
    TRY_ASSIGN(const uint64_t handle, memory_.allocate(size_bytes, kind));
    return Buffer(this, handle, size_bytes, memory_.at(handle).host);
  }

  MemoryFacts memory_facts() const override {
    return facts_with_import(Device::memory_facts(), CudaMemory::kPage);
  }
  Result<Buffer> import_host(std::span<std::byte> memory) override {
    TRY(check_import(memory, CudaMemory::kPage));
    context_.drain_retired(CudaContext::Drain::everything);
    TRY_ASSIGN(const uint64_t handle, memory_.import(memory));
    return Buffer(this, handle, memory.size(), memory.data());
  }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    context_.drain_retired(CudaContext::Drain::everything);
    return CudaKernel::load(context_, binary);
  }

  void free_buffer(uint64_t handle) override { memory_.free(handle); }

 private:
  CudaContext context_;
  CudaMemory memory_;
  CudaQueue queue_;
};

/// One for each ordinal: a chip that cannot be inspected is refused and hides no other.
Result<std::vector<CudaChip>> find_chips(const CudaApi& api) {
  int count = 0;
  TRY_CUDA(api, cuDeviceGetCount, &count);
  std::vector<CudaChip> chips;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    chips.push_back(inspect_cuda_chip(api, ordinal));
  }
  return chips;
}

}  // namespace

std::vector<FoundRoute> find_cuda_devices_on(const CudaApi& api) {
  return find_routes(
      Route::cuda, find_chips(api), "The CUDA driver finds no device.",
      [](CudaChip& chip) -> Result<FoundRoute> {
        return FoundRoute{std::move(chip.info), std::move(chip.uuid_hex), std::move(chip.refusal)};
      });
}

std::vector<FoundRoute> find_cuda_devices() {
  const Result<CudaApi> api = CudaApi::open();
  return api ? find_cuda_devices_on(*api) : std::vector{refused_route(Route::cuda, api.error())};
}

Result<std::unique_ptr<Device>> open_cuda_device_on(const CudaApi& api, size_t index,
                                                    std::string name) {
  TRY_ASSIGN(std::vector<CudaChip> chips, find_chips(api));
  TRY(check_found(Route::cuda, index, chips.size()));
  if (!chips[index].refusal.empty()) {
    return Error(ErrorKind::unsupported, chips[index].refusal);
  }
  auto device = std::make_unique<CudaDevice>();
  TRY(device->open(api, std::move(chips[index]), std::move(name)));
  return std::unique_ptr<Device>(std::move(device));
}

Result<std::unique_ptr<Device>> open_cuda_device(size_t index, std::string name) {
  TRY_ASSIGN(const CudaApi api, CudaApi::open());
  return open_cuda_device_on(api, index, std::move(name));
}

}  // namespace leat
