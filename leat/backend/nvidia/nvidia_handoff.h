// How the compute channel and the copy channel hand over to each other: before the first and after
// the last of some copies one releases a word in the list's memory and the other waits for it.
//
// Values of the word: odd when compute is done and copies may start, even when the copies are done.
// Each list counts from 1 again; both sides wait for equality, and the word starts at 0 in every
// round, also behind one that a fault cut off in the middle.
#pragma once

#include "leat/backend/nvidia/nvidia_methods.h"
#include "leat/route/command_words.h"

namespace leat {

/// Five methods that release or acquire a semaphore at `address`.
inline void add_semaphore(CommandWords& words, uint64_t address, uint64_t payload,
                          uint32_t execute) {
  words.add({method::header(0, method::kSemAddrLo, 5), low(address), high(address), low(payload),
             high(payload), execute});
}

class NvidiaHandoff {
 public:
  /// Where the word lies in the list's memory.
  static constexpr uint64_t kOffsetBytes = 0;

  void clear() {
    in_copies_ = false;
    value_ = 0;
  }
  bool in_copies() const { return in_copies_; }
  void to_copies(CommandWords& compute, CommandWords& copy) {
    hand_over(compute, copy);
    in_copies_ = true;
  }
  void to_compute(CommandWords& compute, CommandWords& copy) {
    hand_over(copy, compute);
    in_copies_ = false;
  }

 private:
  void hand_over(CommandWords& from, CommandWords& to) {
    ++value_;
    add(from, method::kSemRelease | method::kSemReleaseWfi);
    add(to, method::kSemAcquireEqual | method::kSemSwitchGroup);
  }
  void add(CommandWords& words, uint32_t execute) const {
    words.add_address(words.size() + method::kSemaphoreAddress, kOffsetBytes);
    add_semaphore(words, 0, value_, execute);
  }

  bool in_copies_ = false;
  uint32_t value_ = 0;  // what was last waited for
};

}  // namespace leat
