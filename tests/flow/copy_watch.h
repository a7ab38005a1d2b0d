// Watches copies by the host: every memcpy and memmove of this program, and of the libraries and
// drivers that it loads, that reads or writes memory which a test names. Small ones, which
// compilers make single moves of, are not seen; they are how numbers are written in place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat {

/// False where sanitizers stand in front of these functions themselves.
bool is_watching_copies();
/// A copy of at least this much counts.
inline constexpr size_t kWatchedCopyBytes = 64;
inline constexpr size_t kWatchedRangesMax = 64;

/// Counts from now on copies from or to these bytes too.
void watch_copies(const void* begin, size_t size_bytes);
/// Forgets all ranges and counts.
void forget_copies();
/// Bytes of all such copies so far.
uint64_t watched_copy_bytes();

}  // namespace leat
