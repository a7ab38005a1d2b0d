// See fault_rows.h.
#include "bench/fault_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "leat/device/spin.h"
#include "leat/run/probe_kernels.h"

namespace leat::cli {

namespace {

constexpr uint64_t kDeadlineNs = 100'000'000;
constexpr double kLongMs = 20 * kDeadlineNs * 1e-6;
constexpr int32_t kRoundsMax = 1 << 30;

BufferRange whole(const Buffer& buffer) { return {&buffer, 0, buffer.size_bytes()}; }

double ms_since(uint64_t begin_ns) {
  return static_cast<double>(steady_now_ns() - begin_ns) * 1e-6;
}

/// Multiplies and adds for as long as its first argument says.
struct LongKernel {
  std::unique_ptr<Kernel> kernel;
  Buffer rounds, output;

  Result<uint64_t> submit(Device& device, int32_t count) {
    std::memcpy(rounds.host_pointer(), &count, sizeof count);
    const BufferRange arguments[] = {whole(rounds), whole(output)};
    TRY(device.queue().launch(*kernel, arguments));
    return device.queue().submit();
  }
};

Result<LongKernel> make_long(Device& device) {
  LongKernel made;
  TRY_ASSIGN(const FmaKernel fma, fma_kernel(device.target()));
  TRY_ASSIGN(made.kernel, device.load(fma.binary));
  TRY_ASSIGN(made.rounds, device.allocate(sizeof(int32_t), MemoryKind::shared));
  const auto bytes = static_cast<size_t>(fma.output_count) * sizeof(float);
  TRY_ASSIGN(made.output, device.allocate(bytes, MemoryKind::device));
  return made;
}

/// How many rounds take kLongMs.
Result<int32_t> long_rounds(Device& device, LongKernel& kernel) {
  constexpr double kTimedMs = 10;
  for (int32_t rounds = 64;; rounds *= 2) {
    const uint64_t begin_ns = steady_now_ns();
    TRY_ASSIGN(const uint64_t value, kernel.submit(device, rounds));
    TRY_ASSIGN(const bool is_done, device.queue().fence().wait(value, hang_timeout_ns(device)));
    if (!is_done) return Error(ErrorKind::device_lost, "A kernel of milliseconds does not end.");
    const double ms = ms_since(begin_ns);
    const double wanted = rounds * (kLongMs / ms);
    if (ms >= kTimedMs) return static_cast<int32_t>(std::min<double>(wanted, kRoundsMax));
    if (rounds >= kRoundsMax / 2) return kRoundsMax;
  }
}

/// That a kernel counts once.
Result<void> count_once(Device& device) {
  TRY_ASSIGN(const KernelBinary binary, count_kernel(device.target()));
  TRY_ASSIGN(const std::unique_ptr<Kernel> kernel, device.load(binary));
  TRY_ASSIGN(const Buffer word, device.allocate(sizeof(int32_t), MemoryKind::shared));
  std::memset(word.host_pointer(), 0, sizeof(int32_t));
  const BufferRange argument = whole(word);
  TRY(device.queue().launch(*kernel, std::span(&argument, 1)));
  TRY_ASSIGN(const uint64_t value, device.queue().submit());
  TRY_ASSIGN(const bool is_done, device.queue().fence().wait(value, hang_timeout_ns(device)));
  if (!is_done) return Error(ErrorKind::device_lost, "A kernel does not end on the new queue.");
  int32_t count = 0;
  std::memcpy(&count, word.host_pointer(), sizeof count);
  if (count == 1) return {};
  return Error(ErrorKind::internal, fmt::format("A kernel that counts to 1 leaves ({}).", count));
}

}  // namespace

Result<std::vector<FaultRow>> provoke_faults(Device& device) {
  TRY_ASSIGN(LongKernel kernel, make_long(device));
  TRY_ASSIGN(const int32_t rounds, long_rounds(device, kernel));
  FaultRow row = {"long_kernel", "a kernel of two seconds, with a deadline of 100 ms"};
  const uint64_t begin_ns = steady_now_ns();
  TRY_ASSIGN(const uint64_t value, kernel.submit(device, rounds));
  TRY_ASSIGN(const bool is_done, device.queue().fence().wait(value, kDeadlineNs));
  if (is_done) return Error(ErrorKind::unsupported, "No kernel is long enough to pass a deadline.");
  row.noticed_ms = ms_since(begin_ns);
  const uint64_t noticed_ns = steady_now_ns();
  const Result<void> abandoned = device.queue().abandon();
  row.recovered_ms = ms_since(noticed_ns);
  const Result<void> counted = abandoned ? count_once(device) : abandoned;
  row.goes_on = counted.has_value();
  if (!counted && counted.error().kind() != ErrorKind::device_lost) return counted.error();
  if (!counted) row.error = counted.error().message();
  return std::vector{row};
}

nlohmann::ordered_json json_of(const std::vector<FaultRow>& rows) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const FaultRow& row : rows) {
    array.push_back({{"name", row.name},
                     {"text", row.text},
                     {"noticed_ms", row.noticed_ms},
                     {"recovered_ms", row.recovered_ms},
                     {"goes_on", row.goes_on}});
    if (!row.error.empty()) array.back()["error"] = row.error;
  }
  return array;
}

}  // namespace leat::cli
