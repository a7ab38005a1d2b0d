// What died while the device may still use it: memory, code, recorded lists. Each thing is kept
// with the fence value of its last use and let go once the fence has come to it. Nothing waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace leat {

template <typename Thing>
class RetireList {
 public:
  /// Keeps `thing` until the fence reaches `last_use`.
  void add(uint64_t last_use, Thing thing) { things_.push_back({last_use, std::move(thing)}); }

  /// Lets go of all whose last use the fence, which shows `reached`, has come to: `free` is called
  /// with each, in the order in which they came. Allocates nothing.
  template <typename Free>
  void drain(uint64_t reached, const Free& free) {
    std::erase_if(things_, [&](Retired& retired) {
      if (retired.last_use > reached) return false;
      free(retired.thing);
      return true;
    });
  }
  /// The same for things whose destructor frees them.
  void drain(uint64_t reached) {
    drain(reached, [](Thing&) {});
  }
  /// Lets go of all: the device is done, or lost.
  template <typename Free>
  void drain_all(const Free& free) {
    drain(UINT64_MAX, free);
  }

  bool is_empty() const { return things_.empty(); }

 private:
  struct Retired {
    uint64_t last_use = 0;
    Thing thing;
  };

  std::vector<Retired> things_;
};

}  // namespace leat
