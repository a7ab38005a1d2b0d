// The juggler on devices made by hand, whose fences do what a test says: late runs, hangs,
// deadlines.
#include "leat/run/juggler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "leat/device/spin.h"

namespace leat {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kNever = kForeverNs;

/// One queue, in order: run v ends `run_ns(v)` after it could begin. Its fence shows that, and the
/// receipt of a run follows `receipt_ns` later.
class HandDevice final : public Fence {
 public:
  using RunTime = std::function<uint64_t(uint64_t value)>;
  explicit HandDevice(RunTime run_ns) : run_ns_(std::move(run_ns)) {}

  uint64_t poll() override {
    looks.fetch_add(1);
    const uint64_t now_ns = steady_now_ns();
    uint64_t reached = 0;
    while (reached < ends_ns_.size() && ends_ns_[reached] <= now_ns) ++reached;
    return reached;
  }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    const uint64_t start_ns = steady_now_ns();
    while (poll() < value) {
      if (steady_now_ns() - start_ns >= timeout_ns) return false;
      std::this_thread::yield();
    }
    return true;
  }

  JugglerDevice juggled(const std::string& name, size_t slots, uint64_t deadline_ns) {
    JugglerDevice device;
    device.deadline_ns = device.hang_ns = deadline_ns;
    device.name = name;
    device.fence = this;
    values_.resize(slots);
    for (size_t s = 0; s < slots; ++s) {
      JugglerSlot slot;
      slot.prepare = [](uint64_t) { return Result<void>(); };
      slot.start = [this, s] { return start(s); };
      slot.verify = [this, s] { return steady_now_ns() >= ends_ns_[values_[s] - 1] + receipt_ns; };
      slot.consume = [](uint64_t) { return Result<void>(); };
      device.slots.push_back(std::move(slot));
    }
    return device;
  }
  uint64_t started() const { return ends_ns_.size(); }
  bool is_idle() { return poll() == started(); }

  uint64_t receipt_ns = 0;
  bool refuses_next = false;
  std::atomic<uint64_t> looks = 0;

 private:
  Result<uint64_t> start(size_t slot) {
    if (std::exchange(refuses_next, false)) return Error(ErrorKind::io, "Not now.");
    const uint64_t value = ends_ns_.size() + 1;
    const uint64_t begin_ns = std::max(steady_now_ns(), ends_ns_.empty() ? 0 : ends_ns_.back());
    ends_ns_.push_back(begin_ns + std::min(run_ns_(value), kNever));
    values_[slot] = value;
    return value;
  }

  RunTime run_ns_;
  std::vector<uint64_t> ends_ns_;  // by value, from 1
  std::vector<uint64_t> values_;   // by slot
};

JugglerOptions all_at_once() {
  JugglerOptions options;
  options.plan.measures = false;
  return options;
}

Result<JugglerReport> juggle_two(JugglerDevice a, JugglerDevice b, uint64_t count,
                                 const JugglerOptions& options) {
  std::vector<JugglerDevice> devices;
  devices.push_back(std::move(a));
  devices.push_back(std::move(b));
  return juggle(std::move(devices), count, options);
}

TEST(JugglerEnd, WaitsForRunsThatWereGivenUp) {
  HandDevice slow([](uint64_t) { return 100 * kMs; });
  HandDevice quick([](uint64_t) { return kMs / 10; });
  JugglerDevice first = slow.juggled("slow", 2, 10 * kMs);
  first.hang_ns = kNever;
  const auto report =
      juggle_two(std::move(first), quick.juggled("quick", 2, kNever), 20, all_at_once());
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->delivered, 20u);
  EXPECT_GT(report->devices[0].deadlines, 0u);
  EXPECT_GT(slow.started(), 0u);
  EXPECT_TRUE(slow.is_idle());
  EXPECT_EQ(report->devices[0].unended, 0u);
}

TEST(JugglerEnd, WaitsNoLongerThanAHangTakes) {
  HandDevice hung([](uint64_t) { return kNever; });
  HandDevice quick([](uint64_t) { return kMs / 10; });
  JugglerDevice first = hung.juggled("hung", 2, 5 * kMs);
  first.hang_ns = 50 * kMs;
  const auto report =
      juggle_two(std::move(first), quick.juggled("quick", 2, kNever), 20, all_at_once());
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->delivered, 20u);
  EXPECT_GT(hung.started(), 0u);
  EXPECT_EQ(report->devices[0].unended, hung.started());
}

TEST(JugglerDeadline, IsEachDevicesOwn) {
  HandDevice slow([](uint64_t) { return 30 * kMs; });
  HandDevice hung([](uint64_t) { return kNever; });
  const auto report = juggle_two(slow.juggled("slow", 2, kNever), hung.juggled("hung", 1, 5 * kMs),
                                 6, all_at_once());
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->delivered, 6u);
  EXPECT_EQ(report->devices[0].deadlines, 0u);
  EXPECT_EQ(report->devices[0].items, 6u);
}

