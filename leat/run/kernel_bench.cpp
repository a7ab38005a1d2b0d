// See kernel_bench.h.
#include "leat/run/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "leat/base/statistics.h"
#include "leat/ir/scalar_ops.h"
#include "leat/run/warm_up.h"

namespace leat {

namespace {

constexpr double kSampleSeconds = 0.002;  // of one, where a launch is shorter
constexpr uint32_t kLaunchesMax = 256;
constexpr size_t kSamplesMin = 20;
constexpr size_t kSamplesMax = 10'000;
constexpr double kStreamSeconds = 0.1;
constexpr uint64_t kStreamBytesMin = 1 << 16;
constexpr uint64_t kStreamBytesMax = 1 << 28;  // beyond, every cache is passed
constexpr int64_t kStreamRounds = 16;          // accesses of a lane

/// Kernels that read x and write y, or only read it; each workgroup has a part of its own.
std::string stream_text(const Target& target, int64_t groups, bool copies) {
  const uint32_t lanes = target.wave_lanes;
  const int64_t elements = groups * kStreamRounds * lanes * 4;
  const int64_t written = copies ? elements : groups * lanes * 4;
  const std::string body = copies ? R"(
  loop %i : u.i32 = %first to %end step %lanes unroll 4 {
    %v : v.f32x4 = load x[%i + lane * 1]
    store y[%i + lane * 1], %v
    yield
  })"
                                  : R"(
  %zero : u.f32 = constant 0
  %zeros : u.f32x4 = vector %zero, %zero, %zero, %zero
  %s : v.f32x4 = loop %i : u.i32 = %first to %end step %lanes unroll 4 carry %a : v.f32x4 = %zeros {
    %v : v.f32x4 = load x[%i + lane * 1]
    %b : v.f32x4 = add_f %a, %v
    yield %b
  }
  %at : u.i32 = mul_i %g, %lanes
  store y[%at + lane * 1], %s)";
  return fmt::format(R"(leat-kernel 1
kernel "stream" lanes {} waves 1 grid {} 1 1
parameter x : f32[{}] read
parameter y : f32[{}] write
{{
  %g : u.i32 = group_id 0
  %lanes : u.i32 = constant {}
  %part : u.i32 = constant {}
  %first : u.i32 = mul_i %g, %part
  %end : u.i32 = add_i %first, %part{}
}}
)",
                     lanes, groups, elements, written, lanes, kStreamRounds * lanes, body);
}

Result<double> stream_rate(Device& device, uint64_t bytes, bool copies) {
  const Target& target = device.target();
  const uint64_t bytes_of_group =
      uint64_t{kStreamRounds} * target.wave_lanes * 16 * (copies ? 2 : 1);
  const auto groups = static_cast<int64_t>(
      std::clamp<uint64_t>(std::clamp(bytes, kStreamBytesMin, kStreamBytesMax) / bytes_of_group, 1,
                           target.workgroups_max[0]));
  TRY_ASSIGN(UserKernel kernel, UserKernel::parse(stream_text(target, groups, copies), "stream"));
  const double moved =
      static_cast<double>(kernel.size_bytes_of_parameter(0) + kernel.size_bytes_of_parameter(1));
  std::vector<std::byte> x(kernel.size_bytes_of_parameter(0));
  std::vector<std::byte> y(kernel.size_bytes_of_parameter(1));
  const std::span<std::byte> arguments[] = {x, y};
  TRY_ASSIGN(const std::unique_ptr<LoadedKernel> loaded,
             LoadedKernel::load(device, std::move(kernel), {}));
  TRY(loaded->write(arguments));
  TRY_ASSIGN(const KernelRate rate, measure_kernel(*loaded, kStreamSeconds));
  const double best_us = *std::ranges::min_element(rate.samples_us);
  return moved / best_us * 1e-3;
}

}  // namespace

Result<KernelRate> measure_kernel(LoadedKernel& kernel, double seconds) {
  using Clock = std::chrono::steady_clock;
  KernelRate rate;
  TRY_ASSIGN(double once, kernel.launch(1));
  TRY_ASSIGN(once, kernel.launch(1));
  rate.launches_per_sample = static_cast<uint32_t>(
      std::clamp(kSampleSeconds / std::max(once, 1e-9), 1.0, double{kLaunchesMax}));
  TRY(warm_up([&] { return kernel.launch(rate.launches_per_sample); },
              {.seconds = std::min(0.3, seconds), .seconds_max = std::max(0.3, 3 * seconds)}));
  const Clock::time_point start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  while (rate.samples_us.size() < kSamplesMin ||
         (passed() < seconds && rate.samples_us.size() < kSamplesMax)) {
    TRY_ASSIGN(const double sample, kernel.launch(rate.launches_per_sample));
    rate.samples_us.push_back(sample / rate.launches_per_sample * 1e6);
  }
  rate.median_us = median_of(rate.samples_us);
  rate.p99_us = p99_of(rate.samples_us);
  return rate;
}

Result<double> measure_stream_gbps(Device& device, uint64_t bytes) {
  TRY_ASSIGN(const double copied, stream_rate(device, bytes, true));
  TRY_ASSIGN(const double read, stream_rate(device, bytes, false));
  return std::max(copied, read);
}

DType product_element(const UserKernel& kernel) {
  for (const ir::Type& type : kernel.program().values) {
    if (type.fragment.role == ir::Role::a) return type.fragment.element;
  }
  const std::vector<ir::Instruction>& instructions = kernel.program().instructions;
  const auto dot = std::ranges::find_if(
      instructions, [](const ir::Instruction& instruction) { return ir::is_dot(instruction.op); });
  if (dot == instructions.end()) return DType::f32;
  return dot->op == ir::Opcode::dot_bf16 ? DType::bf16 : DType::i8;
}

}  // namespace leat
