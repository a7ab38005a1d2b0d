// Where a queue's next command goes: fresh ones to a few blocks taken in turn, each used again once
// its submit has passed the fence; recorded ones to a list of their own. `Commands` is a route's:
// it has clear(), is_full() and submitted_value().
#pragma once

#include <array>
#include <memory>
#include <utility>

#include "leat/route/queue_frame.h"

namespace leat {

template <typename Commands>
class CommandBlocks {
 public:
  /// The frame outlives it, and is told whether anything is open.
  explicit CommandBlocks(QueueFrame& frame) : frame_(frame) {}
  CommandBlocks(const CommandBlocks&) = delete;
  CommandBlocks& operator=(const CommandBlocks&) = delete;

  /// `make` gives a Result<std::unique_ptr<Commands>> that is reserved for fresh commands.
  template <typename Make>
  Result<void> reserve(const Make& make) {
    for (std::unique_ptr<Commands>& block : blocks_) {
      TRY_ASSIGN(block, make());
    }
    return {};
  }

  /// What the next command is added to. `submit` hands a full block over; `wait` is given a fence
  /// value and nanoseconds, and returns whether the value's memory is free. Errors: theirs.
  template <typename Submit, typename Wait>
  Result<Commands*> open(const Submit& submit, const Wait& wait) {
    if (recording_ != nullptr) return recording_.get();
    if (open_ != nullptr && open_->is_full()) TRY(submit());
    if (open_ != nullptr) return open_;
    Commands& next = *blocks_[next_];
    TRY(frame_.wait_for_room(
        [&](uint64_t timeout_ns) { return wait(next.submitted_value(), timeout_ns); }));
    next_ = (next_ + 1) % kBlocks;
    next.clear();
    set_open(&next);
    return open_;
  }
  bool has_open() const { return open_ != nullptr; }
  /// The open block, which is open no longer; or null.
  Commands* take() {
    Commands* taken = open_;
    set_open(nullptr);
    return taken;
  }
  /// Opens again what take() gave.
  void put_back(Commands* taken) { set_open(taken); }

  void begin_record(std::unique_ptr<Commands> list) {
    frame_.begin_record();
    recording_ = std::move(list);
    set_open(open_);
  }
  /// The list. What dies until it is placed may still be used by it: then comes finish_record().
  std::unique_ptr<Commands> end_record() {
    frame_.end_record();
    return std::move(recording_);
  }
  void finish_record() { set_open(open_); }

  static constexpr size_t kBlocks = 16;

 private:
  void set_open(Commands* commands) {
    open_ = commands;
    frame_.set_open(open_ != nullptr || recording_ != nullptr);
  }

  QueueFrame& frame_;
  std::array<std::unique_ptr<Commands>, kBlocks> blocks_;
  size_t next_ = 0;
  Commands* open_ = nullptr;             // of blocks_
  std::unique_ptr<Commands> recording_;  // between begin_record and end_record
};

}  // namespace leat
