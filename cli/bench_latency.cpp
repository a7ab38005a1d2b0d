// `leat bench latency`: what submitting a kernel that does nothing costs, from the host's call to
// the moment it sees the fence, and what one kernel costs inside a list of a thousand. A chip is
// measured by all its routes in turn, and on NVIDIA's beside CUDA itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench_facts.h"
#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/gpu_clock.h"
#include "cli/peers.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/samples.h"
#include "leat/backend/backends.h"
#include "leat/run/probe_kernels.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kListKernels = 1000;
constexpr size_t kListRounds = 20;

struct Options {
  std::string device;
  uint32_t rounds = 1000;
  JsonTarget json;
};

/// The empty kernel on one device.
struct EmptyLaunch {
  Device* device = nullptr;
  std::unique_ptr<Kernel> kernel;
  Buffer word;
  std::unique_ptr<RecordedList> one;
  std::unique_ptr<RecordedList> many;

  Result<void> launch() {
    const BufferRange arguments[] = {{&word, 0, word.size_bytes()}};
    return device->queue().launch(*kernel, arguments);
  }
};

Result<std::unique_ptr<RecordedList>> record(EmptyLaunch& empty, uint32_t count) {
  TRY(empty.device->queue().begin_record());
  for (uint32_t i = 0; i < count; ++i) TRY(empty.launch());
  return empty.device->queue().end_record();
}

Result<EmptyLaunch> load(Device& device) {
  EmptyLaunch empty;
  empty.device = &device;
  TRY_ASSIGN(const KernelBinary binary, empty_kernel(device.target()));
  TRY_ASSIGN(empty.kernel, device.load(binary));
  TRY_ASSIGN(empty.word, device.allocate(sizeof(int32_t), MemoryKind::device));
  TRY_ASSIGN(empty.one, record(empty, 1));
  TRY_ASSIGN(empty.many, record(empty, kListKernels));
  return empty;
}

enum class Submission { fresh, replayed };
enum class Seen { by_poll, by_wait };

Error hung(const Device& device) {
  return Error(ErrorKind::device_lost,
               fmt::format("Device \"{}\" did not finish an empty kernel.", device.info().name));
}

