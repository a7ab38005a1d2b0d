// See gpu_clock.h.
#include "bench/gpu_clock.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>

namespace leat::cli {

namespace {

struct ClosePipe {
  void operator()(std::FILE* pipe) const { pclose(pipe); }
};

std::optional<double> sm_clock_mhz() {
  const std::unique_ptr<std::FILE, ClosePipe> pipe(
      popen("nvidia-smi --query-gpu=clocks.sm --format=csv,noheader,nounits 2>/dev/null", "r"));
  char line[64] = {};
  if (!pipe || std::fgets(line, sizeof line, pipe.get()) == nullptr) return std::nullopt;
  char* end = nullptr;
  const double mhz = std::strtod(line, &end);
  return end != line && mhz > 0 ? std::optional(mhz) : std::nullopt;
}

}  // namespace

Result<std::optional<double>> clock_under_load(const DeviceInfo& info, const TimedRun& load) {
  const bool is_nvidia =
      (info.vendor + info.chip).find("NVIDIA") != std::string::npos && !info.software;
  if (!is_nvidia) return std::optional<double>();
  std::future<std::optional<double>> clock = std::async(std::launch::async, sm_clock_mhz);
  while (clock.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    TRY(load());
  }
  return clock.get();
}

}  // namespace leat::cli
