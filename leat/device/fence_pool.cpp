// See fence_pool.h. A pooled fence is read without a lock: arm() clears the queue's fence before it
// raises armed_, so whoever sees the new armed_ sees no older queue fence.
#include "leat/device/fence_pool.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "leat/base/check.h"
#include "leat/device/spin.h"

namespace leat {

namespace {

// While several fences are awaited, each is blocked on for this long in turn.
constexpr uint64_t kSliceNs = 200'000;
// One block on a queue's fence beside which something else, such as a failure, has to be seen: an
// eighth of the time waited so far, between kSliceNs and this.
constexpr uint64_t kSliceNsMax = 5'000'000;

uint64_t growing_slice(uint64_t start_ns) {
  return std::clamp((steady_now_ns() - start_ns) / 8, kSliceNs, kSliceNsMax);
}

uint64_t rest_of(uint64_t timeout_ns, uint64_t start_ns) {
  const uint64_t spent_ns = steady_now_ns() - start_ns;
  return spent_ns >= timeout_ns ? 0 : timeout_ns - spent_ns;
}

Result<std::optional<size_t>> first_reached(std::span<const FencePoint> points) {
  for (size_t i = 0; i < points.size(); ++i) {
    TRY_ASSIGN(const bool reached, points[i].look());
    if (reached) return std::optional<size_t>(i);
  }
  return std::optional<size_t>();
}

}  // namespace

Result<std::optional<size_t>> wait_any(std::span<const FencePoint> points, uint64_t timeout_ns) {
  CHECK(!points.empty());
  const uint64_t start_ns = steady_now_ns();
  Result<std::optional<size_t>> found = std::optional<size_t>();
  const auto look = [&] {  // whether there is something to return
    found = first_reached(points);
    return !found || found->has_value();
  };
  if (spin_until(start_ns, std::min(timeout_ns, kSpinNsLeast), look)) return found;
  for (size_t turn = 0;; turn = (turn + 1) % points.size()) {
    const uint64_t rest_ns = rest_of(timeout_ns, start_ns);
    const uint64_t slice_ns = points.size() == 1 ? rest_ns : std::min(rest_ns, kSliceNs);
    TRY_ASSIGN(const bool reached, points[turn].fence->wait(points[turn].value, slice_ns));
    if (look()) return found;
    if (reached) return std::optional<size_t>(turn);
    if (rest_ns == 0) return std::optional<size_t>();
  }
}

// Blocks on the first that is not reached; the others are looked at in between, for their errors.
Result<bool> wait_all(std::span<const FencePoint> points, uint64_t timeout_ns) {
  const uint64_t start_ns = steady_now_ns();
  while (true) {
    const uint64_t rest_ns = rest_of(timeout_ns, start_ns);
    const FencePoint* first = nullptr;
    for (const FencePoint& point : points) {
      TRY_ASSIGN(const bool reached, point.fence->wait(point.value, 0));
      if (!reached && first == nullptr) first = &point;
    }
    if (first == nullptr) return true;
    if (rest_ns == 0) return false;
    const uint64_t slice_ns =
        points.size() == 1 ? rest_ns : std::min(rest_ns, growing_slice(start_ns));
    TRY(first->fence->wait(first->value, slice_ns));
  }
}

uint64_t PooledFence::poll() {
  const uint64_t armed = armed_.load(std::memory_order_acquire);
  const uint64_t done = done_.load(std::memory_order_acquire);
  if (done >= armed) return done;
  Fence* const fence = queue_fence_.load(std::memory_order_acquire);
  if (fence == nullptr) return done;
  const FencePoint point = {fence, queue_value_.load(std::memory_order_relaxed)};
  return point.reached() ? armed : done;  // a queue's number moves over what it lost, ours does not
}

Result<bool> PooledFence::wait(uint64_t value, uint64_t timeout_ns) {
  timeout_ns = std::min(timeout_ns, kForeverNs);
  const uint64_t start_ns = steady_now_ns();
  const auto done = [&] { return poll() >= value; };
  const auto leaves = [&] {
    return done() || queue_fence_.load(std::memory_order_acquire) != nullptr ||
           failed_.load(std::memory_order_acquire);
  };
  if (!spin_until(start_ns, std::min(timeout_ns, kSpinNsLeast), leaves)) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::nanoseconds(rest_of(timeout_ns, start_ns));
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, leaves);
  }
  if (done()) return true;
  if (const std::optional<Error> error = failure()) return *error;
  Fence* const fence = queue_fence_.load(std::memory_order_acquire);
  if (fence == nullptr) return false;
  // In slices: nobody can wake a thread that blocks in the queue's driver when the work fails.
  const uint64_t queue_value = queue_value_.load(std::memory_order_relaxed);
  while (true) {
    const uint64_t rest_ns = rest_of(timeout_ns, start_ns);
    TRY(fence->wait(queue_value, std::min(rest_ns, growing_slice(start_ns))));
    if (done()) return true;
    if (const std::optional<Error> error = failure()) return *error;
    if (rest_ns == 0) return false;
  }
}

