// The devices that the tests of this folder and of tests/model run on: all that are found here.
// Each is opened once for the whole program; a refused route skips with its reason.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "leat/backend/backends.h"
#include "leat/base/limits_profile.h"
#include "leat/run/compiling_cpu_test.h"
#include "tests/wire/mock_gpu.h"

// Fails the test with the error's message.
#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok = (expression);                              \
    ASSERT_TRUE(assert_ok.has_value()) << assert_ok.error().message(); \
  } while (false)

namespace leat {

/// `refusal` as in FoundDevice.
struct TestedDevice {
  std::string name;       // what open_device takes; with "@PROFILE" under a limits profile
  std::string test_name;  // letters, digits and underscores, unique
  std::string refusal;
  bool software_gpu = false;
};

inline void PrintTo(const TestedDevice& device, std::ostream* out) { *out << device.name; }

/// Devices opened so far; emptied when all tests are done, before drivers unload.
class OpenDevices : public testing::Environment {
 public:
  Result<Device*> open(const std::string& name) {
    std::unique_ptr<Device>& device = devices_[name];
    if (device == nullptr) {
      TRY_ASSIGN(device, name == kMockGpu ? open_mock_gpu() : open_under_profile(name));
    }
    return device.get();
  }
  void TearDown() override { devices_.clear(); }

 private:
  static Result<std::unique_ptr<Device>> open_under_profile(const std::string& name) {
    const size_t at = name.find('@');
    if (at == name.npos) return open_device(name, 0);
    setenv("LEAT_AS", name.substr(at + 1).c_str(), 1);
    Result<std::unique_ptr<Device>> device = open_device(name.substr(0, at), 0);
    unsetenv("LEAT_AS");
    return device;
  }

  std::map<std::string, std::unique_ptr<Device>> devices_;
};

inline OpenDevices& open_devices() {
  static testing::Environment* const environment =
      testing::AddGlobalTestEnvironment(std::make_unique<OpenDevices>().release());
  return static_cast<OpenDevices&>(*environment);
}

/// All that find_devices() shows, and the mock GPU, whose kernels the interpreter runs.
inline const std::vector<TestedDevice>& tested_devices() {
  static const std::vector<TestedDevice> devices = [] {
    open_devices();  // gtest takes environments before the tests start
    std::vector<TestedDevice> found_devices;
    for (const FoundDevice& found : find_devices()) {
      TestedDevice device = {found.info.name, found.info.name, refusal_of_kernels(found),
                             found.info.software};
      std::ranges::replace_if(
          device.test_name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      const auto same = std::ranges::count(found_devices, device.name, &TestedDevice::name);
      if (same > 0) device.test_name += "_" + std::to_string(same);
      found_devices.push_back(device);
    }
    if (has_mock_gpu()) found_devices.push_back({kMockGpu, "mock_direct", "", true});
    return found_devices;
  }();
  return devices;
}

/// Those that compute a large network in seconds: all but software GPUs.
inline std::vector<TestedDevice> fast_devices() {
  std::vector<TestedDevice> devices;
  for (const TestedDevice& device : tested_devices()) {
    if (!device.software_gpu) devices.push_back(device);
  }
  return devices;
}

inline std::vector<TestedDevice> software_gpus() {
  std::vector<TestedDevice> devices;
  for (const TestedDevice& device : tested_devices()) {
    if (device.software_gpu && device.name != kMockGpu) devices.push_back(device);
  }
  return devices;
}

/// Software GPUs that behave as smaller chips, each under each profile.
inline std::vector<TestedDevice> profiled_devices() {
  std::vector<TestedDevice> devices;
  for (const TestedDevice& device : software_gpus()) {
    for (const LimitsProfile& profile : limits_profiles()) {
      TestedDevice as = device;
      as.name += "@" + std::string(profile.name);
      as.test_name += "_as_" + std::string(profile.name);
      std::ranges::replace_if(
          as.test_name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      devices.push_back(as);
    }
  }
  return devices;
}

/// For INSTANTIATE_TEST_SUITE_P over devices.
inline std::string test_name_of(const testing::TestParamInfo<TestedDevice>& info) {
  return info.param.test_name;
}

/// A test on one device.
class DeviceTest : public testing::TestWithParam<TestedDevice> {
 protected:
  void SetUp() override {
    const TestedDevice& tested = GetParam();
    if (!tested.refusal.empty()) GTEST_SKIP() << tested.name << ": " << tested.refusal;
    const Result<Device*> opened = open_devices().open(tested.name);
    ASSERT_OK(opened);
    device_ = *opened;
  }

  Device& device() { return *device_; }

 private:
  Device* device_ = nullptr;
};

}  // namespace leat
