// The juggler on devices made by hand, whose fences do what a test says: late runs, hangs,
// deadlines.
#include "leat/run/juggler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

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

  JugglerDevice juggled(const std::string& name, size_t slots) {
    JugglerDevice device;
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
  std::atomic<uint64_t> looks = 0;

 private:
  Result<uint64_t> start(size_t slot) {
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
  JugglerOptions options = all_at_once();
  options.deadline_ns = 10 * kMs;
  const auto report = juggle_two(slow.juggled("slow", 2), quick.juggled("quick", 2), 20, options);
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
  JugglerOptions options = all_at_once();
  options.deadline_ns = 5 * kMs;
  JugglerDevice first = hung.juggled("hung", 2);
  first.hang_ns = 50 * kMs;
  const auto report = juggle_two(std::move(first), quick.juggled("quick", 2), 20, options);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_EQ(report->delivered, 20u);
  EXPECT_GT(hung.started(), 0u);
  EXPECT_EQ(report->devices[0].unended, hung.started());
}

}  // namespace
}  // namespace leat
