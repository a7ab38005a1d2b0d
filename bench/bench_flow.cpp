// `leat bench flow`: what fences, replays and juggled streams cost and bring. Without a model only
// what needs none: polls, waits, submit to seen, being blocked.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/allocation_count.h"
#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/flow_rows.h"
#include "bench/samples.h"
#include "bench/syscall_count.h"
#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/run_stream.h"
#include "leat/run/peak.h"

namespace leat::cli {

namespace {

constexpr int kItemsMax = 1'000'000'000;

using Json = nlohmann::ordered_json;

constexpr uint32_t kReplaysCounted = 200;

struct Options {
  std::string device;
  uint32_t rounds = 1000;
  StreamOptions stream;
  uint64_t steps = 0;  // items done step by step; 0: as many as the stream has, 200 at most
  uint32_t replays = 0;
  std::string trace;
  JsonTarget json;
};

/// The network alone, without pictures.
Result<std::unique_ptr<Network>> load_network(Device& device, const Options& options) {
  TRY_ASSIGN(const Model model, import_onnx(options.stream.model));
  NetworkOptions network;
  network.cache_folder = options.stream.cache_folder;
  return Network::load(device, model.graph, network);
}

/// What the traced child does: replays between two marks.
Result<int> replay_only(const Options& options) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(options.device));
  TRY_ASSIGN(const std::unique_ptr<Network> network, load_network(*device, options));
  for (int i = 0; i < 10; ++i) TRY(network->run());
  mark_syscalls();
  for (uint32_t i = 0; i < options.replays; ++i) TRY(network->run());
  mark_syscalls();
  return 0;
}

FlowRow single(std::string name, std::string what, double value, std::string unit,
               std::string goal) {
  FlowRow row;
  row.name = std::move(name);
  row.what = std::move(what);
  row.value = value;
  row.unit = std::move(unit);
  row.goal = std::move(goal);
  return row;
}

Result<void> add_replay_rows(Device& device, const Options& options, std::vector<FlowRow>& rows) {
  TRY_ASSIGN(const std::unique_ptr<Network> network, load_network(device, options));
  for (int i = 0; i < 20; ++i) TRY(network->run());
  const uint64_t allocations = allocation_count();
  const Queue::Counts before = device.queue().counts();
  for (uint32_t i = 0; i < kReplaysCounted; ++i) TRY(network->run());
  const uint64_t allocated = allocation_count() - allocations;
  const Queue::Counts after = device.queue().counts();
  const double count = kReplaysCounted;
  rows.push_back(single("replay_allocations", "calls of operator new in a replay, all threads",
                        static_cast<double>(allocated) / count, "", "0"));
  rows.push_back(single(
      "replay_descriptors",
      device.info().route == Route::opengl ? "binding calls in a replay (GL records nothing)"
                                           : "descriptor updates in a replay",
      static_cast<double>(after.descriptor_updates - before.descriptor_updates) / count, "", "0"));
  const NetworkStats& stats = network->stats();
  const double beyond = static_cast<double>(stats.reserved_bytes) /
                            static_cast<double>(std::max<uint64_t>(1, stats.tensor_bytes)) -
                        1;
  rows.push_back(single("memory_beyond_tensors", "device bytes reserved beyond tensors in use",
                        beyond * 100, "%", "< 5 %"));
  return {};
}

void add_syscall_rows(const std::string& device, const Options& options, std::vector<FlowRow>& rows,
                      std::string& note) {
  const Result<SyscallCount> counted =
      count_syscalls({"flow", "--device", device, "--model", options.stream.model, "--replays",
                      std::to_string(kReplaysCounted)});
  if (!counted) {
    note = "System calls were not counted: " + counted.error().message();
    return;
  }
  const double count = kReplaysCounted;
  rows.push_back(single("replay_syscalls",
                        fmt::format("system calls in a replay, all threads, traced (futex {:.1f}, "
                                    "yield {:.1f}, ioctl {:.1f}, sleep {:.1f})",
                                    static_cast<double>(counted->futex) / count,
                                    static_cast<double>(counted->yield) / count,
                                    static_cast<double>(counted->ioctl) / count,
                                    static_cast<double>(counted->sleep) / count),
                        static_cast<double>(counted->all) / count, "", ""));
}

struct StreamResult {
  JugglerReport report;
  CopyCounts copies;  // since the networks were loaded
};

