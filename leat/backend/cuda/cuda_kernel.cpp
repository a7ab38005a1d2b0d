// Checks a KernelBinary against the chip and loads it.
#include "leat/backend/cuda/cuda_kernel.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/cubin.h"

namespace leat {

namespace {

// CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES. Source: CUDA Driver API, CUfunction_attribute.
constexpr int kMaxDynamicSharedBytes = 8;

Result<void> check_limit(const KernelBinary& binary, const CudaChip& chip, const char* what,
                         uint64_t value, uint64_t limit) {
  if (value <= limit) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("{} ({}) of Kernel \"{}\" is larger than the limit ({}) of CUDA device "
                           "\"{}\".",
                           what, value, binary.name, limit, chip.info.chip));
}

Result<void> check_limits(const KernelBinary& binary, const CudaChip& chip) {
  const Target& target = chip.target;
  if (binary.format != target.format) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Code format ({}) of Kernel \"{}\" is not that of CUDA device \"{}\" "
                             "({}).",
                             static_cast<int>(binary.format), binary.name, chip.info.chip,
                             static_cast<int>(target.format)));
  }
  TRY(check_limit(binary, chip, "Workgroup size",
                  uint64_t{binary.wave_lanes} * binary.waves_per_workgroup,
                  target.lanes_per_workgroup_max));
  TRY(check_limit(binary, chip, "Local memory", binary.local_memory_bytes,
                  target.local_memory_bytes_max));
  TRY(check_limit(binary, chip, "Number of buffers", binary.arguments.size(),
                  CudaKernel::kBuffersMax));
  for (size_t axis = 0; axis < 3; ++axis) {
    TRY(check_limit(binary, chip, "Grid size", binary.grid[axis], target.workgroups_max[axis]));
  }
  return {};
}

}  // namespace

CudaKernel::CudaKernel(CudaContext& context, const KernelBinary& binary)
    : Kernel(binary),
      context_(context),
      threads_(binary.wave_lanes * binary.waves_per_workgroup),
      shared_bytes_(binary.local_memory_bytes) {
  std::copy_n(binary.grid, 3, grid_);
}

CudaKernel::~CudaKernel() { context_.retire({.module = module_}); }

Result<std::unique_ptr<Kernel>> CudaKernel::load(CudaContext& context, const KernelBinary& binary) {
  TRY(check_limits(binary, context.chip));
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

Result<void> CudaKernel::launch(CudaHandle stream, std::span<uint64_t> addresses) const {
  void* parameters[kBuffersMax];
  for (size_t i = 0; i < addresses.size(); ++i) parameters[i] = &addresses[i];
  TRY_CUDA(context_.api, cuLaunchKernel, function_, grid_[0], grid_[1], grid_[2], threads_, 1, 1,
           shared_bytes_, stream, parameters, nullptr);
  return {};
}

}  // namespace leat
