// See cuda_memory.h.
#include "leat/backend/cuda/cuda_memory.h"

#include <fmt/format.h>

namespace leat {

namespace {

Result<CudaAllocation> make_allocation(CudaContext& context, size_t size_bytes, MemoryKind kind) {
  const CudaApi& api = context.api;
  CudaAllocation allocation;
  allocation.size_bytes = size_bytes;
  if (kind == MemoryKind::device) {
    TRY_CUDA(api, cuMemAllocAsync, &allocation.address, size_bytes, context.stream);
    return allocation;
  }
  void* host = nullptr;
  TRY_CUDA(api, cuMemHostAlloc, &host, size_bytes, kCudaHostAllocMapped);
  allocation.host = static_cast<std::byte*>(host);
  TRY_CUDA(api, cuMemHostGetDevicePointer, &allocation.address, host, 0);
  return allocation;
}

/// The pages stay registered until the allocation is released.
Result<CudaAllocation> register_pages(CudaContext& context, std::span<std::byte> pages) {
  constexpr unsigned kRegisterMapped = 1u | 2u;  // CU_MEMHOSTREGISTER_PORTABLE | _DEVICEMAP
  const CudaApi& api = context.api;
  CudaAllocation allocation;
  allocation.size_bytes = pages.size();
  allocation.host = pages.data();
  allocation.is_imported = true;
  TRY_CUDA(api, cuMemHostRegister, pages.data(), pages.size(), kRegisterMapped);
  const int code = api.cuMemHostGetDevicePointer(&allocation.address, pages.data(), 0);
  if (code == kCudaSuccess) return allocation;
  api.cuMemHostUnregister(pages.data());
  return api.error(code, "cuMemHostGetDevicePointer");
}

}  // namespace

CudaMemory::~CudaMemory() {
  allocations_.take_all([&](const CudaAllocation& allocation) { release(allocation); });
}

Result<uint64_t> CudaMemory::allocate(size_t size_bytes, MemoryKind kind) {
  TRY(context_.enter());
  const Result<CudaAllocation> allocation = make_allocation(context_, size_bytes, kind);
  if (!allocation) return allocation.error().during(fmt::format("allocating {} bytes", size_bytes));
  return allocations_.add(*allocation);
}

Result<uint64_t> CudaMemory::import(std::span<std::byte> pages) {
  TRY(context_.enter());
  const Result<CudaAllocation> allocation = register_pages(context_, pages);
  if (!allocation) {
    return allocation.error().during(fmt::format("importing {} bytes", pages.size()));
  }
  return allocations_.add(*allocation);
}

void CudaMemory::release(const CudaAllocation& allocation) {
  if (allocation.is_imported) return context_.retire({.registered_memory = allocation.host});
  if (allocation.host != nullptr) return context_.retire({.host_memory = allocation.host});
  if (allocation.address == 0 || !context_.enter()) return;
  context_.api.cuMemFreeAsync(allocation.address, context_.stream);
}

}  // namespace leat
