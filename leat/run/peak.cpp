// See peak.h.
#include "leat/run/peak.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "leat/base/cache_store.h"
#include "leat/base/target_facts.h"
#include "leat/run/probe_kernels.h"

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

// An H200 needs up to hundreds of milliseconds of load to leave its idle clock (bench/README.md).
constexpr double kWarmUpSeconds = 0.35;
constexpr double kWarmUpSecondsMax = 2.0;
constexpr double kSampleSeconds = 0.01;
constexpr double kSteadyShare = 0.02;
constexpr int kSamples = 15;
constexpr int32_t kRoundsMax = 1 << 24;
constexpr size_t kBodyBytesMax = 65536;
/// A thousand times the fastest chip there is; a file that says more was forged.
constexpr double kPeakGflopsMax = 1e8;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The multiply-add kernel on one device, ready to run for any number of rounds.
class PeakProbe {
 public:
  static Result<PeakProbe> load(Device& device, DType element) {
    PeakProbe probe(device);
    TRY_ASSIGN(std::optional<FmaKernel> kernel_found, unit_kernel(device.target(), element));
    if (!kernel_found) {
      TRY_ASSIGN(kernel_found, fma_kernel(device.target(), element));
    }
    FmaKernel& kernel = *kernel_found;
    probe.flop_per_round_ = kernel.flop_per_round;
    TRY_ASSIGN(probe.kernel_, device.load(kernel.binary));
    TRY_ASSIGN(probe.rounds_, device.allocate(sizeof(int32_t), MemoryKind::shared));
    TRY_ASSIGN(probe.output_,
               device.allocate(static_cast<size_t>(kernel.output_count) * sizeof(float),
                               MemoryKind::device));
    return probe;
  }

  /// Seconds from submit to fence.
  Result<double> run(int32_t rounds) {
    std::byte bytes[sizeof rounds];
    std::memcpy(bytes, &rounds, sizeof rounds);
    TRY(write_buffer(*device_, {&rounds_, 0, sizeof rounds}, bytes));
    const BufferRange arguments[] = {{&rounds_, 0, rounds_.size_bytes()},
                                     {&output_, 0, output_.size_bytes()}};
    const Clock::time_point start = Clock::now();
    TRY(device_->queue().launch(*kernel_, arguments));
    TRY_ASSIGN(const uint64_t value, device_->queue().submit());
    TRY_ASSIGN(const bool is_done, device_->queue().fence().wait(value, hang_timeout_ns(*device_)));
    if (is_done) return seconds_since(start);
    return Error(
        ErrorKind::device_lost,
        fmt::format("Device \"{}\" did not finish the peak kernel.", device_->info().name));
  }

  /// Rounds that take about kSampleSeconds.
  Result<int32_t> calibrate() {
    int32_t rounds = 16;
    while (true) {
      TRY_ASSIGN(const double seconds, run(rounds));
      if (seconds >= kSampleSeconds || rounds >= kRoundsMax) return rounds;
      const double factor = std::clamp(kSampleSeconds / std::max(seconds, 1e-9) * 1.1, 1.5, 8.0);
      rounds = static_cast<int32_t>(std::min<double>(rounds * factor, kRoundsMax));
    }
  }

  double gflops(int32_t rounds, double seconds) const {
    return flop_per_round_ * rounds / seconds * 1e-9;
  }

 private:
  explicit PeakProbe(Device& device) : device_(&device) {}

  Device* device_;
  double flop_per_round_ = 0;
  std::unique_ptr<Kernel> kernel_;
  Buffer rounds_;
  Buffer output_;
};

/// Loads the device until it is no longer getting faster.
Result<void> warm_up(PeakProbe& probe) {
  const Clock::time_point start = Clock::now();
  double before = 0;
  while (seconds_since(start) < kWarmUpSecondsMax) {
    TRY_ASSIGN(const int32_t rounds, probe.calibrate());
    double best = 0;
    for (int i = 0; i < 5; ++i) {
      TRY_ASSIGN(const double seconds, probe.run(rounds));
      best = std::max(best, probe.gflops(rounds, seconds));
    }
    if (seconds_since(start) > kWarmUpSeconds && best < before * (1 + kSteadyShare)) break;
    before = best;
  }
  return {};
}

CacheKey key_of(Device& device, DType element) {
  SecureHasher hasher;
  for (const std::string& text :
       {device.info().chip, device.info().driver, std::string(name_of(device.info().route)),
        device.target().name}) {
    hasher.add(text);
  }
  hasher.add(static_cast<int64_t>(device.target().compute_units));
  if (element != DType::f32) {
    hasher.add(std::string(name_of(element)));
    const TargetFacts facts = facts_of(device.target());
    hasher.add(static_cast<int64_t>(facts.matrix_shapes.size()));  // what the probe computes by
    hasher.add(int64_t{facts.has_dot_bf16});
    hasher.add(int64_t{facts.has_dot_us});
  }
  return {"peak", hasher.digest()};
}

std::optional<double> kept_peak(const CacheStore& store, const CacheKey& key) {
  const std::optional<CacheEntry> entry = store.find(key, kBodyBytesMax);
  if (!entry) return std::nullopt;
  const nlohmann::json object = nlohmann::json::parse(entry->body(), nullptr, false);
  if (!object.is_object() || !object.contains("gflops") || !object["gflops"].is_number()) {
    return std::nullopt;
  }
  const double gflops = object["gflops"];
  return gflops > 0 && gflops <= kPeakGflopsMax ? std::optional(gflops) : std::nullopt;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

}  // namespace

Result<double> measure_peak_gflops(Device& device, DType element) {
  TRY_ASSIGN(PeakProbe probe, PeakProbe::load(device, element));
  TRY(warm_up(probe));
  TRY_ASSIGN(const int32_t rounds, probe.calibrate());
  double best = 0;
  for (int i = 0; i < kSamples; ++i) {
    TRY_ASSIGN(const double seconds, probe.run(rounds));
    best = std::max(best, probe.gflops(rounds, seconds));
  }
  return best;
}

Result<double> measured_peak_gflops(Device& device, const std::string& cache_folder,
                                    DType element) {
  if (const Result<CacheStore> store = CacheStore::open(cache_folder)) {
    if (const std::optional<double> kept = kept_peak(*store, key_of(device, element))) return *kept;
  }
  TRY_ASSIGN(const double gflops, measure_peak_gflops(device, element));
  keep_peak_gflops(device, cache_folder, gflops, element);
  return gflops;
}

void keep_peak_gflops(Device& device, const std::string& cache_folder, double gflops,
                      DType element) {
  Result<CacheStore> store = CacheStore::open(cache_folder);
  const CacheKey key = key_of(device, element);
  if (!store || kept_peak(*store, key).value_or(0) >= gflops) return;
  nlohmann::ordered_json object;
  object["chip"] = device.info().chip;
  object["route"] = name_of(device.info().route);
  object["driver"] = device.info().driver;
  object["threads"] = device.target().is_cpu ? device.target().compute_units : 1;
  object["gflops"] = gflops;
  object["date"] = today();
  const std::string text = object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  store->store(key, text + "\n");
}

}  // namespace leat
