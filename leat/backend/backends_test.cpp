// The list of devices: names, order, and what open_device says to a name that there is not. What is
// found depends on the machine, so the cases check rules, not names.
#include "leat/backend/backends.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace leat {
namespace {

bool is_gpu(const FoundDevice& found) { return found.info.name.starts_with("gpu"); }

TEST(Backends, UsableDevicesHaveUniqueNames) {
  std::set<std::string> names;
  for (const FoundDevice& found : find_devices()) {
    if (!found.refusal.empty()) continue;
    EXPECT_TRUE(names.insert(found.info.name).second) << found.info.name;
    EXPECT_FALSE(found.info.chip.empty()) << found.info.name;
  }
}

TEST(Backends, EveryUsableDeviceOpensUnderItsName) {
  for (const FoundDevice& found : find_devices()) {
    if (!found.refusal.empty()) continue;
    const Result<std::unique_ptr<Device>> device = open_device(found.info.name, 1);
    ASSERT_TRUE(device.has_value()) << device.error().message();
    EXPECT_EQ((*device)->info().name, found.info.name);
    EXPECT_EQ((*device)->info().chip, found.info.chip);
    EXPECT_EQ((*device)->info().software, found.info.software);
    EXPECT_EQ((*device)->target().software, found.info.software);
  }
}

TEST(Backends, ARouteThatFailsItsCheckGivesWay) {
  std::map<std::string, std::vector<FoundDevice>> chips;
  for (const FoundDevice& found : find_devices()) {
    if (!is_gpu(found) || !found.refusal.empty()) continue;
    chips[found.info.name.substr(0, found.info.name.find(':'))].push_back(found);
  }
  for (const auto& [name, routes] : chips) {
    const auto refuse_first = [&](Device& device) -> Result<void> {
      if (device.info().name != routes[0].info.name) return {};
      return Error(ErrorKind::internal, "The answer is wrong.");
    };
    EXPECT_FALSE(open_device(routes[0].info.name, 1, refuse_first).has_value());
    const Result<std::unique_ptr<Device>> device = open_device(name, 1, refuse_first);
    ASSERT_EQ(device.has_value(), routes.size() > 1) << name;
    if (device) {
      EXPECT_EQ((*device)->info().name, routes[1].info.name);
    }
  }
}

TEST(Backends, AFencePoolIsSizedAtOpening) {
  for (const char* name : {"null", "cpu"}) {
    const auto usual = open_device(name, 1);
    if (!usual) continue;
    EXPECT_EQ((*usual)->fences().size(), kFencesDefault);
    const auto large = open_device(name, 1, nullptr, 1000);
    ASSERT_TRUE(large) << large.error().message();
    EXPECT_EQ((*large)->fences().size(), 1000u);
    std::vector<PooledFence*> fences;
    for (size_t i = 0; i < 1000; ++i) fences.push_back((*large)->fences().acquire());
    EXPECT_EQ(std::ranges::count(fences, nullptr), 0);
    EXPECT_EQ((*large)->fences().acquire(), nullptr);
  }
  const auto none = open_device("null", 1, nullptr, 0);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::invalid_argument);
}

TEST(Backends, TheOrderIsStable) {
  const std::vector<FoundDevice> first = find_devices();
  const std::vector<FoundDevice> second = find_devices();
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].info.name, second[i].info.name);
}

TEST(Backends, SoftwareComesAfterRealDevices) {
  const std::vector<FoundDevice> found = find_devices();
  const auto software = std::ranges::find_if(
      found, [](const FoundDevice& one) { return is_gpu(one) && one.info.software; });
  for (auto rest = software; rest != found.end(); ++rest) {
    EXPECT_FALSE(is_gpu(*rest) && !rest->info.software) << rest->info.name;
    EXPECT_NE(rest->info.name, "cpu");
  }
}

TEST(Backends, MesaIsOneSoftwareDeviceWithTwoRoutes) {
  std::set<std::string> numbers;
  for (const FoundDevice& found : find_devices()) {
    if (!found.info.chip.starts_with("llvmpipe") || !is_gpu(found)) continue;
    numbers.insert(found.info.name.substr(0, found.info.name.find(':')));
  }
  if (numbers.empty()) GTEST_SKIP() << "Mesa's software renderer is not found.";
  EXPECT_EQ(numbers.size(), 1u);
}

TEST(Backends, ANumberAloneIsTheBestRoute) {
  for (const FoundDevice& found : find_devices()) {
    if (!found.refusal.empty() || !is_gpu(found)) continue;
    const Result<std::unique_ptr<Device>> device = open_device("gpu0", 1);
    ASSERT_TRUE(device.has_value()) << device.error().message();
    EXPECT_TRUE((*device)->info().name.starts_with("gpu0:"));
    return;
  }
  GTEST_SKIP() << "No GPU is found.";
}

TEST(Backends, BestIsNeverSoftware) {
  for (const char* spec : {"", "best"}) {
    const Result<std::unique_ptr<Device>> device = open_device(spec, 1);
    if (!device) continue;  // neither a real GPU nor a CPU backend
    EXPECT_FALSE((*device)->info().software) << (*device)->info().name;
  }
}

TEST(Backends, NullOpensWhenNamedAndIsNotListed) {
  const Result<std::unique_ptr<Device>> device = open_device("null", 1);
  ASSERT_TRUE(device.has_value()) << device.error().message();
  EXPECT_EQ((*device)->info().route, Route::null);
  for (const FoundDevice& found : find_devices()) EXPECT_NE(found.info.route, Route::null);
}

TEST(Backends, AnUnknownNameIsToldWhatThereIs) {
  for (const char* spec : {"gpu", "gpu99", "gpu0:", "gpu0:cuda2", "cpu0", "GPU0", "\"%s"}) {
    const Result<std::unique_ptr<Device>> device = open_device(spec, 1);
    ASSERT_FALSE(device.has_value()) << spec;
    EXPECT_EQ(device.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(device.error().message().find(spec), std::string::npos);
    EXPECT_NE(device.error().message().find("cpu"), std::string::npos);
  }
}

// Names are gpuN:ROUTE, in the order of preference.
TEST(Backends, TheNextRouteIsOfTheSameChip) {
  const std::vector<FoundDevice> found = find_devices();
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string& name = found[i].info.name;
    const std::string chip = name.substr(0, name.find(':') + 1);
    std::optional<std::string> wanted;
    for (size_t k = found.size(); !chip.empty() && --k > i;) {
      if (found[k].info.name.starts_with(chip) && found[k].refusal.empty()) {
        wanted = found[k].info.name;
      }
    }
    EXPECT_EQ(next_route(name), wanted) << name;
  }
  EXPECT_FALSE(next_route("no such device").has_value());
}

}  // namespace
}  // namespace leat
