// See cpu_memory.h. The system promises more than it has, so a request beyond the machine's memory
// is refused here; it would else end the process when the pages are touched.
#include "leat/backend/cpu/cpu_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "leat/base/files.h"
#include "leat/base/numbers.h"

namespace leat {

namespace {

void* map_pages(size_t size_bytes) {
  return mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void unmap(std::byte* first, size_t size_bytes) {
  if (size_bytes > 0) CHECK(munmap(first, size_bytes) == 0);
}

}  // namespace

size_t physical_memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  CHECK(pages > 0 && page_bytes > 0);
  return static_cast<size_t>(pages) * static_cast<size_t>(page_bytes);
}

Result<CpuMemory> CpuMemory::map(size_t size_bytes) {
  CHECK(size_bytes > 0);
  const size_t limit = physical_memory_bytes();
  if (size_bytes > limit) {
    return Error(ErrorKind::out_of_memory, "Buffer size (" + std::to_string(size_bytes) +
                                               ") is larger than the memory (" +
                                               std::to_string(limit) + ") of Device \"cpu\".");
  }
  const bool is_huge = size_bytes >= kHugePageBytes;
  const size_t unit = is_huge ? kHugePageBytes : static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t wanted = round_up(size_bytes, unit);
  const size_t mapped = is_huge ? wanted + kHugePageBytes : wanted;
  void* address = map_pages(mapped);
  if (address == MAP_FAILED) {
    return Error(ErrorKind::out_of_memory, "mmap of (" + std::to_string(mapped) +
                                               ") bytes fails (" + std::strerror(errno) + ").");
  }
  CpuMemory memory;
  memory.data_ = static_cast<std::byte*>(address);
  memory.size_bytes_ = mapped;
  if (!is_huge) return memory;

  const size_t start = reinterpret_cast<uintptr_t>(address);
  const size_t before = round_up(start, kHugePageBytes) - start;
  unmap(memory.data_, before);
  memory.data_ += before;
  unmap(memory.data_ + wanted, mapped - before - wanted);
  memory.size_bytes_ = wanted;
  // Only advice: where it is refused the memory is slower and otherwise the same.
  static_cast<void>(madvise(memory.data_, wanted, MADV_HUGEPAGE));
  return memory;
}

Result<CpuMemory> CpuMemory::map_file(int fd, size_t size_bytes) {
  TRY_ASSIGN(const uint64_t end, size_of_descriptor(fd));
  if (end < size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 "File descriptor (" + std::to_string(fd) + ") holds (" + std::to_string(end) +
                     ") bytes, fewer than (" + std::to_string(size_bytes) + ").");
  }
  const bool is_written = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
  const int rights = PROT_READ | (is_written ? PROT_WRITE : 0);
  void* address = mmap(nullptr, size_bytes, rights, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) {
    return Error(ErrorKind::io, "mmap of (" + std::to_string(size_bytes) +
                                    ") bytes of file descriptor (" + std::to_string(fd) +
                                    ") fails (" + std::strerror(errno) + ").");
  }
  CpuMemory memory;
  memory.data_ = static_cast<std::byte*>(address);
  memory.size_bytes_ = size_bytes;
  return memory;
}

CpuMemory& CpuMemory::operator=(CpuMemory&& other) noexcept {
  if (this == &other) return *this;
  unmap(data_, size_bytes_);
  data_ = std::exchange(other.data_, nullptr);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

CpuMemory::~CpuMemory() { unmap(data_, size_bytes_); }

}  // namespace leat
