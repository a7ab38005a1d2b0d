// `leat bench tune`: how good the choices of parameters are. For each convolution all ways are
// measured; then the model's choice, what a search of limited time finds, and the best of all run
// in turns. Shares are of the best one's speed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/conv_case.h"
#include "cli/device_choice.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "leat/base/statistics.h"
#include "leat/model/onnx_import.h"
#include "leat/run/network.h"
#include "leat/run/tuning.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kDuelRounds = 15;

/// Look-ups of one key that a mean is taken of.
constexpr int kLookUps = 100'000;
constexpr int kPlans = 20;

struct Options {
  std::string model;
  std::string suite;
  uint32_t random = 0;
  uint32_t seed = 1;
  double gflop_max = 0;
  double milliseconds = 100;
  std::string device;
  JsonTarget json;
};

/// One way, and its samples in the duel.
struct Contestant {
  KernelParams params;
  std::vector<double> seconds;
  double best() const { return *std::ranges::min_element(seconds); }
};

struct TuneRow {
  ConvShape shape;
  size_t ways = 0;       // that were measured for the best
  size_t tried = 0;      // by the search
  double search_ms = 0;  // that it took
  double exhaustive_s = 0;
  Contestant model, tuned, best;

  double model_share() const { return best.best() / model.best(); }
  double tuned_share() const { return best.best() / tuned.best(); }
};

/// Nothing is kept, nothing is forbidden.
class NoLog : public TrialLog {
 public:
  bool may_try(const KernelParams&) override { return true; }
  void begin(const KernelParams&) override {}
  void end(const KernelParams&, const std::string&) override {}
};

