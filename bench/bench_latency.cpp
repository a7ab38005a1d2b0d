// `leat bench latency`: what submitting a kernel that does nothing costs, from the host's call to
// the moment it sees the fence, and what one kernel costs inside a list of a thousand. A chip is
// measured by all its routes in turn, and on NVIDIA's beside CUDA itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/latency_rows.h"
#include "bench/peers.h"
#include "bench/samples.h"
#include "bench/syscall_count.h"
#include "cli/device_choice.h"
#include "cli/report.h"
#include "leat/backend/backends.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

// Samples of a row in a result file; of more rounds every n-th.
constexpr size_t kSamplesKept = 1000;
constexpr double kQuantiles[] = {0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};

struct Options {
  std::string device;
  uint32_t rounds = 1000;
  uint32_t replays = 0;
  JsonTarget json;
};

/// CUDA without us, on the same chip; empty where there is none.
Result<RouteLatency> measure_peers(const DeviceInfo& info, const Options& options) {
  RouteLatency peers;
  peers.device = "CUDA";
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

/// Microseconds at kQuantiles, of all samples.
Json quantiles_json(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  Json object = Json::object();
  for (const double quantile : kQuantiles) {
    const double rank = quantile * static_cast<double>(seconds.size() - 1);
    const double at = seconds[static_cast<size_t>(std::llround(rank))];
    object[fmt::format("{:g}", quantile)] = std::round(at * 1e9) * 1e-3;
  }
  return object;
}

Json json_of(const RouteLatency& route, const LatencyRow& row) {
  Json object = {{"name", row.name},
                 {"device", route.device},
                 {"what", row.text},
                 {"median_us", median_of(row.seconds) * 1e6},
                 {"p99_us", p99_of(row.seconds) * 1e6},
                 {"rounds", row.seconds.size()}};
  if (route.clock_before_mhz) object["clock_mhz_before"] = *route.clock_before_mhz;
  if (route.clock_after_mhz) object["clock_mhz_after"] = *route.clock_after_mhz;
  object["quantiles_us"] = quantiles_json(row.seconds);
  const size_t stride = (row.seconds.size() + kSamplesKept - 1) / kSamplesKept;
  std::vector<double> kept;
  for (size_t i = 0; i < row.seconds.size(); i += stride) kept.push_back(row.seconds[i]);
  object["samples_every"] = stride;
  object["samples"] = microseconds_json(kept);
  return object;
}

Json json_of(Json facts, const std::vector<RouteLatency>& routes) {
  facts["results"] = Json::array();
  facts["replays"] = Json::array();
  for (const RouteLatency& route : routes) {
    for (const LatencyRow& row : route.rows) facts["results"].push_back(json_of(route, row));
    if (!route.allocations) continue;
    Json replay = {{"device", route.device}, {"allocations", *route.allocations}};
    if (route.syscalls) replay["system_calls"] = *route.syscalls;
    facts["replays"].push_back(std::move(replay));
  }
  return facts;
}

std::string clock_text(const RouteLatency& route) {
  if (!route.clock_before_mhz || !route.clock_after_mhz) return "-";
  return fmt::format("{:.0f}-{:.0f}", *route.clock_before_mhz, *route.clock_after_mhz);
}

void print_routes(const DeviceInfo& info, const std::vector<RouteLatency>& routes) {
  Table table({"device", "what", "median us", "p99 us", "samples", "MHz"});
  Table replays({"device", "a replay and its wait", "calls"});
  std::string failures;
  for (const RouteLatency& route : routes) {
    for (const LatencyRow& row : route.rows) {
      table.add({route.device, row.text, number_text(median_of(row.seconds) * 1e6),
                 number_text(p99_of(row.seconds) * 1e6), std::to_string(row.seconds.size()),
                 clock_text(route)});
    }
    if (route.allocations) {
      replays.add({route.device, "of operator new", number_text(*route.allocations)});
    }
    if (route.syscalls) {
      replays.add({route.device, "of the system, traced", number_text(*route.syscalls)});
    }
    if (!route.failure.empty()) {
      failures += fmt::format("failed: {}: {}\n", route.device, route.failure);
    }
  }
  print_line(info.chip);
  print_text(fmt::format("{}\n{}{}", table.text(), replays.text(), failures));
}

RouteLatency failed_route(const std::string& device, const Error& error) {
  RouteLatency route;
  route.device = device;
  route.failure = error.message();
  return route;
}

Result<RouteLatency> measure_route(Device& device, const Options& options) {
  Progress progress;
  return measure_latency(device, options.rounds, progress);
}

// The child opens the device itself, so this comes when it is closed here.
void add_syscalls(RouteLatency& route) {
  const Result<SyscallCount> counted = count_syscalls(
      {"latency", "--device", route.device, "--replays", std::to_string(kReplaysTraced)});
  if (counted) route.syscalls = static_cast<double>(counted->all) / kReplaysTraced;
}

Result<int> replay_only(const Options& options) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(options.device));
  TRY(replay_empty(*device, options.replays));
  return 0;
}

// With one route an error is the command's; among several the others are still measured.
Result<int> run(const Options& options) {
  TRY(check_files(options.json));
  if (options.replays > 0) return replay_only(options);
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
    if (device) device->reset();
    if (route) add_syscalls(*route);
    routes.push_back(route ? std::move(*route) : failed_route(spec, route.error()));
  }
  Result<RouteLatency> peers = measure_peers(info, options);
  routes.push_back(peers ? std::move(*peers) : failed_route("CUDA", peers.error()));
  if (options.json.wanted()) TRY(write_json(options.json, json_of(std::move(facts), routes)));
  if (!options.json.to_stdout()) print_routes(info, routes);
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
  command
      .add_option("--replays", options->replays,
                  "Only replays an empty kernel N times, between two marks: what the count of "
                  "system calls traces")
      ->type_name("N");
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
