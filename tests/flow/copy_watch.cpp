// See copy_watch.h. The program's own definitions come before the C library's in the dynamic
// linker's order, so that drivers call these too. They copy by one instruction on x86-64, since a
// loop would be compiled into a call of the very function.
#include "tests/flow/copy_watch.h"

#include <array>
#include <atomic>

#include "leat/base/check.h"

namespace leat {
namespace {

struct Range {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};
std::array<Range, kWatchedRangesMax> ranges;  // those below range_count
std::atomic<size_t> range_count = 0;
std::atomic<uint64_t> copied_bytes = 0;

bool touches(const Range& range, const void* memory, size_t size_bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  return begin < range.end && range.begin < begin + size_bytes;
}

[[maybe_unused]] void note_copy(const void* target, const void* source, size_t size_bytes) {
  const size_t count = range_count.load(std::memory_order_acquire);
  if (count == 0 || size_bytes < kWatchedCopyBytes) return;
  for (size_t i = 0; i < count; ++i) {
    if (!touches(ranges[i], target, size_bytes) && !touches(ranges[i], source, size_bytes)) {
      continue;
    }
    copied_bytes.fetch_add(size_bytes, std::memory_order_relaxed);
    return;
  }
}

}  // namespace

void watch_copies(const void* begin, size_t size_bytes) {
  const size_t count = range_count.load();
  CHECK(count < kWatchedRangesMax);
  const auto address = reinterpret_cast<uintptr_t>(begin);
  ranges[count] = {address, address + size_bytes};
  range_count.store(count + 1, std::memory_order_release);
}

void forget_copies() {
  range_count.store(0);
  copied_bytes.store(0);
}

uint64_t watched_copy_bytes() { return copied_bytes.load(); }

}  // namespace leat

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace leat {
bool is_watching_copies() { return true; }
}  // namespace leat

extern "C" void* memcpy(void* target, const void* source, size_t size_bytes) {
  leat::note_copy(target, source, size_bytes);
  void* to = target;
  asm volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(size_bytes) : : "memory");
  return target;
}

extern "C" void* memmove(void* target, const void* source, size_t size_bytes) {
  const auto to = reinterpret_cast<uintptr_t>(target);
  const auto from = reinterpret_cast<uintptr_t>(source);
  if (to - from >= size_bytes) return memcpy(target, source, size_bytes);
  leat::note_copy(target, source, size_bytes);
  auto* last_to = static_cast<char*>(target) + size_bytes - 1;
  auto* last_from = static_cast<const char*>(source) + size_bytes - 1;
  asm volatile("std\n\trep movsb\n\tcld"
               : "+D"(last_to), "+S"(last_from), "+c"(size_bytes)
               :
               : "memory", "cc");
  return target;
}

extern "C" void* __memcpy_chk(void* target, const void* source, size_t size_bytes, size_t) {
  return memcpy(target, source, size_bytes);
}
extern "C" void* __memmove_chk(void* target, const void* source, size_t size_bytes, size_t) {
  return memmove(target, source, size_bytes);
}

#else

namespace leat {
bool is_watching_copies() { return false; }
}  // namespace leat

#endif
