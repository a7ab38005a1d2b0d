// A queue of numbers in memory that is taken once: it never holds more than it was made for.
#pragma once

#include <cstddef>
#include <vector>

#include "leat/base/check.h"

namespace leat {

class IndexRing {
 public:
  explicit IndexRing(size_t capacity) : places_(capacity) {}

  bool empty() const { return count_ == 0; }
  size_t size() const { return count_; }
  /// 0 is the oldest.
  size_t operator[](size_t place) const { return places_[(first_ + place) % places_.size()]; }
  size_t front() const { return (*this)[0]; }

  void push_back(size_t index) {
    CHECK(count_ < places_.size());
    places_[(first_ + count_) % places_.size()] = index;
    ++count_;
  }
  void pop_front() {
    CHECK(count_ > 0);
    first_ = (first_ + 1) % places_.size();
    --count_;
  }
  void clear() { count_ = 0; }
  /// Takes `index` out, wherever it stands; false if it is not there.
  bool erase(size_t index) {
    size_t place = 0;
    while (place < count_ && (*this)[place] != index) ++place;
    if (place == count_) return false;
    for (; place + 1 < count_; ++place) {
      places_[(first_ + place) % places_.size()] = (*this)[place + 1];
    }
    --count_;
    return true;
  }

 private:
  std::vector<size_t> places_;
  size_t first_ = 0;
  size_t count_ = 0;
};

}  // namespace leat
