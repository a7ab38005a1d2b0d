// See executor.h. A record is owned by its handle and by the executor, and is free again when both
// have let it go. Ends are told on the executor's thread only, one after another.
#include "leat/run/executor.h"

#include <algorithm>
#include <chrono>

namespace leat {

namespace {

// Devices with work are blocked on in turn, for an eighth of the time without news, between these:
// what comes meanwhile and could not start at once, or ends on another device, is seen that late.
constexpr uint64_t kBlockNsLeast = 200'000;
constexpr uint64_t kBlockNsMax = 1'000'000;

std::chrono::steady_clock::time_point deadline_in(uint64_t timeout_ns) {
  return std::chrono::steady_clock::now() +
         std::chrono::nanoseconds(std::min(timeout_ns, kForeverNs));
}

}  // namespace

// --- Submission ----------------------------------------------------------------------------------

Submission& Submission::operator=(Submission&& other) noexcept {
  if (this == &other) return *this;
  let_go();
  executor_ = std::exchange(other.executor_, nullptr);
  record_ = other.record_;
  value_ = other.value_;
  return *this;
}

FencePoint Submission::point() const {
  CHECK(executor_ != nullptr);
  return {executor_->records_[record_].fence, value_};
}

Result<bool> Submission::wait(uint64_t timeout_ns) const {
  return point().fence->wait(value_, timeout_ns);
}

bool Submission::cancel() {
  CHECK(executor_ != nullptr);
  return executor_->cancel(record_, value_);
}

void Submission::let_go() {
  if (executor_ != nullptr) executor_->drop_owner(record_);
  executor_ = nullptr;
}

// --- Executor ------------------------------------------------------------------------------------

Executor::Executor(std::span<Device* const> devices)
    : fences_(kSubmissionsMax), records_(kSubmissionsMax) {
  CHECK(!devices.empty());
  for (Device* device : devices) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->device = device;
  }
  for (size_t i = kSubmissionsMax; i > 0; --i) free_records_.push_back(i - 1);
  cancelled_.reserve(kSubmissionsMax);
  thread_ = std::thread([this] { run(); });
}

Executor::~Executor() { close(); }

Result<size_t> Executor::take_record(uint64_t timeout_ns) {
  std::unique_lock lock(room_mutex_);
  const auto has_room = [&] { return !free_records_.empty() || is_closing_.load(); };
  room_.wait_until(lock, deadline_in(timeout_ns), has_room);
  if (is_closing_.load()) {
    return Error(ErrorKind::invalid_argument, "The executor is closed.");
  }
  if (free_records_.empty()) {
    return Error(ErrorKind::out_of_memory,
                 "The executor has (" + std::to_string(kSubmissionsMax) +
                     ") submissions in flight or with a handle that is kept, its limit "
                     "(kSubmissionsMax).");
  }
  const size_t record = free_records_.back();
  free_records_.pop_back();
  records_[record].fence = fences_.acquire();  // there is one for each record
  // Counted before the lock is given up: close() takes it, and waits for all that is counted.
  const size_t now = in_flight_.fetch_add(1, std::memory_order_acq_rel) + 1;
  size_t most = most_in_flight_.load(std::memory_order_relaxed);
  while (now > most && !most_in_flight_.compare_exchange_weak(most, now)) {
  }
  return record;
}

