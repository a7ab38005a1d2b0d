// Which routes the suite runs on, and their devices while it runs.
#include <algorithm>
#include <cctype>

#include "leat/run/compiling_cpu_test.h"
#include "tests/backend/backend_suite.h"
#include "tests/wire/mock_gpu.h"

namespace leat {

namespace {

/// Devices opened so far; emptied when all tests are done, before drivers unload.
class OpenDevices : public testing::Environment {
 public:
  Result<Device*> open(const std::string& name) {
    std::unique_ptr<Device>& device = devices_[name];
    if (device == nullptr) {
      TRY_ASSIGN(device, name == kMockGpu ? open_mock_gpu() : open_device(name, 0));
    }
    return device.get();
  }
  void TearDown() override { devices_.clear(); }

 private:
  std::map<std::string, std::unique_ptr<Device>> devices_;
};

OpenDevices& open_devices() {
  static testing::Environment* const environment =
      testing::AddGlobalTestEnvironment(std::make_unique<OpenDevices>().release());
  return static_cast<OpenDevices&>(*environment);
}

std::string letters_of(std::string name) {
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

std::vector<TestedRoute> find_routes() {
  open_devices();  // gtest takes environments before the tests start
  std::vector<TestedRoute> routes = {{"null", "null", ""}};
  if (has_mock_gpu()) routes.push_back({kMockGpu, "mock_direct", ""});
  for (const FoundDevice& found : find_devices()) {
    std::string test_name = letters_of(found.info.name);
    const auto same = std::ranges::count_if(
        routes, [&](const TestedRoute& route) { return route.name == found.info.name; });
    if (same > 0) test_name += "_" + std::to_string(same);
    routes.push_back({found.info.name, test_name, refusal_of_kernels(found)});
  }
  return routes;
}

}  // namespace

std::vector<TestedRoute> tested_routes() {
  static const std::vector<TestedRoute> routes = find_routes();
  return routes;
}

Result<Device*> open_tested_route(const std::string& name) { return open_devices().open(name); }

}  // namespace leat
