// The fixture: routes, open devices, and the small steps that most cases take.
#include "tests/backend/backend_suite.h"

#include <algorithm>
#include <cctype>
#include <ostream>

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
    routes.push_back({found.info.name, test_name, found.refusal});
  }
  return routes;
}

}  // namespace

std::vector<TestedRoute> tested_routes() {
  static const std::vector<TestedRoute> routes = find_routes();
  return routes;
}

void PrintTo(const TestedRoute& route, std::ostream* out) { *out << route.name; }

void ConformanceTest::SetUp() {
  const TestedRoute& route = GetParam();
  if (!route.refusal.empty()) GTEST_SKIP() << route.name << ": " << route.refusal;
  const Result<Device*> opened = open_devices().open(route.name);
  ASSERT_OK(opened);
  device_ = *opened;
}

Buffer ConformanceTest::buffer(size_t size_bytes, MemoryKind kind) {
  Result<Buffer> made = device().allocate(size_bytes, kind);
  EXPECT_TRUE(made.has_value()) << made.error().message();
  return made ? std::move(*made) : Buffer();
}

std::unique_ptr<Kernel> ConformanceTest::load(const Result<KernelBinary>& binary) {
  EXPECT_TRUE(binary.has_value()) << binary.error().message();
  if (!binary) return nullptr;
  Result<std::unique_ptr<Kernel>> kernel = device().load(*binary);
  EXPECT_TRUE(kernel.has_value()) << kernel.error().message();
  return kernel ? std::move(*kernel) : nullptr;
}

void ConformanceTest::launch(const Kernel& kernel, const std::vector<const Buffer*>& arguments) {
  std::vector<BufferRange> ranges;
  for (const Buffer* argument : arguments) ranges.push_back(whole(*argument));
  ASSERT_OK(queue().launch(kernel, ranges));
}

void ConformanceTest::submit_and_wait() {
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  wait_for(*value);
}

void ConformanceTest::wait_for(uint64_t value) {
  const Result<bool> done = queue().fence().wait(value, kHangTimeoutNs);
  ASSERT_OK(done);
  ASSERT_TRUE(*done) << "The fence does not reach (" << value << ").";
}

}  // namespace leat
