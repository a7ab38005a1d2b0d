// Source: LLVM's User Guide for AMDGPU Backend, "Kernel Descriptor" (what the dispatcher adds);
// SIMD_DEST_CNTL where the waves of a workgroup fill all four SIMDs: Mesa and PAL.
#include "leat/backend/amd/amd_kernel.h"

#include <algorithm>
#include <cstring>

#include "leat/backend/amd/amd_pm4.h"
#include "leat/route/kernel_limits.h"

namespace leat {

AmdKernel::AmdKernel(AmdContext& context, const KernelBinary& binary)
    : Kernel(binary), context_(context) {}

Result<std::unique_ptr<Kernel>> AmdKernel::load(AmdContext& context, const KernelBinary& binary) {
  TRY(check_limits(binary, context.card.target, context.card.info));
  TRY_ASSIGN(const AmdObject object, read_amd_object(binary, *context.card.chip));
  TRY(check_limit(binary, context.card.info, "Local memory",
                  uint64_t{object.descriptor.group_bytes} + binary.local_memory_bytes,
                  context.card.target.local_memory_bytes_max));
  auto kernel = std::make_unique<AmdKernel>(context, binary);
  TRY(kernel->fill(binary, object));
  return std::unique_ptr<Kernel>(std::move(kernel));
}

Result<void> AmdKernel::fill(const KernelBinary& binary, const AmdObject& object) {
  constexpr uint32_t kSimdsOfWorkgroup = 4;
  const AmdDescriptor& descriptor = object.descriptor;
  context_.drain_retired();
  if (descriptor.private_bytes > 0) {
    TRY_ASSIGN(registers_.scratch, context_.reserve_scratch(descriptor.private_bytes));
  }
  TRY_ASSIGN(code_, context_.memory.allocate(object.image.size(), AmdPlace::code));
  std::memcpy(code_.host, object.image.data(), object.image.size());
  const uint32_t lds_bytes = descriptor.group_bytes + binary.local_memory_bytes;
  const uint32_t lds_units = (lds_bytes + pm4::kLdsUnitBytes - 1) / pm4::kLdsUnitBytes;
  registers_.entry = code_.address + object.entry_offset;
  descriptor_address_ = registers_.entry - static_cast<uint64_t>(descriptor.entry_offset);
  registers_.rsrc1 = descriptor.rsrc1 & ~pm4::kSgprsMask;
  if (context_.needs_priv()) registers_.rsrc1 |= pm4::kPriv;
  registers_.rsrc2 = descriptor.rsrc2 | lds_units << pm4::kLdsShift;
  registers_.rsrc3 = descriptor.rsrc3;
  registers_.resource_limits =
      binary.waves_per_workgroup % kSimdsOfWorkgroup == 0 ? pm4::kSimdDestControl : 0;
  registers_.threads = binary.wave_lanes * binary.waves_per_workgroup;
  return {};
}

}  // namespace leat
