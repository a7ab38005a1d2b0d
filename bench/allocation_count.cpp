// Replaces the global operator new and delete of the program. They still go through malloc, so that
// sanitizers see every block; what drivers take from malloc itself is not counted.
#include "bench/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace leat::cli {
namespace {

std::atomic<uint64_t> allocations = 0;

void* counted(size_t size_bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size_bytes == 0 ? 1 : size_bytes);
}

void* counted_or_abort(size_t size_bytes) {
  void* memory = counted(size_bytes);
  if (memory == nullptr) std::abort();  // as a bad_alloc would end it: nothing here catches
  return memory;
}

void* counted(size_t size_bytes, std::align_val_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto align = static_cast<size_t>(alignment);
  return std::aligned_alloc(align, (size_bytes + align - 1) / align * align);
}

void* counted_or_abort(size_t size_bytes, std::align_val_t alignment) {
  void* memory = counted(size_bytes, alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

uint64_t allocation_count() { return allocations.load(std::memory_order_relaxed); }

}  // namespace leat::cli

void* operator new(size_t size_bytes) { return leat::cli::counted_or_abort(size_bytes); }
void* operator new[](size_t size_bytes) { return leat::cli::counted_or_abort(size_bytes); }
void* operator new(size_t size_bytes, const std::nothrow_t&) noexcept {
  return leat::cli::counted(size_bytes);
}
void* operator new[](size_t size_bytes, const std::nothrow_t&) noexcept {
  return leat::cli::counted(size_bytes);
}
void* operator new(size_t size_bytes, std::align_val_t alignment) {
  return leat::cli::counted_or_abort(size_bytes, alignment);
}
void* operator new[](size_t size_bytes, std::align_val_t alignment) {
  return leat::cli::counted_or_abort(size_bytes, alignment);
}
void* operator new(size_t size_bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return leat::cli::counted(size_bytes, alignment);
}
void* operator new[](size_t size_bytes, std::align_val_t alignment,
                     const std::nothrow_t&) noexcept {
  return leat::cli::counted(size_bytes, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
