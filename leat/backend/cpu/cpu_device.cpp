// See cpu_device.h.
#include "leat/backend/cpu/cpu_device.h"

#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "leat/backend/cpu/cpu_code_rights.h"
#include "leat/backend/cpu/cpu_jit.h"
#include "leat/backend/cpu/cpu_memory.h"
#include "leat/backend/cpu/cpu_queue.h"
#include "leat/backend/cpu/cpu_shared_code.h"
#include "leat/backend/cpu/cpu_target.h"
#include "leat/base/env.h"
#include "leat/route/handle_table.h"
#include "leat/route/kernel_limits.h"
#include "leat/route/launch_checks.h"

namespace leat {

namespace {

// Value of the first line "key : value" of /proc/cpuinfo; x86 names the chip there, AArch64 does
// not.
std::string cpuinfo_value(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (colon != std::string::npos && line.starts_with(key)) return line.substr(colon + 2);
  }
  return "";
}

DeviceInfo make_info() {
  const HostCpu host = host_cpu();
  DeviceInfo info;
  info.name = "cpu";
  info.chip = cpuinfo_value("model name");
  info.chip += info.chip.empty() ? host.cpu : " (" + host.cpu + ")";
  info.vendor = cpuinfo_value("vendor_id");
  info.driver = host.llvm_version.empty() ? "packed models only" : "LLVM " + host.llvm_version;
  const Result<void> rights = check_code_rights();
  if (!rights && !host.llvm_version.empty()) {
    info.driver += " (packed models only: " + rights.error().message() + ")";
  }
  if (!host.tiles_refused.empty()) info.driver += " (no AMX: " + host.tiles_refused + ")";
  info.route = Route::native;
  info.unified_memory = true;
  info.memory_bytes = physical_memory_bytes();
  return info;
}

// Kernels load and store whole elements at their own alignment; four bytes is the largest.
constexpr size_t kImportAlignment = 4;

class CpuDevice : public Device {
 public:
  explicit CpuDevice(uint32_t threads)
      : info_(make_info()), target_(host_cpu_target(threads)), queue_(*this, info_, target_) {}
  Result<void> start() { return queue_.start(target_.compute_units); }

  const DeviceInfo& info() const override { return info_; }
  const Target& target() const override { return target_; }
  Queue& queue() override { return queue_; }

  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override;
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override;
  void free_buffer(uint64_t handle) override;
  MemoryFacts memory_facts() const override;
  Result<Buffer> import_host(std::span<std::byte> memory) override;
  Result<Buffer> import_dma_buf(int fd, size_t size_bytes) override;

 private:
  Result<LoadedCode> load_code(const KernelBinary& binary);
  Buffer keep(CpuMemory memory, size_t size_bytes, std::byte* data);

  DeviceInfo info_;
  Target target_;
  // Both outlive the code that the queue retires.
  std::optional<CpuJit> jit_;  // once somebody wants it
  CpuSharedCode shared_;
  HandleTable<CpuMemory> memory_;
  CpuQueue queue_;  // ends before the memory
};

Result<Buffer> CpuDevice::allocate(size_t size_bytes, MemoryKind) {
  TRY(check_size(size_bytes));
  TRY_ASSIGN(CpuMemory memory, CpuMemory::map(size_bytes));
  std::byte* data = memory.data();
  return keep(std::move(memory), size_bytes, data);
}

Buffer CpuDevice::keep(CpuMemory memory, size_t size_bytes, std::byte* data) {
  return Buffer(this, memory_.add(std::move(memory)), size_bytes, data);
}

MemoryFacts CpuDevice::memory_facts() const {
  MemoryFacts facts;
  facts.imports_host = true;
  facts.import_alignment_bytes = kImportAlignment;
  facts.imports_dma_buf = true;
  return facts;
}

Result<Buffer> CpuDevice::import_host(std::span<std::byte> memory) {
  if (memory.empty()) {
    return Error(ErrorKind::invalid_argument, "Size (0) of imported memory is not positive.");
  }
  if (reinterpret_cast<uintptr_t>(memory.data()) % kImportAlignment != 0) {
    return Error(ErrorKind::invalid_argument, "Imported memory does not lie on a multiple of (" +
                                                  std::to_string(kImportAlignment) + ") bytes.");
  }
  return keep({}, memory.size(), memory.data());
}

Result<Buffer> CpuDevice::import_dma_buf(int fd, size_t size_bytes) {
  if (size_bytes == 0) {
    return Error(ErrorKind::invalid_argument, "Size (0) of imported memory is not positive.");
  }
  TRY_ASSIGN(CpuMemory memory, CpuMemory::map_file(fd, size_bytes));
  std::byte* data = memory.data();
  return keep(std::move(memory), size_bytes, data);
}

void CpuDevice::free_buffer(uint64_t handle) { queue_.retire(memory_.take(handle)); }

Result<LoadedCode> CpuDevice::load_code(const KernelBinary& binary) {
  if (is_shared_object(binary)) return shared_.load(binary);
  if (!jit_) {
    TRY_ASSIGN(CpuJit jit, CpuJit::create());
    jit_.emplace(std::move(jit));
  }
  return jit_->load(binary);
}

Result<std::unique_ptr<Kernel>> CpuDevice::load(const KernelBinary& binary) {
  TRY(check_limits(binary, target_, info_));
  const uint64_t rows = uint64_t{binary.grid[1]} * binary.grid[2];  // both below 2^31
  constexpr uint32_t kGroupsMax = std::numeric_limits<uint32_t>::max();
  TRY(check_limit(binary, info_, "Number of workgroups",
                  rows > kGroupsMax ? rows : rows * binary.grid[0], kGroupsMax));
  TRY_ASSIGN(LoadedCode code, load_code(binary));
  return std::unique_ptr<Kernel>(std::make_unique<CpuKernel>(binary, std::move(code), queue_));
}

}  // namespace

Result<std::unique_ptr<Device>> open_cpu_device(uint32_t threads) {
  if (threads > kThreadsMax) {
    return Error(ErrorKind::invalid_argument, "Threads (" + std::to_string(threads) +
                                                  ") of Device \"cpu\" are more than the limit (" +
                                                  std::to_string(kThreadsMax) + ").");
  }
  auto device = std::make_unique<CpuDevice>(threads);
  TRY(device->start());
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace leat
