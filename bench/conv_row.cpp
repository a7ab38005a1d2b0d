// See conv_row.h. Order of things: load, warm up, sample (in turns with the peer, so that both see
// the same machine), and only then look whether the result is right.
#include "bench/conv_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/bench_facts.h"
#include "bench/peers.h"
#include "bench/samples.h"
#include "leat/run/gpu_clock.h"
#include "leat/run/network.h"

namespace leat::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSampleSeconds = 1.5e-3;  // a sample is not shorter than 1 ms
constexpr uint32_t kRepeatsMax = 1000;
constexpr int kTurns = 4;
constexpr size_t kSamplesMin = 20;
// Threads of an OpenMP peer spin that long after their last work; ours sleep sooner.
constexpr auto kPause = std::chrono::milliseconds(50);
// A GPU whose clock moved by more than this over a row is measured again.
constexpr double kClockShare = 0.03;
constexpr int kAttempts = 3;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint32_t repeats_for(double seconds) {
  const double wanted = std::ceil(kSampleSeconds / std::max(seconds, 1e-9));
  return static_cast<uint32_t>(std::clamp<double>(wanted, 1, kRepeatsMax));
}

/// One side of a comparison: runs `repeats` executions and gives the seconds they took.
struct Contestant {
  std::function<Result<double>()> run;
  uint32_t repeats = 1;
  std::vector<double> seconds;

  Result<void> sample(const ConvRowOptions& options) {
    std::vector<double> taken;
    const SampleLimits limits{.samples_min = (kSamplesMin + kTurns - 1) / kTurns,
                              .seconds_min = options.min_seconds / kTurns,
                              .seconds_max = 20.0 / kTurns};
    TRY(take_samples(run, limits, taken));
    for (const double value : taken) seconds.push_back(value / repeats);
    return {};
  }
};

struct LoadedConv {
  std::unique_ptr<Network> network;

  Result<double> run() {
    const Clock::time_point start = Clock::now();
    TRY(network->run());
    return seconds_since(start);
  }
};

Result<LoadedConv> load_conv(Device& device, const ConvShape& shape, const ConvData& data,
                             const ConvRowOptions& options) {
  TRY_ASSIGN(const Graph graph, make_conv_graph(shape, data));
  NetworkOptions network;
  network.cache_folder = options.cache_folder;
  network.external_memory = MemoryKind::device;
  network.schedule.external_channels_last = true;
  Chooser chooser(device.target(), [&](const Schedule& schedule, const Node& node,
                                       const Target& target, Splitting splitting) {
    const bool asked = options.params && is_legal(schedule, node, *options.params, target);
    return asked ? *options.params : choose_by_model(schedule, node, target, splitting);
  });
  network.schedule.chooser = &chooser;
  LoadedConv conv;
  TRY_ASSIGN(conv.network, Network::load(device, graph, network));
  TRY(conv.network->set_input(0, data.x));
  if (shape.is_product) TRY(conv.network->set_input(1, data.w));
  return conv;
}

/// Enough executions in one recorded list that a sample can be timed.
Result<uint32_t> calibrate(LoadedConv& conv) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    TRY_ASSIGN(const double seconds, conv.run());
    best = std::min(best, seconds);
  }
  uint32_t repeats = repeats_for(best);
  if (repeats > 1) {  // a submit counted in `best`; once more without it
    TRY(conv.network->record_repeats(repeats));
    TRY_ASSIGN(const double seconds, conv.run());
    repeats = repeats_for(seconds / repeats);
    TRY(conv.network->record_repeats(repeats));
  }
  return repeats;
}

Result<void> sample_in_turns(Contestant& ours, Contestant* theirs, const ConvRowOptions& options) {
  const WarmUpLimits again{.seconds = 0.02, .seconds_max = 0.2};
  for (int turn = 0; turn < kTurns; ++turn) {
    if (theirs != nullptr) {
      std::this_thread::sleep_for(kPause);
      TRY(warm_up(theirs->run, again));
      TRY(theirs->sample(options));
      std::this_thread::sleep_for(kPause);
      TRY(warm_up(ours.run, again));
    }
    TRY(ours.sample(options));
  }
  return {};
}

/// Samples until the clock held still, at most kAttempts times.
Result<void> sample_at_steady_clock(const DeviceInfo& info, Contestant& ours, Contestant* theirs,
                                    const ConvRowOptions& options, ConvRow& row) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ours.seconds.clear();
    if (theirs != nullptr) theirs->seconds.clear();
    TRY(warm_up(ours.run, {}));
    TRY_ASSIGN(row.clock_mhz_before, mhz_under_load(info, ours.run));
    TRY(sample_in_turns(ours, theirs, options));
    TRY_ASSIGN(row.clock_mhz_after, mhz_under_load(info, ours.run));
    if (!row.clock_mhz_before || !row.clock_mhz_after) break;
    const double moved = std::abs(*row.clock_mhz_after - *row.clock_mhz_before);
    if (moved <= kClockShare * *row.clock_mhz_after) break;
  }
  return {};
}

Result<std::optional<double>> device_microseconds(Network& network) {
  std::vector<double> us;
  for (int i = 0; i < 5; ++i) {
    TRY_ASSIGN(const std::vector<KernelTime> times, network.profile());
    double sum = 0;
    for (const KernelTime& time : times) sum += static_cast<double>(time.time_ns) * 1e-3;
    us.push_back(sum);
  }
  const double median = median_of(us);
  return median > 0 ? std::optional(median) : std::nullopt;
}

