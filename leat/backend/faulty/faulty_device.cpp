// See faulty_device.h. The outer fence has numbers of its own: a submission of the inner queue that
// is swallowed or postponed has one too.
#include "leat/backend/faulty/faulty_device.h"

#include <algorithm>
#include <deque>
#include <random>
#include <thread>

#include "leat/device/spin.h"

namespace leat {

namespace {

constexpr uint64_t kBeyond = 1'000'000;
constexpr uint64_t kTurnNs = 10'000'000'000;  // no list of a test takes so long
constexpr auto kLookAgain = std::chrono::microseconds(20);

/// One submission, from the call to the moment its number is shown.
struct Pending {
  uint64_t value = 0;        // outer
  uint64_t inner_value = 0;  // 0: not given to the inner queue
  Fault fault = Fault::none;
  uint64_t at_ns = 0;
  uint64_t done_ns = 0;  // when the inner fence was first seen to have reached it; 0: not yet
  RecordedList* postponed = nullptr;
};

Error lost_error() { return Error(ErrorKind::device_lost, "The faulty device is lost."); }

class FaultyQueue;

class FaultyFence final : public Fence {
 public:
  explicit FaultyFence(FaultyQueue& queue) : queue_(queue) {}
  uint64_t poll() override;
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override;

 private:
  FaultyQueue& queue_;
};

class FaultyQueue final : public Queue {
 public:
  FaultyQueue(Queue& inner, const FaultPlan& plan, FaultCounts* counts)
      : inner_(inner), plan_(plan), counts_(counts), random_(plan.seed), fence_(*this) {}

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override {
    return inner_.launch(kernel, arguments, groups_x);
  }
  Result<void> copy(BufferRange target, BufferRange source) override {
    return inner_.copy(target, source);
  }
  Result<void> mark_time(uint32_t slot) override { return inner_.mark_time(slot); }
  Result<void> begin_record() override { return inner_.begin_record(); }
  Result<std::unique_ptr<RecordedList>> end_record() override { return inner_.end_record(); }
  Result<uint64_t> time_ns(uint32_t slot) override { return inner_.time_ns(slot); }
  Counts counts() const override { return inner_.counts(); }
  Fence& fence() override { return fence_; }

  Result<uint64_t> submit() override { return take(nullptr); }
  Result<uint64_t> replay(RecordedList& list) override { return take(&list); }

  /// The number as it is shown now.
  uint64_t look();
  bool is_lost() const { return is_lost_; }

 private:
  Result<uint64_t> take(RecordedList* list);
  Fault choose(bool can_be_withheld);
  Result<void> make_up(bool all);
  Result<uint64_t> replay_in_turn(RecordedList& list);
  bool is_shown(Pending& pending, uint64_t now_ns);

