// Commands as dwords, on their way into memory that the device reads, with the places in them that
// are filled in later. Two kinds of place: those that hold an address of the list's own memory,
// which is known when the list is placed (and differs where a list has two copies); and those that
// change from submit to submit while the list lies in the device's memory, such as a fence's value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "leat/base/numbers.h"

namespace leat {

/// Two dwords of a list in the device's memory, low one first, written while no submit that reads
/// them is in flight.
struct LivePair {
  volatile uint32_t* dwords = nullptr;

  void set(uint64_t value) const {
    dwords[0] = low(value);
    dwords[1] = high(value);
  }
};

class CommandWords {
 public:
  /// So that no command allocates.
  void reserve(size_t dwords, size_t places) {
    if (words_.size() < dwords) words_.resize(dwords);
    places_.reserve(places);
  }
  void clear() {
    size_ = 0;
    places_.clear();
  }
  uint32_t size() const { return size_; }
  size_t capacity() const { return words_.size(); }
  size_t size_bytes() const { return size_ * sizeof(uint32_t); }
  bool is_empty() const { return size_ == 0; }
  uint32_t operator[](size_t word) const { return words_[word]; }
  /// Of what is there already; a pair has its low half first.
  void set(size_t word, uint32_t value) { words_[word] = value; }
  void set_pair(size_t word, uint64_t value) {
    words_[word] = low(value);
    words_[word + 1] = high(value);
  }

  void add(uint32_t word) { *extend(1) = word; }
  void add(std::initializer_list<uint32_t> words) {
    uint32_t* to = extend(words.size());
    for (const uint32_t word : words) *to++ = word;
  }

  /// The dwords at `word` and behind it are to hold the address `offset_bytes` into the list's own
  /// memory, low one first.
  void add_address(uint32_t word, uint64_t offset_bytes) {
    places_.push_back({word, kWhole, offset_bytes});
  }
  /// The dword at `word` is to hold the low half of that address divided by 2^`shift`.
  void add_shifted_address(uint32_t word, uint32_t shift, uint64_t offset_bytes) {
    places_.push_back({word, shift, offset_bytes});
  }
  /// Fills in all addresses for memory at `base`, and copies the words to `target`.
  void place(uint64_t base, std::byte* target) {
    for (const Place& place : places_) {
      const uint64_t address = base + place.offset_bytes;
      if (place.shift == kWhole) {
        words_[place.word] = low(address);
        words_[place.word + 1] = high(address);
      } else {
        words_[place.word] = low(address >> place.shift);
      }
    }
    if (size_ > 0) std::memcpy(target, words_.data(), size_bytes());
  }

 private:
  static constexpr uint32_t kWhole = 64;  // a shift that is none
  struct Place {
    uint32_t word = 0;
    uint32_t shift = 0;
    uint64_t offset_bytes = 0;
  };

  /// Room for `count` dwords more. A word costs a store: packets are made while somebody waits.
  uint32_t* extend(size_t count) {
    if (words_.size() - size_ < count) words_.resize(2 * (size_ + count));
    uint32_t* begin = words_.data() + size_;
    size_ += static_cast<uint32_t>(count);
    return begin;
  }

  std::vector<uint32_t> words_;  // the first size_ of them
  uint32_t size_ = 0;
  std::vector<Place> places_;
};

}  // namespace leat