// The quick device's items last longer than the few deadlines, and far less than many.
TEST(JugglerDeadline, ADeviceThatHangsIsGivenUpAfterAFew) {
  for (const size_t slots : {1u, 2u, 8u}) {
    HandDevice hung([](uint64_t) { return kNever; });
    HandDevice quick([](uint64_t) { return kMs; });
    const auto report = juggle_two(hung.juggled("hung", slots, 5 * kMs),
                                   quick.juggled("quick", 2, kNever), 100, all_at_once());
    ASSERT_TRUE(report.has_value()) << report.error().message();
    EXPECT_EQ(report->delivered, 100u);
    EXPECT_FALSE(report->devices[0].lost.empty()) << slots;
    EXPECT_LE(report->devices[0].deadlines, kSilentDeadlinesMax);
    EXPECT_EQ(report->devices[0].items, 0u);
  }
}

TEST(JugglerDeadline, ADeviceThatComesBackIsKept) {
  // The second run takes two and a half deadlines.
  HandDevice stalls([](uint64_t value) { return value == 2 ? 50 * kMs : kMs / 10; });
  std::vector<JugglerDevice> devices;
  devices.push_back(stalls.juggled("stalls", 2, 20 * kMs));
  devices[0].hang_ns = kNever;
  const auto report = juggle(std::move(devices), 50, all_at_once());
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->delivered, 50u);
  EXPECT_EQ(report->errors, 0u);
  EXPECT_GT(report->devices[0].deadlines, 0u);
  EXPECT_TRUE(report->devices[0].lost.empty()) << report->devices[0].lost;
}

// The first device was the faster one, then hangs; the second does the rest without waiting until
// the first is known to be lost.
TEST(JugglerAssign, NothingIsKeptForADeviceThatHangs) {
  HandDevice hangs([](uint64_t value) { return value <= 6 ? kMs / 10 : kNever; });
  HandDevice steady([](uint64_t) { return kMs; });
  JugglerDevice first = hangs.juggled("hangs", 2, 400 * kMs);
  first.hang_ns = kMs;
  const auto report =
      juggle_two(std::move(first), steady.juggled("steady", 2, kNever), 40, all_at_once());
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->delivered, 40u);
  EXPECT_TRUE(report->devices[0].lost.empty()) << report->devices[0].lost;
}

// Item 0 failed on the first device and has to wait for the second, which is long at work.
TEST(JugglerAssign, ARetryThatWaitsHoldsUpNoOther) {
  HandDevice quick([](uint64_t) { return kMs / 10; });
  HandDevice slow([](uint64_t value) { return value == 1 ? 200 * kMs : kMs / 10; });
  quick.refuses_next = true;
  JugglerOptions options = all_at_once();
  options.keeps_order = false;
  std::vector<uint64_t> order;
  options.deliver = [&](uint64_t item, const Error* error) {
    EXPECT_EQ(error, nullptr);
    order.push_back(item);
  };
  const auto report =
      juggle_two(quick.juggled("quick", 1, kNever), slow.juggled("slow", 1, kNever), 20, options);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  ASSERT_EQ(order.size(), 20u);
  const auto place = [&](uint64_t item) { return std::ranges::find(order, item) - order.begin(); };
  EXPECT_LT(place(2), place(1));
}

// Items last longer than the time between two reports, so most reports see no new one.
TEST(JugglerProgress, HasARateBetweenTwoItemsToo) {
  HandDevice slow([](uint64_t) { return 250 * kMs; });
  std::vector<JugglerDevice> devices;
  devices.push_back(slow.juggled("slow", 2, kNever));
  std::vector<JugglerProgress> reports;
  JugglerOptions options = all_at_once();
  options.progress = [&](const JugglerProgress& progress) { reports.push_back(progress); };
  const auto report = juggle(std::move(devices), 4, options);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  size_t without_news = 0;
  for (size_t i = 1; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].rate > 0, reports[i].delivered > 0) << reports[i].delivered;
    EXPECT_LE(reports[i].rate, 4.01);
    without_news += reports[i].delivered == reports[i - 1].delivered && reports[i].delivered > 0;
  }
  EXPECT_GT(without_news, 0u);
}

// While the fence says "done" and the receipt does not, the juggler sleeps between its looks.
TEST(JugglerRest, DoesNotSpinWhereAFenceIsDoubted) {
  HandDevice early([](uint64_t) { return kMs / 10; });
  early.receipt_ns = 20 * kMs;
  std::vector<JugglerDevice> devices;
  devices.push_back(early.juggled("early", 1, kNever));
  const uint64_t start_ns = steady_now_ns();
  const auto report = juggle(std::move(devices), 5, all_at_once());
  const uint64_t looks_max = 50 + (steady_now_ns() - start_ns) / 20'000;
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->devices[0].wrong_fences, 5u);
  EXPECT_LT(early.looks.load(), looks_max);
}

}  // namespace
}  // namespace leat