void Executor::drop_owner(size_t index) {
  Record& record = records_[index];
  if (record.owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  record.state.store(State::free, std::memory_order_relaxed);
  {
    const std::lock_guard lock(room_mutex_);
    fences_.release(*record.fence);
    free_records_.push_back(index);
  }
  room_.notify_one();
}

Result<Submission> Executor::submit(size_t device, RecordedList& list, SubmitOptions options) {
  CHECK(device < lanes_.size());
  TRY_ASSIGN(const size_t index, take_record(options.timeout_ns));
  Record& record = records_[index];
  record.list = &list;
  record.on_end = std::move(options.on_end);
  record.owners.store(2, std::memory_order_relaxed);
  const uint64_t value = record.fence->arm();
  Submission submission(this, index, value);
  Lane& lane = *lanes_[device];
  std::vector<Ended> ended;
  {
    const std::lock_guard lock(lane.mutex);
    record.state.store(State::waiting, std::memory_order_release);
    lane.waiting.push_back(index);
    start_waiting(lane, ended);
  }
  {
    const std::lock_guard lock(work_mutex_);
    for (Ended& end : ended) cancelled_.push_back(std::move(end));
    ++news_;
  }
  work_.notify_one();
  return submission;
}

/// Hands waiting lists to the device while it has room. The lane is locked.
void Executor::start_waiting(Lane& lane, std::vector<Ended>& ended) {
  while (!lane.waiting.empty() && lane.started.size() < kStartedPerDeviceMax) {
    const size_t index = lane.waiting.front();
    for (size_t i = 0; i < lane.started.size(); ++i) {
      if (records_[lane.started[i]].list == records_[index].list) return;  // in flight once only
    }
    lane.waiting.pop_front();
    start(lane, index, ended);
  }
}

void Executor::start(Lane& lane, size_t index, std::vector<Ended>& ended) {
  Record& record = records_[index];
  if (lane.lost) {
    record.state.store(State::ended, std::memory_order_release);
    ended.push_back({index, Ending::failed, *lane.lost});
    return;
  }
  const Result<uint64_t> value = lane.device->queue().replay(*record.list);
  if (!value) {
    record.state.store(State::ended, std::memory_order_release);
    ended.push_back({index, Ending::failed, value.error()});
    if (value.error().kind() == ErrorKind::device_lost) lose(lane, value.error(), ended);
    return;
  }
  record.queue_value = *value;
  record.state.store(State::started, std::memory_order_release);
  lane.started.push_back(index);
  record.fence->bind({&lane.device->queue().fence(), *value});
}

/// The device will finish nothing more. The lane is locked.
void Executor::lose(Lane& lane, const Error& error, std::vector<Ended>& ended) {
  lane.lost = error;
  for (IndexRing* list : {&lane.started, &lane.waiting}) {
    for (; !list->empty(); list->pop_front()) {
      records_[list->front()].state.store(State::ended, std::memory_order_release);
      ended.push_back({list->front(), Ending::failed, error});
    }
  }
}

/// Takes what the device has finished off its lane. The lane is locked. The number alone does not
/// tell that work was done: after a fault it moves on over what was given up. wait() does.
void Executor::collect(Lane& lane, std::vector<Ended>& ended) {
  Fence& fence = lane.device->queue().fence();
  const uint64_t reached = fence.poll();
  while (!lane.started.empty() && records_[lane.started.front()].queue_value <= reached) {
    const size_t index = lane.started.front();
    const Result<bool> done = fence.wait(records_[index].queue_value, 0);
    if (!done) return lose(lane, done.error(), ended);
    if (!*done) return;
    lane.started.pop_front();
    records_[index].state.store(State::ended, std::memory_order_release);
    ended.push_back({index, Ending::done, std::nullopt});
  }
}

/// Tells the ends. No lane is locked, so that callbacks may submit.
void Executor::finish(std::vector<Ended>& ended) {
  for (Ended& end : ended) {
    Record& record = records_[end.record];
    if (end.ending == Ending::done) {
      record.fence->finish();
    } else if (end.ending == Ending::failed) {
      record.fence->fail(*end.error);
    }
    const OnEnd on_end = std::exchange(record.on_end, {});
    if (on_end) on_end(end.ending, end.error ? &*end.error : nullptr);
    in_flight_.fetch_sub(1, std::memory_order_acq_rel);
    drop_owner(end.record);
  }
  ended.clear();
}

bool Executor::cancel(size_t index, uint64_t) {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    {
      const std::lock_guard lock(lane->mutex);
      if (!lane->waiting.erase(index)) continue;
      Record& record = records_[index];
      record.state.store(State::ended, std::memory_order_release);
      record.fence->fail(Error(ErrorKind::invalid_argument, "The submission was cancelled."));
    }
    {
      const std::lock_guard lock(work_mutex_);
      cancelled_.push_back({index, Ending::cancelled, std::nullopt});
      ++news_;
    }
    work_.notify_one();
    return true;
  }
  return false;
}

