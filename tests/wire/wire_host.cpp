// What launches and replays cost the host on both direct routes, in one run: NVIDIA's on the mock,
// whose engines are held, AMD's on its recorder. None may call the system or allocate. Where
// LEAT_HOST_JSON names a file, the times are written to it.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/host_rows.h"
#include "bench/syscall_count.h"
#include "leat/backend/backends.h"
#include "leat/backend/nvidia/nvidia_device.h"
#include "leat/run/probe_kernels.h"
#include "leat_version.h"
#include "tests/wire/mock_cubin.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

using cli::HostRow;
using cli::HostWork;

/// A route with nothing behind it.
struct Route {
  std::unique_ptr<mock::Nvidia> mock;
  std::unique_ptr<Device> device;
  std::unique_ptr<Recorder> recorder;
  std::optional<HostWork> work;
};

Result<Route> open_nvidia() {
  Route route;
  unsetenv("LEAT_NVIDIA_CHECK");  // other tests in this program check every packet
  route.mock = std::make_unique<mock::Nvidia>();
  TRY_ASSIGN(route.device, open_nvidia_device_on(route.mock->os(), 0, "mock:direct"));
  const auto run = [&mock = *route.mock] {
    mock.hold(false);
    mock.run();
    mock.hold(true);
  };
  TRY_ASSIGN(route.work, HostWork::make(*route.device, mock::wrap_program(add_program(1)),
                                        mock::wrap_program(empty_program()), run));
  route.mock->hold(true);
  return route;
}

Result<Route> open_amd() {
  Route route;
  TRY_ASSIGN(route.recorder, open_recorder("gfx1100"));
  Device& device = route.recorder->device();
  TRY_ASSIGN(const KernelBinary count, count_kernel(device.target()));
  TRY_ASSIGN(const KernelBinary empty, empty_kernel(device.target()));
  TRY_ASSIGN(route.work, HostWork::make(device, count, empty));
  return route;
}

struct Opened {
  const char* name;
  const char* what;
  Result<Route> (*open)();
};
constexpr Opened kRoutes[] = {
    {"amd", "direct route to gfx1100 over its recorder, no card is there", open_amd},
    {"nvidia", "direct route to NVIDIA GPUs over a mock, no card is there", open_nvidia},
};

class WireHost : public testing::TestWithParam<Opened> {};

// The traced child of the next test; alone it shows that the work can be done.
TEST_P(WireHost, WorkBetweenMarks) {
  Result<Route> route = GetParam().open();
  if (!route && route.error().kind() == ErrorKind::unsupported) GTEST_SKIP();
  ASSERT_OK(route);
  ASSERT_OK(route->work->mark_once());
}

TEST_P(WireHost, CallsNothingAndAllocatesNothing) {
  Result<Route> route = GetParam().open();
  if (!route && route.error().kind() == ErrorKind::unsupported) GTEST_SKIP();
  ASSERT_OK(route);
  ASSERT_OK(route->work->measure(1));
  const Result<uint64_t> allocations = route->work->allocations();
  ASSERT_OK(allocations);
  EXPECT_EQ(*allocations, 0u);
  const Result<cli::SyscallCount> calls = cli::count_syscalls(
      {std::string("--gtest_filter=*WireHost.WorkBetweenMarks/") + GetParam().name});
  if (!calls && calls.error().kind() == ErrorKind::unsupported) GTEST_SKIP() << "no ptrace";
  ASSERT_OK(calls);
  EXPECT_EQ(calls->all, 0u);
}

INSTANTIATE_TEST_SUITE_P(Routes, WireHost, testing::ValuesIn(kRoutes),
                         [](const auto& tested) { return std::string(tested.param.name); });

// In turns, so that what else the machine does meets both.
TEST(WireHostTimes, SlowBothRoutes) {
  constexpr uint32_t kRounds = 200, kTurns = 10;
  std::vector<Route> routes;
  std::vector<std::vector<HostRow>> rows(std::size(kRoutes));
  for (const Opened& opened : kRoutes) {
    Result<Route> route = opened.open();
    ASSERT_OK(route);
    routes.push_back(std::move(*route));
  }
  for (uint32_t turn = 0; turn < kTurns; ++turn) {
    for (size_t r = 0; r < routes.size(); ++r) {
      Result<std::vector<HostRow>> more = routes[r].work->measure(kRounds);
      ASSERT_OK(more);
      if (turn == 0) rows[r] = *more;
      for (size_t i = 0; turn > 0 && i < rows[r].size(); ++i) {
        std::ranges::copy((*more)[i].samples_ns, std::back_inserter(rows[r][i].samples_ns));
      }
    }
  }
  nlohmann::ordered_json object = {{"what", "the host's work on direct routes; no card is there"},
                                   {"commit", kLeatCommit}};
  object["routes"] = nlohmann::ordered_json::array();
  for (size_t r = 0; r < routes.size(); ++r) {
    const Result<uint64_t> allocations = routes[r].work->allocations();
    ASSERT_OK(allocations);
    EXPECT_EQ(*allocations, 0u);
    std::cout << kRoutes[r].what << "\n" << text_of(rows[r]);
    object["routes"].push_back(
        {{"name", kRoutes[r].name}, {"what", kRoutes[r].what}, {"allocations", *allocations}});
    object["routes"].back()["results"] = json_of(rows[r]);
  }
  const char* file = std::getenv("LEAT_HOST_JSON");
  if (file != nullptr) std::ofstream(file) << object.dump() << "\n";
}

}  // namespace
}  // namespace leat