Result<StreamResult> add_stream_rows(const Options& options, Progress& progress,
                                     std::vector<FlowRow>& rows) {
  StreamResult result;
  TRY_ASSIGN(const std::unique_ptr<PictureStream> stream, PictureStream::open(options.stream));
  TRY(stream->check_files({options.trace, options.json.to_stdout() ? "" : options.json.path}));
  const uint64_t steps =
      options.steps > 0 ? options.steps : std::min<uint64_t>(stream->count(), 200);
  progress.show("pictures step by step");
  TRY(stream->step_by_step(1));
  TRY_ASSIGN(const double seconds, stream->step_by_step(steps));
  const double step_rate = static_cast<double>(steps) / std::max(seconds, 1e-9);
  const uint64_t copied = stream->copies().hot_bytes();
  TRY_ASSIGN(result.report, stream->juggled([&](const JugglerProgress& now) {
    progress.show(progress_bar(now.delivered, now.count, now.rate));
  }));
  progress.clear();
  const JugglerReport& report = result.report;
  if (report.errors > 0) {  // they cost little, so a rate with them is none
    return Error(ErrorKind::invalid_argument,
                 fmt::format("({}) of ({}) items have no result, the first because: {}",
                             report.errors, report.delivered, stream->failures().front().error));
  }
  result.copies = stream->copies();
  const double rate = report.steady_rate > 0 ? report.steady_rate : report.rate;
  rows.push_back(single("stream_steps", "pictures step by step", step_rate, "a second", ""));
  rows.push_back(
      single("stream_juggled",
             fmt::format("pictures juggled, {} host threads, {}", stream->host_threads(),
                         report.steady_rate > 0 ? "since the trials" : "trials included"),
             rate, "a second", ""));
  rows.push_back(single("stream_ratio", "juggled over step by step", rate / step_rate, "",
                        ">= 2.0 on an H200 with 16 cores"));
  rows.push_back(single("stream_copied", "bytes copied on the hot path of the stream",
                        static_cast<double>(result.copies.hot_bytes() - copied), "B", "0"));
  for (const JugglerDeviceReport& device : report.devices) {
    if (!device.idle_share) continue;
    rows.push_back(single("stream_idle", fmt::format("idle time of {} between items", device.name),
                          *device.idle_share * 100, "%", "< 10 % on an H200 with 16 cores"));
  }
  return result;
}

std::string table_of(const std::vector<FlowRow>& rows) {
  Table table({"what", "value", "", "p99", "goal"});
  for (const FlowRow& row : rows) {
    table.add({row.what, number_text(row.value), row.unit,
               row.samples.empty() ? "-" : number_text(row.p99), row.goal});
  }
  return table.text();
}

Result<int> run(Options options) {
  const std::string inputs[] = {options.stream.model, options.stream.labels};
  TRY(check_files(options.json, {options.trace}, inputs));
  options.stream.cache_folder = kernel_cache_folder();
  if (options.replays > 0) return replay_only(options);
  Progress progress;
  TRY_ASSIGN(std::unique_ptr<Device> device, open_by_spec(options.device));
  TRY_ASSIGN(std::vector<FlowRow> rows, measure_fences(*device, options.rounds, progress));
  std::string note;
  Json object;
  add_bench_facts(object, *device);
  const std::string described = describe(device->info());
  const std::string name = device->info().name;
  Trace trace;
  std::optional<StreamResult> stream;
  if (!options.stream.model.empty()) {
    progress.show("replays");
    TRY(add_replay_rows(*device, options, rows));
    device.reset();  // the child and the stream open it themselves
    add_syscall_rows(name, options, rows, note);
    options.stream.devices = {name};
    options.stream.times = true;
    if (!options.trace.empty()) options.stream.trace = &trace;
    if (!options.stream.input_folder.empty()) {
      TRY_ASSIGN(stream, add_stream_rows(options, progress, rows));
    }
  }
  progress.clear();
  if (!options.trace.empty()) TRY(write_whole_file(options.trace, trace.json()));
  if (!note.empty()) object["note"] = note;
  if (stream) object["stream"] = json_of(stream->report);
  if (stream) object["copied_bytes"] = copies_json(stream->copies);
  object["model"] = options.stream.model;
  object["results"] = Json::array();
  for (const FlowRow& row : rows) object["results"].push_back(json_of(row));
  if (options.json.wanted()) TRY(write_json(options.json, object));
  if (options.json.to_stdout()) return 0;
  print_text(fmt::format("{}\n{}", described, table_of(rows)));
  if (stream) {
    print_text(
        fmt::format("{}copied    {}\n", text_of(stream->report), copies_text(stream->copies)));
  }
  if (!note.empty()) print_line(note);
  return 0;
}

}  // namespace

CommandRun add_bench_flow(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  add_device_option(command, o.device);
  command.add_option("--rounds", o.rounds, "Submits for each way of waiting (1000)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  CLI::Option* const model = command.add_option(
      "--model", o.stream.model, "An ONNX file, for the rows on replays and streams");
  command.add_option("--input", o.stream.input_folder, "A folder of pictures, for the stream")
      ->type_name("DIR")
      ->needs(model);
  command.add_option("--output", o.stream.output_folder, "Where the stream writes its results")
      ->type_name("DIR");
  command.add_option("--items", o.stream.items, "Items of the stream; pictures are taken in turn")
      ->type_name("N")
      ->check(CLI::Range(1, kItemsMax));
  command
      .add_option("--steps", o.steps, "Items done step by step (those of the stream, 200 at most)")
      ->type_name("N")
      ->check(CLI::Range(1, kItemsMax));
  command.add_option("--top", o.stream.top, "Writes the K best classes of each picture")
      ->type_name("K")
      ->check(CLI::Range(0, 1 << 20));
  command.add_option("--labels", o.stream.labels, "Names of the classes, one a line")
      ->type_name("FILE");
  command
      .add_option("--channels", o.stream.picture.channels, "Order of a picture's channels (rgb)")
      ->type_name("bgr|rgb")
      ->check(CLI::IsMember({"bgr", "rgb"}));
  command
      .add_option("--host-threads", o.stream.host_threads,
                  "Threads that decode and write; default: cores to spare")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--trace", o.trace,
                  "Writes the stream's trace, for Chrome's or Perfetto's viewer")
      ->type_name("FILE");
  command
      .add_option("--replays", o.replays,
                  "Only replays the model N times, between two marks: what the count of system "
                  "calls traces")
      ->type_name("N")
      ->check(CLI::Range(1, kItemsMax));
  add_json_flag(command, o.json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
