// Replaces the global operator new and delete of the fuzz program. They still go through malloc, so
// that address sanitizer sees every block.
#include "tests/fuzz/allocation_watch.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace leat {
namespace {

std::atomic<size_t> largest_bytes = 0;

void* watched_allocation(size_t size_bytes) {
  size_t seen = largest_bytes;
  while (size_bytes > seen && !largest_bytes.compare_exchange_weak(seen, size_bytes)) {
  }
  void* memory = std::malloc(size_bytes == 0 ? 1 : size_bytes);
  if (!memory) std::abort();
  return memory;
}

}  // namespace

void reset_largest_allocation() { largest_bytes = 0; }
size_t largest_allocation() { return largest_bytes; }

}  // namespace leat

void* operator new(size_t size_bytes) { return leat::watched_allocation(size_bytes); }
void* operator new[](size_t size_bytes) { return leat::watched_allocation(size_bytes); }
void* operator new(size_t size_bytes, const std::nothrow_t&) noexcept {
  return leat::watched_allocation(size_bytes);
}
void* operator new[](size_t size_bytes, const std::nothrow_t&) noexcept {
  return leat::watched_allocation(size_bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
