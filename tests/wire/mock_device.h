// The direct route on the mock as a Device whose kernels are wave programs in text form, so that
// every suite that runs on devices runs over the whole direct path without a GPU.
#pragma once

#include <memory>

#include "leat/device/device.h"
#include "tests/wire/mock_nvidia.h"

namespace leat::mock {

class MockDevice final : public Device {
 public:
  /// Checks every packet before its doorbell. Errors: those of the direct route.
  static Result<std::unique_ptr<MockDevice>> open(const ChipOptions& options = {});
  /// A rule of the hardware that was broken is a failure of the test.
  ~MockDevice() override;

  const DeviceInfo& info() const override { return inner_->info(); }
  const Target& target() const override { return target_; }
  Queue& queue() override { return inner_->queue(); }
  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return inner_->allocate(size_bytes, kind);
  }
  MemoryFacts memory_facts() const override { return inner_->memory_facts(); }
  Result<Buffer> import_host(std::span<std::byte> memory) override {
    return inner_->import_host(memory);
  }
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override;
  void free_buffer(uint64_t handle) override { inner_->free_buffer(handle); }

  Nvidia& gpu() { return *gpu_; }
  /// The direct route itself, which takes cubins.
  Device& inner() { return *inner_; }
  /// Closes it; this device and what it made must not be used any more.
  void close_inner() { inner_.reset(); }
  /// Broken rules are what the test is about.
  void expect_broken_rules() { expects_broken_rules_ = true; }

 private:
  MockDevice(const ChipOptions& options) : gpu_(std::make_unique<Nvidia>(options)) {}

  std::unique_ptr<Nvidia> gpu_;
  std::unique_ptr<Device> inner_;
  Target target_;
  bool expects_broken_rules_ = false;
};

}  // namespace leat::mock