/// Seconds from the call to the fence seen.
Result<double> run_once(EmptyLaunch& empty, RecordedList& list, Submission submission, Seen seen) {
  Queue& queue = empty.device->queue();
  Fence& fence = queue.fence();
  uint64_t value = 0;
  const Clock::time_point start = Clock::now();
  if (submission == Submission::fresh) {
    TRY(empty.launch());
    TRY_ASSIGN(value, queue.submit());
  } else {
    TRY_ASSIGN(value, queue.replay(list));
  }
  if (seen == Seen::by_wait) {
    TRY_ASSIGN(const bool is_done, fence.wait(value, kHangTimeoutNs));
    if (!is_done) return hung(*empty.device);
  } else {
    while (fence.poll() < value) {
      if (Clock::now() - start > std::chrono::nanoseconds(kHangTimeoutNs)) {
        return hung(*empty.device);
      }
    }
  }
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct LatencyRow {
  std::string name;
  std::string text;
  std::vector<double> seconds;  // of one kernel
};

Result<std::vector<LatencyRow>> measure(EmptyLaunch& empty, const Options& options) {
  struct Path {
    const char* name;
    const char* text;
    Submission submission;
    Seen seen;
  };
  constexpr Path kPaths[] = {
      {"replay_poll", "one kernel, recorded, seen by polling", Submission::replayed, Seen::by_poll},
      {"replay_wait", "one kernel, recorded, seen by waiting", Submission::replayed, Seen::by_wait},
      {"fresh_poll", "one kernel, launched anew, seen by polling", Submission::fresh,
       Seen::by_poll},
      {"fresh_wait", "one kernel, launched anew, seen by waiting", Submission::fresh,
       Seen::by_wait},
  };
  Progress progress;
  std::vector<LatencyRow> rows;
  for (const Path& path : kPaths) {
    progress.show(path.text);
    LatencyRow row{path.name, path.text, {}};
    const TimedRun once = [&] { return run_once(empty, *empty.one, path.submission, path.seen); };
    TRY(warm_up(once, {}));
    TRY(take_samples(once, {.samples_min = options.rounds}, row.seconds));
    rows.push_back(std::move(row));
  }
  LatencyRow list{
      "list_kernel", fmt::format("one kernel of {} in a recorded list", kListKernels), {}};
  progress.show(list.text);
  const TimedRun many = [&] {
    return run_once(empty, *empty.many, Submission::replayed, Seen::by_poll);
  };
  TRY(warm_up(many, {}));
  TRY(take_samples(many, {.samples_min = kListRounds}, list.seconds));
  for (double& seconds : list.seconds) seconds /= kListKernels;
  rows.push_back(std::move(list));
  return rows;
}

/// What was measured on one route, or why nothing was.
struct RouteLatency {
  std::string device;
  std::string failure;
  std::vector<LatencyRow> rows;
  std::optional<double> clock_mhz;
};

Result<RouteLatency> measure_route(Device& device, const Options& options) {
  RouteLatency route{device.info().name, "", {}, {}};
  TRY_ASSIGN(EmptyLaunch empty, load(device));
  TRY_ASSIGN(route.rows, measure(empty, options));
  TRY_ASSIGN(route.clock_mhz, clock_under_load(device.info(), [&] {
               return run_once(empty, *empty.many, Submission::replayed, Seen::by_wait);
             }));
  return route;
}

/// CUDA without us, on the same chip; empty where there is none.
Result<RouteLatency> measure_peers(const DeviceInfo& info, const Options& options) {
  RouteLatency peers{"CUDA", "", {}, {}};
  if (info.software || info.chip.find("NVIDIA") == std::string::npos) return peers;
  TRY_ASSIGN(const std::vector<PeerLaunch> launches, make_cuda_launches(info.chip));
  for (const PeerLaunch& launch : launches) {
    LatencyRow row{launch.name, launch.text, {}};
    TRY(warm_up(launch.once, {}));
    TRY(take_samples(launch.once, {.samples_min = options.rounds}, row.seconds));
    peers.rows.push_back(std::move(row));
  }
  return peers;
}

/// A chip without a route stands for all its routes; without a spec it is the first real GPU.
std::vector<std::string> specs_of(const std::string& spec) {
  std::vector<std::string> specs;
  const std::string chip = spec.empty() ? "gpu0" : spec;
  for (const FoundDevice& found : find_devices()) {
    const bool is_route = found.info.name.starts_with(chip + ":");
    if (!is_route || !found.refusal.empty()) continue;
    if (spec.empty() && found.info.software) continue;
    specs.push_back(found.info.name);
  }
  return specs.empty() ? std::vector<std::string>{spec} : specs;
}

Json json_of(Json facts, const std::vector<RouteLatency>& routes) {
  facts["results"] = Json::array();
  for (const RouteLatency& route : routes) {
    for (const LatencyRow& row : route.rows) {
      Json object = {{"name", row.name},
                     {"device", route.device},
                     {"what", row.text},
                     {"median_us", median_of(row.seconds) * 1e6},
                     {"p99_us", p99_of(row.seconds) * 1e6}};
      if (route.clock_mhz) object["clock_mhz"] = *route.clock_mhz;
      object["samples"] = microseconds_json(row.seconds);
      facts["results"].push_back(std::move(object));
    }
  }
  return facts;
}

void print(const DeviceInfo& info, const std::vector<RouteLatency>& routes) {
  Table table({"device", "empty kernel", "median us", "p99 us", "samples", "MHz"});
  std::string failures;
  for (const RouteLatency& route : routes) {
    const std::string clock = route.clock_mhz ? fmt::format("{:.0f}", *route.clock_mhz) : "-";
    for (const LatencyRow& row : route.rows) {
      table.add({route.device, row.text, number_text(median_of(row.seconds) * 1e6),
                 number_text(p99_of(row.seconds) * 1e6), std::to_string(row.seconds.size()),
                 clock});
    }
    if (!route.failure.empty()) {
      failures += fmt::format("failed: {}: {}\n", route.device, route.failure);
    }
  }
  fmt::print("{}\n{}{}", info.chip, table.text(), failures);
}

// With one route an error is the command's; among several the others are still measured.
Result<int> run(const Options& options) {
  const std::vector<std::string> specs = specs_of(options.device);
  std::vector<RouteLatency> routes;
  Json facts;
  DeviceInfo info;
  for (const std::string& spec : specs) {
    Result<std::unique_ptr<Device>> device = open_by_spec(spec);
    Result<RouteLatency> route = device ? measure_route(**device, options) : device.error();
    if (!route && specs.size() == 1) return route.error();
    if (device && facts.empty()) {
      add_bench_facts(facts, **device);
      info = (*device)->info();
    }
    routes.push_back(route ? std::move(*route)
                           : RouteLatency{spec, route.error().message(), {}, {}});
  }
  Result<RouteLatency> peers = measure_peers(info, options);
  routes.push_back(peers ? std::move(*peers)
                         : RouteLatency{"CUDA", peers.error().message(), {}, {}});
  if (options.json.wanted()) TRY(write_json(options.json, json_of(std::move(facts), routes)));
  if (!options.json.to_stdout()) print(info, routes);
  const bool has_failed =
      std::ranges::any_of(routes, [](const RouteLatency& route) { return !route.failure.empty(); });
  return has_failed ? 1 : 0;
}

}  // namespace

CommandRun add_bench_latency(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  add_device_option(command, options->device);
  command.add_option("--rounds", options->rounds, "Samples of each way to submit (1000)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  add_json_option(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
