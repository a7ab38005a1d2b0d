// Host memory for buffers: pages from the system, returned when the owner dies.
// From kHugePageBytes on, ranges start on a huge page and ask for huge pages, which spares the page
// walks of a network's arena. Pages are zero and take no memory until they are touched.
#pragma once

#include <cstddef>

#include "leat/base/result.h"

namespace leat {

/// An owned mapping of whole pages.
class CpuMemory {
 public:
  CpuMemory() = default;
  CpuMemory(CpuMemory&& other) noexcept { *this = std::move(other); }
  CpuMemory& operator=(CpuMemory&& other) noexcept;
  ~CpuMemory();

  /// size_bytes > 0. Errors: out_of_memory.
  static Result<CpuMemory> map(size_t size_bytes);
  /// Pages of a dma-buf, a memfd or another file that can be mapped. Errors: io.
  static Result<CpuMemory> map_file(int fd, size_t size_bytes);

  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

/// Memory of the machine.
size_t physical_memory_bytes();

/// Size of a huge page of x86-64, and of AArch64 with 4 KiB pages.
/// Source: Linux, Documentation/admin-guide/mm/hugetlbpage.rst.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

}  // namespace leat
