// The juggler: order, each item once, several devices, errors of items, lost devices, and 100,000
// items of which a tenth meets a fault.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "leat/backend/backends.h"
#include "leat/backend/faulty/faulty_device.h"
#include "tests/flow/copy_stream.h"

namespace leat {
namespace {

std::unique_ptr<Device> open_or_null(const std::string& name) {
  Result<std::unique_ptr<Device>> device = open_device(name, 1);
  return device ? std::move(device).value() : nullptr;
}

JugglerOptions options_for(CopyResults& results) {
  JugglerOptions options;
  options.host_threads = 2;
  options.deliver = [&results](uint64_t item, const Error* error) {
    EXPECT_EQ(error, nullptr);
    results.deliver(item);
  };
  return options;
}

void expect_all(const CopyResults& results, uint64_t count) {
  EXPECT_EQ(results.wrong(), 0u);
  EXPECT_EQ(results.consumed_once(), count);
  EXPECT_EQ(results.order().size(), count);
}

TEST(Juggler, OneDeviceKeepsOrder) {
  for (const char* name : {"null", "cpu"}) {
    const auto device = open_or_null(name);
    if (device == nullptr) continue;
    constexpr uint64_t kCount = 2000;
    CopyResults results(kCount);
    const auto slots = CopySlots::make(*device, 4, results);
    ASSERT_TRUE(slots.has_value());
    std::vector<JugglerDevice> devices;
    devices.push_back((*slots)->juggled());
    const auto report = juggle(std::move(devices), kCount, options_for(results));
    ASSERT_TRUE(report.has_value()) << report.error().message();
    expect_all(results, kCount);
    EXPECT_TRUE(results.is_in_order());
    EXPECT_EQ(report->delivered, kCount);
    EXPECT_EQ(report->retries, 0u);
    EXPECT_EQ(report->devices[0].items, kCount);
    EXPECT_FALSE(report->plan.empty());
  }
}

TEST(Juggler, NothingToDoIsDone) {
  const auto device = open_or_null("null");
  CopyResults results(1);
  const auto slots = CopySlots::make(*device, 2, results);
  ASSERT_TRUE(slots.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots)->juggled());
  const auto report = juggle(std::move(devices), 0, options_for(results));
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->delivered, 0u);
}

TEST(Juggler, DevicesShareAStream) {
  constexpr uint64_t kCount = 1000;
  const auto a = open_or_null("null");
  const auto b = open_or_null("null");
  CopyResults results(kCount);
  const auto slots_a = CopySlots::make(*a, 3, results, 1 << 20);
  const auto slots_b = CopySlots::make(*b, 3, results, 1 << 20);
  ASSERT_TRUE(slots_a.has_value() && slots_b.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots_a)->juggled());
  devices.push_back((*slots_b)->juggled());
  JugglerOptions options = options_for(results);
  options.plan.measures = false;  // both, whatever they bring
  const auto report = juggle(std::move(devices), kCount, options);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  expect_all(results, kCount);
  EXPECT_TRUE(results.is_in_order());
  EXPECT_GT(report->devices[0].items, 0u);
  EXPECT_GT(report->devices[1].items, 0u);
  EXPECT_EQ(report->devices[0].items + report->devices[1].items, kCount);
}

TEST(Juggler, OrderCanBeGivenUp) {
  constexpr uint64_t kCount = 500;
  const auto device = open_or_null("null");
  CopyResults results(kCount);
  const auto slots = CopySlots::make(*device, 4, results);
  ASSERT_TRUE(slots.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots)->juggled());
  JugglerOptions options = options_for(results);
  options.keeps_order = false;
  const auto report = juggle(std::move(devices), kCount, options);
  ASSERT_TRUE(report.has_value());
  expect_all(results, kCount);
  std::vector<uint64_t> sorted = results.order();
  std::ranges::sort(sorted);
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(sorted[i], i);
}

TEST(Juggler, AnItemsErrorIsDeliveredInItsPlace) {
  constexpr uint64_t kCount = 300;
  const auto device = open_or_null("null");
  CopyResults results(kCount);
  const auto slots = CopySlots::make(*device, 3, results);
  ASSERT_TRUE(slots.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots)->juggled());
  for (JugglerSlot& slot : devices[0].slots) {
    slot.prepare = [inner = slot.prepare](uint64_t item) -> Result<void> {
      if (item % 10 == 3) return Error(ErrorKind::io, "No such picture.");
      return inner(item);
    };
  }
  JugglerOptions options = options_for(results);
  uint64_t errors = 0;
  options.deliver = [&](uint64_t item, const Error* error) {
    EXPECT_EQ(error != nullptr, item % 10 == 3);
    errors += error != nullptr;
    results.deliver(item);
  };
  const auto report = juggle(std::move(devices), kCount, options);
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(results.is_in_order());
  EXPECT_EQ(errors, kCount / 10);
  EXPECT_EQ(report->errors, kCount / 10);
  EXPECT_EQ(results.consumed_once(), kCount - kCount / 10);
}

