// A kernel in memory that the GPU runs, with the registers of its launches.
#pragma once

#include "leat/backend/amd/amd_context.h"
#include "leat/backend/amd/amd_object.h"

namespace leat {

/// Registers of a launch that its kernel decides, as packets set them.
struct AmdRegisters {
  uint64_t entry = 0;
  uint32_t rsrc1 = 0;
  uint32_t rsrc2 = 0;
  uint32_t rsrc3 = 0;
  uint32_t resource_limits = 0;
  uint32_t threads = 0;  // of a workgroup; along x
  AmdScratch scratch;    // address 0: none

  bool uses_scratch() const { return scratch.address != 0; }
};

class AmdKernel final : public Kernel {
 public:
  /// Errors: invalid_argument (the binary is damaged or past a limit), out_of_memory, io.
  static Result<std::unique_ptr<Kernel>> load(AmdContext& context, const KernelBinary& binary);
  AmdKernel(AmdContext& context, const KernelBinary& binary);  // for load()
  ~AmdKernel() override { context_.retire(code_); }
  AmdKernel(const AmdKernel&) = delete;
  AmdKernel& operator=(const AmdKernel&) = delete;

  const AmdRegisters& registers() const { return registers_; }
  uint64_t descriptor_address() const { return descriptor_address_; }

 private:
  Result<void> fill(const KernelBinary& binary, const AmdObject& object);

  AmdContext& context_;
  DirectRange code_;
  AmdRegisters registers_;
  uint64_t descriptor_address_ = 0;
};

}  // namespace leat
