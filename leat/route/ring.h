// A ring in memory that the device reads: entries of a channel, dwords of packets. Words are
// numbered by a count that only grows; word n lies at n modulo the ring's size, a power of two.
// Whether the device takes the count itself or its remainder (index()) is the route's to know.
// What is written is the device's once it has been told of written(); barriers are the route's.
#pragma once

#include <cstdint>

#include "leat/base/check.h"

namespace leat {

template <typename Word>
class Ring {
 public:
  Ring() = default;
  /// Empty; `words` outlives it.
  Ring(volatile Word* words, uint32_t size) : words_(words), size_(size) {
    CHECK(size > 0 && (size & (size - 1)) == 0);
  }

  uint32_t size() const { return size_; }
  /// Words written so far.
  uint64_t written() const { return written_; }
  /// Where the next one goes.
  uint32_t index() const { return static_cast<uint32_t>(written_ & (size_ - 1)); }

  /// Words that may be written where the device has fetched those below `fetched`. One stays free,
  /// lest a full ring look like an empty one.
  uint32_t space(uint64_t fetched) const {
    return size_ - 1 - static_cast<uint32_t>(written_ - fetched);
  }
  /// Words until the ring's end: a packet that must not wrap goes behind pad() when it is longer.
  uint32_t to_end() const { return size_ - index(); }
  /// The count that a device means which shows only its remainder.
  uint64_t count_of(uint32_t fetched_index) const {
    return written_ - ((index() - fetched_index) & (size_ - 1));
  }

  /// The caller has made sure of the space.
  void push(Word word) {
    words_[index()] = word;
    ++written_;
  }
  /// Takes in `count` words that the caller has written from index() on, none behind the end.
  void advance(uint32_t count) { written_ += count; }
  /// Fills up to the ring's end with `filler`, a word that the device skips.
  void pad(Word filler) {
    while (index() != 0) push(filler);
  }

 private:
  volatile Word* words_ = nullptr;
  uint32_t size_ = 1;
  uint64_t written_ = 0;
};

}  // namespace leat
