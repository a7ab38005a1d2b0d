// Memory: device memory from the stream's pool, which is freed in the order of the stream and so
// without a wait; shared memory is pinned host memory that the GPU reads and writes over the bus.
#pragma once

#include <span>

#include "leat/backend/cuda/cuda_context.h"
#include "leat/route/handle_table.h"

namespace leat {

struct CudaAllocation {
  uint64_t address = 0;  // on the device
  size_t size_bytes = 0;
  std::byte* host = nullptr;  // shared memory only
  bool is_imported = false;
};

class CudaMemory {
 public:
  explicit CudaMemory(CudaContext& context) : context_(context) {}
  ~CudaMemory();
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  /// Returns a handle. Errors: out_of_memory, io.
  Result<uint64_t> allocate(size_t size_bytes, MemoryKind kind);
  /// Whole pages of the caller, used in place. Returns a handle. Errors: as allocate.
  Result<uint64_t> import(std::span<std::byte> pages);
  static constexpr size_t kPage = 4096;
  void free(uint64_t handle) { release(allocations_.take(handle)); }
  const CudaAllocation& at(uint64_t handle) const { return allocations_.at(handle); }

 private:
  void release(const CudaAllocation& allocation);

  CudaContext& context_;
  HandleTable<CudaAllocation> allocations_;
};

}  // namespace leat
