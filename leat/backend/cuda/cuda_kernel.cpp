// Checks a KernelBinary against the chip and loads it.
#include "leat/backend/cuda/cuda_kernel.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/route/cubin.h"
#include "leat/route/kernel_limits.h"

namespace leat {

namespace {

// CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES. Source: CUDA Driver API, CUfunction_attribute.
constexpr int kMaxDynamicSharedBytes = 8;

}  // namespace

CudaKernel::CudaKernel(CudaContext& context, const KernelBinary& binary)
    : Kernel(binary),
      context_(context),
      threads_(binary.wave_lanes * binary.waves_per_workgroup),
      shared_bytes_(binary.local_memory_bytes) {}

CudaKernel::~CudaKernel() { context_.retire({.module = module_}); }

Result<std::unique_ptr<Kernel>> CudaKernel::load(CudaContext& context, const KernelBinary& binary) {
  TRY(check_limits(binary, context.chip.target, context.chip.info));
  CHECK(binary.arguments.size() <= kBuffersMax);
  TRY(check_cubin(binary, context.chip.target));
  TRY(context.enter());
  auto kernel = std::make_unique<CudaKernel>(context, binary);
  const Result<void> created = kernel->create(binary);
  if (!created) return created.error().during(fmt::format("loading kernel {}", binary.name));
  return std::unique_ptr<Kernel>(std::move(kernel));
}

Result<void> CudaKernel::create(const KernelBinary& binary) {
  const CudaApi& api = context_.api;
  TRY_CUDA(api, cuModuleLoadData, &module_, binary.code.data());
  TRY_CUDA(api, cuModuleGetFunction, &function_, module_, binary.entry.c_str());
  if (shared_bytes_ == 0) return {};
  TRY_CUDA(api, cuFuncSetAttribute, function_, kMaxDynamicSharedBytes,
           static_cast<int>(shared_bytes_));
  return {};
}

Result<void> CudaKernel::launch(CudaHandle stream, std::span<uint64_t> addresses,
                                const Grid& grid) const {
  void* parameters[kBuffersMax];
  for (size_t i = 0; i < addresses.size(); ++i) parameters[i] = &addresses[i];
  TRY_CUDA(context_.api, cuLaunchKernel, function_, grid[0], grid[1], grid[2], threads_, 1, 1,
           shared_bytes_, stream, parameters, nullptr);
  return {};
}

}  // namespace leat