uint64_t PooledFence::arm() {
  const uint64_t next = armed_.load(std::memory_order_relaxed) + 1;
  done_.store(next - 1, std::memory_order_release);
  queue_fence_.store(nullptr, std::memory_order_release);
  if (failed_.load(std::memory_order_relaxed)) {
    const std::lock_guard lock(mutex_);
    error_.reset();
    failed_.store(false, std::memory_order_release);
  }
  armed_.store(next, std::memory_order_release);
  return next;
}

void PooledFence::bind(FencePoint point) {
  queue_value_.store(point.value, std::memory_order_relaxed);
  queue_fence_.store(point.fence, std::memory_order_release);
  wake();
}

void PooledFence::finish() {
  done_.store(armed_.load(std::memory_order_relaxed), std::memory_order_release);
  wake();
}

void PooledFence::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    failed_.store(true, std::memory_order_release);
  }
  wake();
}

std::optional<Error> PooledFence::failure() {
  if (!failed_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return error_;
}

// The empty lock orders the change against a waiter's last look before it sleeps.
void PooledFence::wake() {
  { const std::lock_guard lock(mutex_); }
  changed_.notify_all();
}

FencePool::FencePool(size_t count)
    : count_(count),
      word_count_((count + kBitsPerWord - 1) / kBitsPerWord),
      fences_(std::make_unique<PooledFence[]>(count)),
      used_(std::make_unique<std::atomic<uint64_t>[]>(word_count_)) {
  CHECK(count > 0);
  const size_t tail = count % kBitsPerWord;
  if (tail != 0) used_[word_count_ - 1] = ~uint64_t{0} << tail;  // fences that do not exist
}

size_t FencePool::in_use() const {
  size_t used = 0;
  for (size_t w = 0; w < word_count_; ++w)
    used += static_cast<size_t>(std::popcount(used_[w].load()));
  return used - (word_count_ * kBitsPerWord - count_);
}

PooledFence* FencePool::acquire() {
  for (size_t w = 0; w < word_count_; ++w) {
    uint64_t word = used_[w].load(std::memory_order_relaxed);
    while (word != ~uint64_t{0}) {
      const int bit = std::countr_one(word);
      if (used_[w].compare_exchange_weak(word, word | uint64_t{1} << bit,
                                         std::memory_order_acquire)) {
        return &fences_[w * kBitsPerWord + static_cast<size_t>(bit)];
      }
    }
  }
  return nullptr;
}

void FencePool::release(PooledFence& fence) {
  const auto index = static_cast<size_t>(&fence - fences_.get());
  CHECK(index < count_);
  const uint64_t bit = uint64_t{1} << index % kBitsPerWord;
  const uint64_t before = used_[index / kBitsPerWord].fetch_and(~bit, std::memory_order_release);
  CHECK((before & bit) != 0);
}

}  // namespace leat