void Executor::cancel_all(Lane& lane) {
  std::vector<size_t> waiting;
  {
    const std::lock_guard lock(lane.mutex);
    for (size_t i = 0; i < lane.waiting.size(); ++i) waiting.push_back(lane.waiting[i]);
  }
  for (const size_t index : waiting) cancel(index, 0);
}

bool Executor::has_started() const {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    const std::lock_guard lock(lane->mutex);
    if (!lane->started.empty() || !lane->waiting.empty()) return true;
  }
  return false;
}

/// Waits for news: a submission, a cancellation, or the oldest list of one of the devices.
void Executor::block() {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = *lanes_[turn_ = (turn_ + 1) % lanes_.size()];
    uint64_t value = 0;
    {
      const std::lock_guard lock(lane.mutex);
      if (lane.started.empty()) continue;
      value = records_[lane.started.front()].queue_value;
    }
    Fence& fence = lane.device->queue().fence();
    const uint64_t quiet_ns = steady_now_ns() - last_news_ns_;
    const Result<bool> reached =
        fence.wait(value, std::clamp(quiet_ns / 8, kBlockNsLeast, kBlockNsMax));
    if (reached) return;
    std::vector<Ended> ended;
    {
      const std::lock_guard lock(lane.mutex);
      lose(lane, reached.error(), ended);
    }
    return finish(ended);
  }
  std::unique_lock lock(work_mutex_);
  work_.wait(lock, [&] { return news_ != seen_news_ || is_closing_.load(); });
}

void Executor::run() {
  std::vector<Ended> ended;
  ended.reserve(kSubmissionsMax);
  uint64_t closing_since_ns = 0;
  while (true) {
    {
      const std::lock_guard lock(work_mutex_);
      if (seen_news_ != news_) last_news_ns_ = steady_now_ns();
      seen_news_ = news_;
      ended.swap(cancelled_);
    }
    for (const std::unique_ptr<Lane>& lane : lanes_) {
      const std::lock_guard lock(lane->mutex);
      collect(*lane, ended);
      start_waiting(*lane, ended);
    }
    if (!ended.empty()) {
      finish(ended);
      last_news_ns_ = steady_now_ns();
      continue;
    }
    if (is_closing_.load()) {
      if (closing_since_ns == 0) closing_since_ns = steady_now_ns();
      if (in_flight() == 0) return;
      if (steady_now_ns() - closing_since_ns > close_timeout_ns()) {
        for (const std::unique_ptr<Lane>& lane : lanes_) {
          const std::lock_guard lock(lane->mutex);
          lose(*lane, Error(ErrorKind::device_lost, "The executor was closed."), ended);
        }
        finish(ended);
      }
      if (!has_started()) std::this_thread::yield();  // ends are on their way from other threads
    }
    block();
  }
}

/// As long as the slowest device may take.
uint64_t Executor::close_timeout_ns() const {
  uint64_t longest_ns = 0;
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    longest_ns = std::max(longest_ns, hang_timeout_ns(*lane->device));
  }
  return longest_ns;
}

void Executor::on_device(size_t device, const std::function<void(Device&)>& work) {
  CHECK(device < lanes_.size());
  Lane& lane = *lanes_[device];
  const std::lock_guard lock(lane.mutex);
  work(*lane.device);
}

void Executor::close() {
  const std::lock_guard only_one(close_mutex_);
  {
    const std::scoped_lock lock(room_mutex_, work_mutex_);
    if (!thread_.joinable()) return;
    is_closing_.store(true);
  }
  room_.notify_all();
  for (const std::unique_ptr<Lane>& lane : lanes_) cancel_all(*lane);
  work_.notify_one();
  thread_.join();
}

}  // namespace leat