/// Sizes as networks have them, odd ones among them.
std::vector<ConvShape> random_shapes(uint32_t count, uint32_t seed) {
  std::minstd_rand random(seed);
  const auto one_of = [&](const std::vector<int64_t>& values) {
    return values[random() % values.size()];
  };
  std::vector<ConvShape> shapes;
  for (uint32_t i = 0; i < count; ++i) {
    ConvShape shape;
    shape.name = fmt::format("random_{}", i);
    shape.n = one_of({1, 1, 1, 2, 8});
    shape.c = one_of({1, 3, 8, 16, 24, 32, 48, 64, 96, 100, 128, 192, 256, 384, 512});
    shape.k = one_of({8, 16, 24, 32, 48, 64, 96, 100, 128, 192, 256, 384, 512});
    shape.r = one_of({1, 1, 1, 3, 3, 3, 5, 7});
    shape.h = shape.w = std::max(shape.r, one_of({7, 10, 13, 14, 19, 28, 37, 56, 75, 112}));
    shape.stride = one_of({1, 1, 1, 2});
    shape.pad = random() % 2 == 0 ? shape.r / 2 : 0;
    shapes.push_back(shape);
  }
  return shapes;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Measures one node as soon as the plan asks how it shall be computed.
class RowMaker {
 public:
  RowMaker(Device& device, const Options& options, TuneRow& row)
      : device_(device), options_(options), row_(row), make_(trials_on(device, "")) {}

  Result<void> measure(const Graph& graph) {
    Chooser chooser(device_.target(), [&](const Schedule& schedule, const Node& node,
                                          const Target& target, Splitting splitting) {
      if (splitting == Splitting::allowed) done_ = measure(schedule, node);
      return choose_by_model(schedule, node, target, splitting);
    });
    ScheduleOptions plan;
    plan.chooser = &chooser;
    plan.external_channels_last = true;
    TRY(make_schedule(graph, device_.target(), plan));
    return done_;
  }

 private:
  Result<void> measure(const Schedule& schedule, const Node& node) {
    NoLog log;
    const auto find = [&](const SearchLimits& limits) {
      return search(schedule, node, device_.target(), Splitting::allowed, {}, make_, log, limits);
    };
    auto start = std::chrono::steady_clock::now();
    TRY_ASSIGN(const SearchResult tuned, find({.seconds = options_.milliseconds * 1e-3}));
    row_.search_ms = seconds_since(start) * 1e3;
    row_.tried = tuned.tried;
    start = std::chrono::steady_clock::now();
    TRY_ASSIGN(const SearchResult best, find({.exhaustive = true}));
    row_.exhaustive_s = seconds_since(start);
    row_.ways = best.tried;
    row_.model.params = choose_by_model(schedule, node, device_.target(), Splitting::allowed);
    row_.tuned.params = tuned.params;
    row_.best.params = best.params;
    return duel(schedule, node);
  }

  /// What is better in the duel is the best: a single measurement may have been lucky.
  Result<void> duel(const Schedule& schedule, const Node& node) {
    Contestant* const all[] = {&row_.model, &row_.tuned, &row_.best};
    std::vector<KernelParams> ways;
    for (const Contestant* one : all) ways.push_back(one->params);
    TRY_ASSIGN(const std::unique_ptr<TrialSet> trials, make_(schedule, node, ways));
    for (int round = 0; round < kDuelRounds; ++round) {
      for (size_t i = 0; i < ways.size(); ++i) {
        TRY_ASSIGN(const double seconds, trials->sample(i));
        all[i]->seconds.push_back(seconds);
      }
    }
    for (const Contestant* one : all) {
      if (one->best() < row_.best.best()) row_.best = *one;
    }
    return {};
  }

  Device& device_;
  const Options& options_;
  TuneRow& row_;
  MakeTrials make_;
  Result<void> done_;
};

Json json_of(const Contestant& one) {
  return {{"params", to_string(one.params)},
          {"best_us", one.best() * 1e6},
          {"samples", microseconds_json(one.seconds)}};
}

Json json_of(const TuneRow& row) {
  const ConvShape& s = row.shape;
  Json object;
  object["name"] = s.name;
  object["shape"] = {s.n, s.c, s.h, s.w, s.k, s.r, s.stride, s.pad};
  object["model_share"] = row.model_share();
  object["tuned_share"] = row.tuned_share();
  object["search_ms"] = row.search_ms;
  object["tried"] = row.tried;
  object["ways"] = row.ways;
  object["exhaustive_s"] = row.exhaustive_s;
  object["model"] = json_of(row.model);
  object["tuned"] = json_of(row.tuned);
  object["best"] = json_of(row.best);
  return object;
}

struct Shares {
  double median = 0;
  double lowest = 0;
};
Shares shares_of(const std::vector<TuneRow>& rows, double (TuneRow::*share)() const) {
  std::vector<double> all;
  for (const TuneRow& row : rows) all.push_back((row.*share)());
  return {median_of(all), all.empty() ? 0 : std::ranges::min(all)};
}

/// What choosing costs when everything is known: a plan of the whole model, and one look-up.
struct KnownCost {
  size_t kernels = 0;
  size_t known = 0;
  std::vector<double> plan_seconds;
  std::vector<double> model_plan_seconds;  // by the analytic model
  double look_up_seconds = 0;
};

Result<KnownCost> known_cost(Device& device, const Graph& graph, TuneStore& store) {
  KnownCost cost;
  std::vector<Digest> keys;
  for (int i = 0; i < kPlans; ++i) {
    TunerOptions tuning;
    tuning.on = tune_chip_of(device);
    tuning.store = &store;
    cost.kernels = cost.known = 0;
    tuning.on_choice = [&](const TunedKernel& kernel) {
      ++cost.kernels;
      cost.known += kernel.source == ChoiceSource::store ? 1 : 0;
    };
    Tuner tuner(std::move(tuning));
    Chooser chooser(device.target(), [&](const Schedule& schedule, const Node& node,
                                         const Target& target, Splitting splitting) {
      if (i == 0) keys.push_back(tune_identity(schedule, node, splitting));
      return tuner.choose(schedule, node, target, splitting);
    });
    ScheduleOptions plan;
    plan.chooser = &chooser;
    auto start = std::chrono::steady_clock::now();
    TRY(make_schedule(graph, device.target(), plan));
    cost.plan_seconds.push_back(seconds_since(start));
    start = std::chrono::steady_clock::now();
    TRY(make_schedule(graph, device.target(), {}));
    cost.model_plan_seconds.push_back(seconds_since(start));
    if (i + 1 < kPlans) continue;
    start = std::chrono::steady_clock::now();
    size_t found = 0;
    for (int l = 0; l < kLookUps; ++l) {
      found += tuner.find(keys[static_cast<size_t>(l) % keys.size()]) != nullptr ? 1 : 0;
    }
    cost.look_up_seconds = seconds_since(start) / kLookUps;
    CHECK(found == 0 || cost.known > 0);
  }
  return cost;
}

Result<int> run_known(const Options& options) {
  TRY(check_files(options.json, {}, std::span(&options.model, 1)));
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(options.device));
  TRY_ASSIGN(const Model model, import_onnx(options.model));
  TRY_ASSIGN(TuneStore store, TuneStore::open(kernel_cache_folder()));
  TRY_ASSIGN(const KnownCost cost, known_cost(*device, model.graph, store));
  if (options.json.wanted()) {
    Json object;
    add_bench_facts(object, *device);
    object["model"] = model.name;
    object["kernels"] = cost.kernels;
    object["known"] = cost.known;
    object["look_up_ns"] = cost.look_up_seconds * 1e9;
    object["plan_samples_us"] = microseconds_json(cost.plan_seconds);
    object["model_plan_samples_us"] = microseconds_json(cost.model_plan_seconds);
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  print_line(fmt::format(
      "{} of {} kernels are known; planning takes {} ms, by the model alone {} ms; a look-up {} us",
      cost.known, cost.kernels, number_text(median_of(cost.plan_seconds) * 1e3),
      number_text(median_of(cost.model_plan_seconds) * 1e3),
      number_text(cost.look_up_seconds * 1e6)));
  return 0;
}

Result<int> run(const Options& options) {
  if (!options.model.empty()) return run_known(options);
  TRY(check_files(options.json, {}, std::span(&options.suite, 1)));
  std::vector<ConvShape> shapes = random_shapes(options.random, options.seed);
  if (!options.suite.empty()) {
    TRY_ASSIGN(const std::vector<ConvShape> suite, read_conv_suite(options.suite));
    shapes.insert(shapes.begin(), suite.begin(), suite.end());
  }
  if (options.gflop_max > 0) {
    std::erase_if(shapes, [&](const ConvShape& s) { return s.flop() > options.gflop_max * 1e9; });
  }
  if (shapes.empty()) {
    return Error(ErrorKind::invalid_argument, "There is nothing to measure: --suite or --random.");
  }
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_by_spec(options.device));
  Progress progress(options.json.to_stdout());
  std::vector<TuneRow> rows;
  for (const ConvShape& shape : shapes) {
    progress.show(fmt::format("{}, {} of {}", shape.name, rows.size() + 1, shapes.size()));
    TuneRow row;
    row.shape = shape;
    TRY_ASSIGN(const Graph graph, make_conv_graph(shape, make_conv_data(shape, DType::f32)));
    TRY(RowMaker(*device, options, row).measure(graph));
    rows.push_back(std::move(row));
  }
  progress.clear();
  const Shares model = shares_of(rows, &TuneRow::model_share);
  const Shares tuned = shares_of(rows, &TuneRow::tuned_share);
  if (options.json.wanted()) {
    Json object;
    add_bench_facts(object, *device);
    object["seed"] = options.seed;
    object["search_limit_ms"] = options.milliseconds;
    object["model_share"] = {{"median", model.median}, {"lowest", model.lowest}};
    object["tuned_share"] = {{"median", tuned.median}, {"lowest", tuned.lowest}};
    object["results"] = Json::array();
    for (const TuneRow& row : rows) object["results"].push_back(json_of(row));
    TRY(write_json(options.json, object));
  }
  if (options.json.to_stdout()) return 0;
  Table table({"name", "best us", "model", "tuned", "search ms", "tried", "ways", "best"});
  for (const TuneRow& row : rows) {
    table.add({row.shape.name, number_text(row.best.best() * 1e6),
               fmt::format("{:.2f}", row.model_share()), fmt::format("{:.2f}", row.tuned_share()),
               number_text(row.search_ms), std::to_string(row.tried), std::to_string(row.ways),
               to_string(row.best.params)});
  }
  print_text(table.text());
  print_line(
      fmt::format("share of the best: model median {:.3f}, lowest {:.3f}; tuned median "
                  "{:.3f}, lowest {:.3f}",
                  model.median, model.lowest, tuned.median, tuned.lowest));
  return 0;
}

}  // namespace

CommandRun add_bench_tune(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  command
      .add_option("--model", o.model, "Instead: what planning this model costs once it is tuned")
      ->type_name("FILE.onnx");
  command.add_option("--suite", o.suite, "A file of convolutions: name,N,C,H,W,K,R,STRIDE,PAD")
      ->type_name("FILE.csv");
  command.add_option("--random", o.random, "So many drawn at random")->type_name("COUNT");
  command.add_option("--seed", o.seed, "Of what is drawn (1)")->type_name("N");
  command.add_option("--gflop-max", o.gflop_max, "Larger ones are left out")->type_name("GFLOP");
  command.add_option("--time", o.milliseconds, "Milliseconds of a search (100)")
      ->type_name("MS")
      ->check(CLI::Range(0.0, 3'600'000.0));
  add_device_option(command, o.device);
  add_json_flag(command, o.json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