Result<void> check_result(Device* cpu, const ConvData& data, const HostTensor& y,
                          const ConvRowOptions& options, const PeerConv* peer, ConvRow& row) {
  row.error_limit = error_limit(row.shape, row.dtype);
  row.max_error = sampled_error(row.shape, data, y);
  double worst = row.max_error;
  if (cpu != nullptr) {
    TRY_ASSIGN(LoadedConv conv, load_conv(*cpu, row.shape, data, options));
    TRY(conv.run());
    TRY_ASSIGN(const HostTensor expected, conv.network->output(0));
    row.max_error_cpu = relative_error(floats_of(y), floats_of(expected));
    worst = std::max(worst, *row.max_error_cpu / 2);  // both sides have their own error
  }
  if (peer != nullptr) {
    TRY_ASSIGN(const std::vector<float> expected, peer->output());
    worst = std::max(worst, relative_error(floats_of(y), expected) / 2);
  }
  if (worst > row.error_limit) {
    row.failure =
        fmt::format("The result differs from the reference by ({:.2e}), more than ({:.2e}).", worst,
                    row.error_limit);
  }
  return {};
}

}  // namespace

double ConvRow::median_us() const { return median_of(seconds) * 1e6; }
double ConvRow::p99_us() const { return p99_of(seconds) * 1e6; }
double ConvRow::gflops() const { return seconds.empty() ? 0 : shape.flop() / median_us() * 1e-3; }
double ConvRow::peer_median_us() const { return peer ? median_of(peer->seconds) * 1e6 : 0; }
double ConvRow::peer_gflops() const {
  return peer_median_us() > 0 ? shape.flop() / peer_median_us() * 1e-3 : 0;
}
double ConvRow::ratio() const { return peer_gflops() > 0 ? gflops() / peer_gflops() : 0; }

Result<ConvRow> measure_conv(Device& device, Device* cpu, const ConvShape& shape,
                             const ConvRowOptions& options, Progress& progress) {
  ConvRow row;
  row.shape = shape;
  row.dtype = options.dtype;
  progress.show(shape.name + ": making data and kernel");
  const ConvData data = make_conv_data(shape, options.dtype);
  TRY_ASSIGN(LoadedConv conv, load_conv(device, shape, data, options));
  TRY_ASSIGN(row.repeats, calibrate(conv));
  Contestant ours{.run = [&] { return conv.run(); }, .repeats = row.repeats};

  Contestant theirs;
  PeerConv peer;
  const bool has_peer = !options.peer.empty();
  if (has_peer) {
    TRY_ASSIGN(peer, make_peer_conv(options.peer, shape, data, device));
    TRY(peer.run(1));
    TRY_ASSIGN(const double seconds, peer.run(1));
    theirs.repeats = repeats_for(seconds);
    theirs.run = [&] { return peer.run(theirs.repeats); };
  }
  progress.show(shape.name + ": measuring");
  TRY(sample_at_steady_clock(device.info(), ours, has_peer ? &theirs : nullptr, options, row));
  row.seconds = std::move(ours.seconds);
  const Schedule& schedule = conv.network->schedule();
  row.storage = schedule.placements[schedule.graph.inputs[0]].storage;
  if (has_peer) row.peer = PeerResult{peer_version(options.peer), std::move(theirs.seconds)};
  TRY_ASSIGN(row.device_us, device_microseconds(*conv.network));
  TRY_ASSIGN(const std::vector<KernelTime> kernels, conv.network->profile());
  if (!kernels.empty()) row.kernel_params = kernels[0].params;

  progress.show(shape.name + ": comparing with the reference");
  TRY_ASSIGN(const HostTensor y, conv.network->output(0));
  TRY(check_result(cpu, data, y, options, has_peer ? &peer : nullptr, row));
  return row;
}

nlohmann::ordered_json json_of(const ConvRow& row) {
  using Json = nlohmann::ordered_json;
  const ConvShape& s = row.shape;
  Json object;
  object["name"] = s.name;
  object["shape"] = {s.n, s.c, s.h, s.w, s.k, s.r, s.stride, s.pad};
  object["dtype"] = name_of(row.dtype);
  object["storage"] = name_of(row.storage);
  object["params"] = row.kernel_params;
  object["median_us"] = row.median_us();
  object["p99_us"] = row.p99_us();
  object["gflops"] = row.gflops();
  object["peak_share"] = row.peak_share();
  object["max_error"] = row.max_error;
  object["error_limit"] = row.error_limit;
  if (row.max_error_cpu) object["max_error_cpu"] = *row.max_error_cpu;
  if (row.device_us) object["device_us"] = *row.device_us;
  if (row.clock_mhz_before) object["clock_mhz_before"] = *row.clock_mhz_before;
  if (row.clock_mhz_after) object["clock_mhz_after"] = *row.clock_mhz_after;
  if (!row.failure.empty()) object["failure"] = row.failure;
  object["repeats_per_sample"] = row.repeats;
  object["samples"] = microseconds_json(row.seconds);
  if (row.peer) {
    object["peer"] = {{"name", row.peer->name},
                      {"median_us", row.peer_median_us()},
                      {"p99_us", p99_of(row.peer->seconds) * 1e6},
                      {"gflops", row.peer_gflops()},
                      {"ratio", row.ratio()},
                      {"samples", microseconds_json(row.peer->seconds)}};
  }
  return object;
}

}  // namespace leat::cli