  Queue& inner_;
  FaultPlan plan_;
  FaultCounts* counts_;
  std::mt19937_64 random_;
  FaultyFence fence_;
  std::deque<Pending> pending_;
  uint64_t submitted_ = 0;
  uint64_t replayed_ = 0;  // the inner value of the last list
  uint64_t shown_ = 0;
  Fault next_look_ = Fault::none;  // beyond or backwards
  bool is_lost_ = false;
};

uint64_t FaultyFence::poll() { return queue_.look(); }

Result<bool> FaultyFence::wait(uint64_t value, uint64_t timeout_ns) {
  const uint64_t start_ns = steady_now_ns();
  while (true) {
    if (queue_.look() >= value) return true;
    if (queue_.is_lost()) return lost_error();
    if (steady_now_ns() - start_ns >= timeout_ns) return false;
    std::this_thread::sleep_for(kLookAgain);
  }
}

// Only a recorded list can be swallowed or made up for later: the open commands of a plain submit
// would stay open.
Fault FaultyQueue::choose(bool can_be_withheld) {
  if (plan_.lost_at != 0 && submitted_ + 1 >= plan_.lost_at) return Fault::lost;
  if (std::uniform_real_distribution<double>(0, 1)(random_) >= plan_.share) return Fault::none;
  constexpr Fault kChoices[] = {Fault::late, Fault::beyond, Fault::backwards, Fault::timed_out,
                                Fault::early};
  return kChoices[random_() % (can_be_withheld ? 5 : 3)];
}

Result<uint64_t> FaultyQueue::take(RecordedList* list) {
  if (is_lost_) return lost_error();
  TRY(make_up(true));
  const Fault fault = choose(list != nullptr);
  if (counts_ != nullptr) ++counts_->of[static_cast<size_t>(fault)];
  if (fault == Fault::lost) {
    is_lost_ = true;
    return lost_error();
  }
  Pending pending;
  pending.fault = fault;
  pending.at_ns = steady_now_ns();
  if (fault == Fault::early) {
    pending.postponed = list;
  } else if (fault != Fault::timed_out) {
    TRY_ASSIGN(pending.inner_value, list != nullptr ? replay_in_turn(*list) : inner_.submit());
  }
  if (fault == Fault::beyond || fault == Fault::backwards) next_look_ = fault;
  pending.value = ++submitted_;
  pending_.push_back(pending);
  return pending.value;
}

/// Whoever was told too early that a list is done may replay it while it runs. A chip would run it
/// once more behind itself; the inner queue, which refuses that, gets it when it has come so far.
Result<uint64_t> FaultyQueue::replay_in_turn(RecordedList& list) {
  TRY(inner_.fence().wait(replayed_, kTurnNs));
  TRY_ASSIGN(replayed_, inner_.replay(list));
  return replayed_;
}

/// Gives postponed submissions to the inner queue, in order: all, or those whose time has come.
Result<void> FaultyQueue::make_up(bool all) {
  for (Pending& pending : pending_) {
    if (pending.postponed == nullptr) continue;
    if (!all && steady_now_ns() - pending.at_ns < plan_.early_ns) return {};
    TRY_ASSIGN(pending.inner_value, replay_in_turn(*pending.postponed));
    pending.postponed = nullptr;
  }
  return {};
}

bool FaultyQueue::is_shown(Pending& pending, uint64_t now_ns) {
  if (pending.fault == Fault::early) return true;
  if (pending.fault == Fault::timed_out) return now_ns - pending.at_ns >= plan_.timeout_ns;
  if (inner_.fence().poll() < pending.inner_value) return false;
  if (pending.done_ns == 0) pending.done_ns = now_ns;
  return pending.fault != Fault::late || now_ns - pending.done_ns >= plan_.late_ns;
}

uint64_t FaultyQueue::look() {
  if (is_lost_) return shown_;
  static_cast<void>(make_up(false));  // an inner queue that refuses shows itself at the next submit
  const uint64_t now_ns = steady_now_ns();
  for (Pending& pending : pending_) {
    if (pending.value <= shown_) continue;
    if (!is_shown(pending, now_ns)) break;
    shown_ = pending.value;
  }
  while (!pending_.empty() && pending_.front().value <= shown_ &&
         pending_.front().postponed == nullptr) {
    pending_.pop_front();
  }
  const Fault wrong = std::exchange(next_look_, Fault::none);
  if (wrong == Fault::beyond) return submitted_ + kBeyond;
  if (wrong == Fault::backwards) return shown_ == 0 ? 0 : shown_ - 1;
  return shown_;
}

class FaultyDevice final : public Device {
 public:
  FaultyDevice(std::unique_ptr<Device> inner, const FaultPlan& plan, FaultCounts* counts)
      : inner_(std::move(inner)), info_(inner_->info()), queue_(inner_->queue(), plan, counts) {
    info_.name = "faulty:" + info_.name;
  }

  const DeviceInfo& info() const override { return info_; }
  const Target& target() const override { return inner_->target(); }
  Queue& queue() override { return queue_; }
  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return inner_->allocate(size_bytes, kind);  // a buffer knows the inner device, which frees it
  }
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return inner_->load(binary);
  }
  void free_buffer(uint64_t handle) override { inner_->free_buffer(handle); }
  MemoryFacts memory_facts() const override { return inner_->memory_facts(); }
  Result<Buffer> allocate_window(size_t size_bytes) override {
    return inner_->allocate_window(size_bytes);
  }

 private:
  std::unique_ptr<Device> inner_;
  DeviceInfo info_;
  FaultyQueue queue_;
};

}  // namespace

uint64_t FaultCounts::sum() const {
  uint64_t sum = 0;
  for (size_t fault = 1; fault < kFaults; ++fault) sum += of[fault];
  return sum;
}

std::unique_ptr<Device> make_faulty_device(std::unique_ptr<Device> inner, const FaultPlan& plan,
                                           FaultCounts* counts) {
  return std::make_unique<FaultyDevice>(std::move(inner), plan, counts);
}

}  // namespace leat
