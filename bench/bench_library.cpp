// `leat bench library`: what a call of the C library costs over the same run by C++: a model of one
// small kernel, where the call weighs most. All ways take turns in one process, each round in
// another order, so that what the machine does meanwhile falls on all alike.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bindings/c/leat.h"
#include "cli/device_choice.h"
#include "cli/report.h"
#include "leat/base/statistics.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kElements = 64;
constexpr uint32_t kWarmUpRounds = 200;  // of each turn
constexpr uint32_t kTurnRounds = 1000;
constexpr size_t kSamplesKept = 1000;
constexpr uint64_t kTimeoutNs = 60'000'000'000;

struct Options {
  std::string device = "cpu";
  uint32_t rounds = 20'000;
  JsonTarget json;
};

/// A way to run the model once; the first is what the others are compared with.
struct Way {
  std::string name;
  std::string text;
  std::function<Result<void>()> once;
  std::vector<double> seconds = {};
};

Result<void> ok(leat_status status) {
  if (status == LEAT_OK) return {};
  return Error(ErrorKind::internal, leat_message());
}

/// y = x + x.
std::string model_bytes() {
  OnnxBuilder builder;
  builder.input("x", {kElements});
  builder.node("Add", {"x", "x"}, {"y"});
  builder.output("y");
  return builder.bytes();
}

struct CloseModel {
  void operator()(leat_model* model) const { leat_model_close(model); }
};
using CModel = std::unique_ptr<leat_model, CloseModel>;

Result<CModel> load_in_c(const std::string& bytes, const std::string& device) {
  leat_load_options options{};
  options.struct_bytes = sizeof options;
  options.device = device.c_str();
  leat_model* model = nullptr;
  TRY(ok(leat_model_load_memory(nullptr, bytes.data(), bytes.size(), "sum", &options, &model)));
  return CModel(model);
}

/// Of the caller's own arrays.
struct Arrays {
  std::vector<float> x = std::vector<float>(kElements, 1.0f);
  std::vector<float> y = std::vector<float>(kElements);

  leat_tensor tensor(std::vector<float>& values) const {
    leat_tensor tensor{};
    tensor.data = values.data();
    tensor.size_bytes = values.size() * sizeof(float);
    tensor.type = LEAT_F32;
    tensor.rank = 1;
    tensor.shape[0] = kElements;
    return tensor;
  }
};

std::vector<Way> ways_of(LoadedModel& model, leat_model* c_model, Arrays& arrays) {
  std::vector<Way> ways;
  ways.push_back({"replay", "C++: start and wait", [&model]() -> Result<void> {
                    TRY_ASSIGN(const StartedRun run, model.start());
                    TRY(run.wait(kTimeoutNs));
                    return {};
                  }});
  ways.push_back({"c_in_place", "C: leat_model_run_in_place",
                  [c_model] { return ok(leat_model_run_in_place(c_model, 0)); }});
  ways.push_back({"c_fence", "C: leat_model_start, leat_fence_wait", [c_model]() -> Result<void> {
                    leat_fence fence{};
                    TRY(ok(leat_model_start(c_model, 0, &fence)));
                    return ok(leat_fence_wait(&fence, kTimeoutNs));
                  }});
  ways.push_back({"c_arrays", "C: leat_run, arrays copied in and out", [c_model, &arrays] {
                    const leat_tensor x = arrays.tensor(arrays.x);
                    leat_tensor y = arrays.tensor(arrays.y);
                    return ok(leat_run(c_model, &x, 1, &y, 1));
                  }});
  return ways;
}

/// In turns of many rounds: C++ and C have a device each, whose threads sleep while the other is
/// used, and waking them is no call's cost.
Result<void> measure(std::vector<Way>& ways, uint32_t rounds) {
  for (uint32_t done = 0; done < rounds; done += kTurnRounds) {
    for (Way& way : ways) {
      for (uint32_t round = 0; round < kWarmUpRounds + kTurnRounds; ++round) {
        const auto begin = std::chrono::steady_clock::now();
        TRY(way.once());
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
        if (round >= kWarmUpRounds) way.seconds.push_back(passed.count());
      }
    }
  }
  return {};
}

double over_replay_us(const std::vector<Way>& ways, const Way& way) {
  return (median_of(way.seconds) - median_of(ways[0].seconds)) * 1e6;
}

Json json_of(const std::vector<Way>& ways) {
  Json rows = Json::array();
  for (const Way& way : ways) {
    const size_t stride = (way.seconds.size() + kSamplesKept - 1) / kSamplesKept;
    std::vector<double> kept;
    for (size_t i = 0; i < way.seconds.size(); i += stride) kept.push_back(way.seconds[i]);
    rows.push_back({{"name", way.name},
                    {"what", way.text},
                    {"median_us", median_of(way.seconds) * 1e6},
                    {"p99_us", p99_of(way.seconds) * 1e6},
                    {"over_replay_us", over_replay_us(ways, way)},
                    {"rounds", way.seconds.size()},
                    {"samples_every", stride},
                    {"samples", microseconds_json(kept)}});
  }
  return rows;
}

Result<int> run(const Options& options) {
  TRY(check_files(options.json));
  const std::string bytes = model_bytes();
  TRY_ASSIGN(Model model, import_onnx_bytes(bytes, "sum"));
  Session session(session_options(kernel_cache_folder()));
  TRY_ASSIGN(const auto loaded, session.load(std::move(model), {.device = options.device}));
  TRY_ASSIGN(const CModel c_model, load_in_c(bytes, options.device));
  Arrays arrays;
  std::vector<Way> ways = ways_of(*loaded, c_model.get(), arrays);
  TRY(measure(ways, options.rounds));
  if (arrays.y != std::vector<float>(kElements, 2.0f)) {
    return Error(ErrorKind::internal, "The sum is wrong.");
  }
  if (options.json.wanted()) {
    Json object;
    add_bench_facts(object, loaded->device());
    object["results"] = json_of(ways);
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  Table table({"what", "median us", "p99 us", "over the replay, us"});
  for (const Way& way : ways) {
    table.add({way.text, number_text(median_of(way.seconds) * 1e6),
               number_text(p99_of(way.seconds) * 1e6),
               fmt::format("{:.3f}", over_replay_us(ways, way))});
  }
  print_text(table.text());
  return 0;
}

}  // namespace

CommandRun add_bench_library(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  add_device_option(command, options->device);
  command.add_option("--rounds", options->rounds, "Samples of each way to call (20000)")
      ->type_name("N")
      ->check(CLI::Range(1, 10'000'000));
  add_json_flag(command, options->json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
