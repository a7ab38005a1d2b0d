// The plan of a stream, fed with devices whose speeds are known: it must find the fastest use of
// them, leave out what makes it slower, and notice when a speed changes.
#include "leat/run/juggler_plan.h"

#include <gtest/gtest.h>

#include <functional>

namespace leat {
namespace {

/// Items a second of the active devices with their slots.
using Speed = std::function<double(const JugglerPlan& plan)>;

/// Feeds finished items at the speed of the moment until the plan is steady, or a while longer.
uint64_t feed(JugglerPlan& plan, size_t devices, const Speed& speed, uint64_t now_ns,
              uint64_t extra_ns = 0) {
  uint64_t steady_ns = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    if (!plan.is_trying() && steady_ns == 0) steady_ns = now_ns;
    if (steady_ns != 0 && now_ns - steady_ns >= extra_ns) return now_ns;
    now_ns += static_cast<uint64_t>(1e9 / speed(plan));
    for (size_t d = 0; d < devices; ++d) {
      if (!plan.is_active(d)) continue;
      plan.finished(d, now_ns);
      break;
    }
    plan.tick(now_ns);
  }
  ADD_FAILURE() << "The plan does not settle.";
  return now_ns;
}

TEST(JugglerPlan, MoreSlotsOnlyWhereTheyBringMore) {
  const auto saturated_at = [](double slots) {
    return
        [slots](const JugglerPlan& plan) { return 1000 * std::min<double>(plan.slots(0), slots); };
  };
  JugglerPlan two({16}, {});
  feed(two, 1, saturated_at(2), 1);
  EXPECT_EQ(two.slots(0), 2u);
  JugglerPlan three({16}, {});
  feed(three, 1, saturated_at(3), 1);
  EXPECT_EQ(three.slots(0), 3u);
  JugglerPlan many({16}, {});
  feed(many, 1, saturated_at(100), 1);
  EXPECT_EQ(many.slots(0), 16u);
  JugglerPlan one({1}, {});
  feed(one, 1, saturated_at(100), 1);
  EXPECT_EQ(one.slots(0), 1u);
}

TEST(JugglerPlan, ASplitThatBringsMoreIsUsed) {
  const Speed speed = [](const JugglerPlan& plan) {
    return (plan.is_active(0) ? 300.0 : 0) + (plan.is_active(1) ? 1000.0 : 0);
  };
  JugglerPlan plan({3, 3}, {});
  feed(plan, 2, speed, 1);
  EXPECT_TRUE(plan.is_active(0));
  EXPECT_TRUE(plan.is_active(1));
  EXPECT_NEAR(plan.rate_alone(0), 300, 3);
  EXPECT_NEAR(plan.rate_alone(1), 1000, 10);
  EXPECT_NEAR(plan.rate(), 1300, 13);
}

TEST(JugglerPlan, ASplitThatBringsLessIsNotUsedAndSaysSo) {
  // The processor as a device takes the cores that feed the GPU.
  const Speed speed = [](const JugglerPlan& plan) {
    if (plan.is_active(0) && plan.is_active(1)) return 700.0;
    return plan.is_active(0) ? 1000.0 : 100.0;
  };
  JugglerPlan plan({3, 3}, {});
  feed(plan, 2, speed, 1);
  EXPECT_TRUE(plan.is_active(0));
  EXPECT_FALSE(plan.is_active(1));
  const std::string text = plan.text({"gpu", "cpu"});
  EXPECT_NE(text.find("With cpu"), std::string::npos) << text;
  EXPECT_NE(text.find("not used"), std::string::npos) << text;
}

TEST(JugglerPlan, DriftIsNoticed) {
  double second = 100;
  const Speed speed = [&](const JugglerPlan& plan) {
    if (plan.is_active(0) && plan.is_active(1)) return 500.0;
    return plan.is_active(0) ? 1000.0 : second;
  };
  JugglerPlan plan({2, 2}, {});
  const uint64_t settled_ns = feed(plan, 2, speed, 1, 10'000'000'000);
  EXPECT_TRUE(plan.is_active(0));
  const uint32_t trials = plan.trials();
  const Speed slower = [&](const JugglerPlan& now) {
    if (now.is_active(0) && now.is_active(1)) return 150.0;
    return now.is_active(0) ? 200.0 : 900.0;
  };
  feed(plan, 2, slower, settled_ns, 20'000'000'000);
  EXPECT_GT(plan.trials(), trials);
  EXPECT_FALSE(plan.is_active(0));
  EXPECT_TRUE(plan.is_active(1));
}

TEST(JugglerPlan, ADroppedDeviceIsNotUsedAgain) {
  const Speed speed = [](const JugglerPlan& plan) {
    return (plan.is_active(0) ? 1000.0 : 0) + (plan.is_active(1) ? 500.0 : 0);
  };
  JugglerPlan plan({2, 2}, {});
  const uint64_t now_ns = feed(plan, 2, speed, 1);
  plan.drop(0, now_ns);
  feed(plan, 2, speed, now_ns, 5'000'000'000);
  EXPECT_FALSE(plan.is_active(0));
  EXPECT_TRUE(plan.is_active(1));
  plan.drop(1, now_ns);
  EXPECT_FALSE(plan.is_active(1));
}

TEST(JugglerPlan, ADeviceThatFinishesNothingEndsItsTrial) {
  JugglerPlan plan({2, 2}, {});
  uint64_t now_ns = 1;
  for (int i = 0; i < 100 && plan.is_active(0); ++i) plan.tick(now_ns += 200'000'000);
  EXPECT_FALSE(plan.is_active(0));
  EXPECT_TRUE(plan.is_active(1));
  // Nor does the other one: in the end the plan settles for something.
  for (int i = 0; i < 2000 && plan.is_trying(); ++i) plan.tick(now_ns += 200'000'000);
  EXPECT_FALSE(plan.is_trying());
  EXPECT_NE(plan.is_active(0), plan.is_active(1));
}

/// As feed, for items that last longer than a look at the clock: `count` of them.
void feed_slowly(JugglerPlan& plan, const Speed& speed, int count) {
  constexpr uint64_t kLookNs = 20'000'000;
  uint64_t now_ns = 1;
  for (double begun = 0; count > 0; plan.tick(now_ns += kLookNs)) {
    begun += speed(plan) * static_cast<double>(kLookNs) * 1e-9;
    if (begun < 1) continue;
    begun -= 1;
    --count;
    plan.finished(plan.is_active(0) ? 0 : 1, now_ns);
  }
}

// Items last longer than the shortest trials, on the device named first much longer.
TEST(JugglerPlan, SlowItemsAreMeasuredToo) {
  for (const double rate : {1.0, 0.5, 0.25, 0.1}) {
    const Speed speed = [rate](const JugglerPlan& plan) {
      if (plan.is_active(0) && plan.is_active(1)) return 0.6 * rate;
      return plan.is_active(0) ? 0.1 * rate : rate;
    };
    JugglerPlan plan({3, 3}, {});
    feed_slowly(plan, speed, 100);
    EXPECT_FALSE(plan.is_trying()) << rate;
    EXPECT_FALSE(plan.is_active(0)) << rate << ": " << plan.text({"slow", "quick"});
    EXPECT_TRUE(plan.is_active(1)) << rate;
    EXPECT_NEAR(plan.rate(), rate, 0.1 * rate);
  }
}

TEST(JugglerPlan, ASplitOfSlowItemsThatBringsMoreIsUsed) {
  const Speed speed = [](const JugglerPlan& plan) {
    return (plan.is_active(0) ? 0.2 : 0) + (plan.is_active(1) ? 0.3 : 0);
  };
  JugglerPlan plan({2, 2}, {});
  feed_slowly(plan, speed, 100);
  EXPECT_TRUE(plan.is_active(0));
  EXPECT_TRUE(plan.is_active(1));
  EXPECT_NEAR(plan.rate(), 0.5, 0.05);
}

// Beside a device whose speed is known one that finishes nothing is not waited for long.
TEST(JugglerPlan, ASlowDeviceDoesNotHoldUpAQuickOne) {
  JugglerPlan plan({2, 2}, {});
  uint64_t now_ns = 1;
  for (int i = 0; i < 10'000 && plan.is_trying(); ++i) {
    plan.tick(now_ns += 2'000'000);
    if (plan.is_active(0)) plan.finished(0, now_ns);
  }
  EXPECT_FALSE(plan.is_trying());
  EXPECT_TRUE(plan.is_active(0));
  EXPECT_FALSE(plan.is_active(1));
  EXPECT_LT(now_ns, 5'000'000'000u);
}

}  // namespace
}  // namespace leat