TEST(Juggler, StopsWhenAskedAndDeliversWhatItBegan) {
  const auto device = open_or_null("null");
  constexpr uint64_t kCount = 1'000'000;
  CopyResults results(kCount);
  const auto slots = CopySlots::make(*device, 3, results);
  ASSERT_TRUE(slots.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots)->juggled());
  JugglerOptions options = options_for(results);
  options.stops = [&] { return results.order().size() >= 100; };
  const auto report = juggle(std::move(devices), kCount, options);
  ASSERT_TRUE(report.has_value());
  EXPECT_GE(report->delivered, 100u);
  EXPECT_LT(report->delivered, kCount);
  EXPECT_TRUE(results.is_in_order());
  EXPECT_EQ(results.consumed_once(), report->delivered);
}

TEST(Juggler, WithoutADeviceLeftItSaysSo) {
  constexpr uint64_t kCount = 1000;
  const auto device =
      make_faulty_device(open_or_null("null"), {.share = 0, .lost_at = 50}, nullptr);
  CopyResults results(kCount);
  const auto slots = CopySlots::make(*device, 3, results);
  ASSERT_TRUE(slots.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots)->juggled());
  const auto report = juggle(std::move(devices), kCount, options_for(results));
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().kind(), ErrorKind::device_lost);
  EXPECT_LE(results.consumed_once(), 50u);
  EXPECT_EQ(results.wrong(), 0u);
}

TEST(Juggler, ALostDevicesItemsGoToTheOthers) {
  constexpr uint64_t kCount = 3000;
  const auto lost = make_faulty_device(open_or_null("null"), {.share = 0, .lost_at = 200}, nullptr);
  const auto good = open_or_null("null");
  CopyResults results(kCount);
  const auto slots_a = CopySlots::make(*lost, 3, results);
  const auto slots_b = CopySlots::make(*good, 3, results);
  ASSERT_TRUE(slots_a.has_value() && slots_b.has_value());
  std::vector<JugglerDevice> devices;
  devices.push_back((*slots_a)->juggled());
  devices.push_back((*slots_b)->juggled());
  const auto report = juggle(std::move(devices), kCount, options_for(results));
  ASSERT_TRUE(report.has_value()) << report.error().message();
  expect_all(results, kCount);
  EXPECT_TRUE(results.is_in_order());
  EXPECT_FALSE(report->devices[0].lost.empty());
  EXPECT_FALSE(report->devices[0].is_used);
  EXPECT_TRUE(report->devices[1].lost.empty());
}

// 100,000 items over four devices, each of which meets a fault in 13 % of its submissions, so more
// than a tenth of the items do; one device is lost on the way.
TEST(Juggler, ATenthFaulted) {
  constexpr uint64_t kCount = 100'000;
  constexpr size_t kDevices = 4;
  constexpr size_t kLost = 2;
  FaultCounts counts[kDevices];
  std::vector<std::unique_ptr<Device>> opened;
  for (size_t i = 0; i < kDevices; ++i) {
    const FaultPlan plan = {.seed = 17 + i,
                            .share = 0.13,
                            .late_ns = 1'500'000,
                            .timeout_ns = 1'500'000,
                            .early_ns = 50'000,
                            .lost_at = i == kLost ? 5'000u : 0u};
    opened.push_back(make_faulty_device(open_or_null("null"), plan, &counts[i]));
  }
  CopyResults results(kCount);
  std::vector<std::unique_ptr<CopySlots>> slots;
  std::vector<JugglerDevice> devices;
  for (const std::unique_ptr<Device>& device : opened) {
    auto made = CopySlots::make(*device, 8, results);
    ASSERT_TRUE(made.has_value());
    slots.push_back(std::move(made).value());
    devices.push_back(slots.back()->juggled());
    devices.back().deadline_ns = 1'000'000;
    devices.back().hang_ns = 100'000'000;  // a swallowed run never gives its receipt
  }
  JugglerOptions options = options_for(results);
  options.plan.measures = false;
  const auto report = juggle(std::move(devices), kCount, options);
  ASSERT_TRUE(report.has_value()) << report.error().message();
  expect_all(results, kCount);
  EXPECT_TRUE(results.is_in_order());
  uint64_t injected = 0;
  for (const FaultCounts& count : counts) {
    injected += count.sum();
    for (const Fault fault :
         {Fault::late, Fault::timed_out, Fault::early, Fault::beyond, Fault::backwards}) {
      EXPECT_GT(count.of[static_cast<size_t>(fault)], 0u);
    }
  }
  EXPECT_GE(injected, kCount / 10);
  for (size_t i = 0; i < kDevices; ++i) {
    EXPECT_EQ(report->devices[i].lost.empty(), i != kLost) << report->devices[i].lost;
  }
  for (const JugglerDeviceReport& device : report->devices) {
    std::printf("%s: %llu items, %llu deadlines, %llu wrong fences %s\n", device.name.c_str(),
                static_cast<unsigned long long>(device.items),
                static_cast<unsigned long long>(device.deadlines),
                static_cast<unsigned long long>(device.wrong_fences), device.lost.c_str());
  }
  std::printf("%llu faults in %.1f s, %llu retries\n", static_cast<unsigned long long>(injected),
              report->seconds, static_cast<unsigned long long>(report->retries));
}

}  // namespace
}  // namespace leat
