// See gpu_clock.h.
#include "leat/run/gpu_clock.h"

#include <chrono>
#include <cstdio>
#include <future>
#include <memory>

#include "leat/base/borrowed_rights.h"

namespace leat {

namespace {

struct ClosePipe {
  void operator()(std::FILE* pipe) const { pclose(pipe); }
};

std::optional<GpuClock> sm_clock() {
  const std::unique_ptr<std::FILE, ClosePipe> pipe(popen(
      "nvidia-smi --query-gpu=clocks.sm,clocks.max.sm --format=csv,noheader,nounits 2>/dev/null",
      "r"));
  char line[64] = {};
  if (!pipe || std::fgets(line, sizeof line, pipe.get()) == nullptr) return std::nullopt;
  GpuClock clock;
  const int numbers = std::sscanf(line, "%lf , %lf", &clock.mhz, &clock.mhz_max);
  return numbers >= 1 && clock.mhz > 0 ? std::optional(clock) : std::nullopt;
}

}  // namespace

Result<std::optional<GpuClock>> clock_under_load(const DeviceInfo& info, const TimedRun& load) {
  const bool is_nvidia =
      (info.vendor + info.chip).find("NVIDIA") != std::string::npos && !info.software;
  if (!is_nvidia || has_borrowed_rights()) return std::optional<GpuClock>();
  std::future<std::optional<GpuClock>> clock = std::async(std::launch::async, sm_clock);
  while (clock.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    TRY(load());
  }
  return clock.get();
}

Result<std::optional<double>> mhz_under_load(const DeviceInfo& info, const TimedRun& load) {
  TRY_ASSIGN(const std::optional<GpuClock> clock, clock_under_load(info, load));
  return clock ? std::optional(clock->mhz) : std::nullopt;
}

}  // namespace leat
