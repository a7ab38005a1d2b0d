// `leat bench latency`: what submitting a kernel that does nothing costs, from the host's call to
// the moment it sees the fence, and what one kernel costs inside a list of a thousand.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench_facts.h"
#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/gpu_clock.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/samples.h"
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

Json json_of(Device& device, const std::vector<LatencyRow>& rows,
             const std::optional<double>& clock_mhz) {
  Json object;
  add_bench_facts(object, device);
  if (clock_mhz) object["clock_mhz"] = *clock_mhz;
  object["results"] = Json::array();
  for (const LatencyRow& row : rows) {
    object["results"].push_back({{"name", row.name},
                                 {"what", row.text},
                                 {"median_us", median_of(row.seconds) * 1e6},
                                 {"p99_us", p99_of(row.seconds) * 1e6},
                                 {"samples", microseconds_json(row.seconds)}});
  }
  return object;
}

Result<int> run(const Options& options) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(options.device));
  TRY_ASSIGN(EmptyLaunch empty, load(*device));
  TRY_ASSIGN(const std::vector<LatencyRow> rows, measure(empty, options));
  TRY_ASSIGN(const std::optional<double> clock_mhz, clock_under_load(device->info(), [&] {
               return run_once(empty, *empty.many, Submission::replayed, Seen::by_wait);
             }));
  if (options.json.wanted()) TRY(write_json(options.json, json_of(*device, rows, clock_mhz)));
  if (options.json.to_stdout()) return 0;
  Table table({"empty kernel", "median us", "p99 us", "samples"});
  for (const LatencyRow& row : rows) {
    table.add({row.text, number_text(median_of(row.seconds) * 1e6),
               number_text(p99_of(row.seconds) * 1e6), std::to_string(row.seconds.size())});
  }
  fmt::print("{}\n{}", describe(device->info()), table.text());
  if (clock_mhz) fmt::print("clock {:.0f} MHz\n", *clock_mhz);
  return 0;
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
