// `leat bench conv2d`: convolutions as they run inside a network, against the device's measured
// peak, the reference and, on the CPU, a peer. bench/README.md says how the numbers come about.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/conv_row.h"
#include "bench/peers.h"
#include "bench/samples.h"
#include "cli/device_choice.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "leat/run/peak.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

// What a peak measured as the best of several samples may be exceeded by before it is disbelieved.
constexpr double kPeakNoise = 0.01;
constexpr int kPeakAttempts = 3;

const std::map<std::string, DType> kDTypes = {
    {"f32", DType::f32}, {"f16", DType::f16}, {"bf16", DType::bf16}, {"i8", DType::i8}};

struct Options {
  bool products = false;
  std::vector<std::string> shapes;
  std::string suite;
  std::string dtype = "f32";
  std::string device;
  std::string params;
  bool no_cache = false;
  ConvRowOptions row;
  JsonTarget json;
};

struct Bench {
  std::unique_ptr<Device> device;
  std::unique_ptr<Device> cpu;  // null when device is the cpu, and in builds without one
  double peak_gflops = 0;
  std::vector<ConvRow> rows;
};

Result<std::vector<ConvShape>> shapes_of(const Options& options) {
  std::vector<ConvShape> shapes;
  if (options.products && options.row.dtype == DType::i8) {
    return Error(ErrorKind::unsupported,
                 "Option --dtype i8 is of conv2d alone: both factors of a product are inputs, and "
                 "bytes are multiplied where one is constant.");
  }
  for (const std::string& text : options.shapes) {
    TRY_ASSIGN(ConvShape shape,
               options.products ? parse_product_shape(text) : parse_conv_shape(text, ""));
    shapes.push_back(std::move(shape));
  }
  if (!options.suite.empty()) {
    TRY_ASSIGN(const std::vector<ConvShape> suite, read_conv_suite(options.suite));
    shapes.insert(shapes.end(), suite.begin(), suite.end());
  }
  return shapes;
}

Result<Bench> open(const Options& options) {
  Bench bench;
  TRY_ASSIGN(bench.device, open_by_spec(options.device));
  if (!options.row.peer.empty()) TRY(check_peer(options.row.peer, *bench.device));
  if (bench.device->target().is_cpu) return bench;
  Result<std::unique_ptr<Device>> cpu = open_by_spec("cpu");
  if (cpu) {
    bench.cpu = std::move(*cpu);
  } else if (cpu.error().kind() != ErrorKind::unsupported) {
    return cpu.error();
  }
  return bench;
}

/// No row may be faster than the peak: where one is, the peak is measured again, and a row that is
/// still faster is not believed.
Result<void> hold_against_peak(Bench& bench, ConvRow& row) {
  for (int i = 0; i < kPeakAttempts && row.gflops() > bench.peak_gflops; ++i) {
    TRY_ASSIGN(const double peak, measure_peak_gflops(*bench.device, row.dtype));
    bench.peak_gflops = std::max(bench.peak_gflops, peak);
  }
  if (row.gflops() > bench.peak_gflops * (1 + kPeakNoise) && row.failure.empty()) {
    row.failure = fmt::format("The speed ({}) is above the measured peak ({} GFLOPS).",
                              number_text(row.gflops()), number_text(bench.peak_gflops));
  }
  return {};
}

Result<void> measure_rows(Bench& bench, const std::vector<ConvShape>& shapes,
                          const Options& options) {
  Progress progress;
  progress.show("measuring the peak of " + bench.device->info().name);
  TRY_ASSIGN(bench.peak_gflops, measure_peak_gflops(*bench.device, options.row.dtype));
  for (const ConvShape& shape : shapes) {
    Result<ConvRow> measured =
        measure_conv(*bench.device, bench.cpu.get(), shape, options.row, progress);
    if (measured) {
      TRY(hold_against_peak(bench, *measured));
      bench.rows.push_back(std::move(*measured));
    } else if (measured.error().kind() == ErrorKind::device_lost) {
      return measured.error().during("measuring " + shape.name);
    } else {
      ConvRow row;
      row.shape = shape;
      row.dtype = options.row.dtype;
      row.failure = measured.error().message();
      bench.rows.push_back(std::move(row));
    }
  }
  for (ConvRow& row : bench.rows) row.peak_gflops = bench.peak_gflops;
  return {};
}

std::string clock_text(const ConvRow& row) {
  if (!row.clock_mhz_before || !row.clock_mhz_after) return "-";
  return fmt::format("{:.0f}/{:.0f}", *row.clock_mhz_before, *row.clock_mhz_after);
}

std::vector<std::string> cells_of(const ConvRow& row, bool has_peer, bool has_clock) {
  const ConvShape& s = row.shape;
  std::vector<std::string> cells = {
      s.name,
      s.is_product
          ? fmt::format("{} rows, {} columns, {} deep", s.h, s.k, s.c)
          : fmt::format("{}x{}x{}x{} to {}, {}x{}/{}", s.n, s.c, s.h, s.w, s.k, s.r, s.r, s.stride),
      number_text(row.median_us()),
      number_text(row.p99_us()),
      number_text(row.gflops()),
      fmt::format("{:.1f} %", row.peak_share() * 100),
      fmt::format("{:.1e}", row.max_error)};
  if (has_peer) {
    cells.push_back(number_text(row.peer_median_us()));
    cells.push_back(number_text(row.peer_gflops()));
    cells.push_back(number_text(row.ratio()));
  }
  if (has_clock) cells.push_back(clock_text(row));
  return cells;
}

std::vector<double> ratios_of(const Bench& bench) {
  std::vector<double> ratios;
  for (const ConvRow& row : bench.rows) {
    if (row.failure.empty() && row.ratio() > 0) ratios.push_back(row.ratio());
  }
  return ratios;
}

/// "bf16 held as f32"; of i8 the input is u8.
std::string dtype_text(const Bench& bench, const Options& options) {
  const DType wanted = options.row.dtype == DType::i8 ? DType::u8 : options.row.dtype;
  const bool is_held_otherwise = !bench.rows.empty() && bench.rows[0].storage != wanted;
  return options.dtype +
         (is_held_otherwise ? fmt::format(" held as {}", name_of(bench.rows[0].storage)) : "");
}

std::string text_of(Bench& bench, const Options& options) {
  const bool has_peer = !options.row.peer.empty();
  const bool has_clock = std::ranges::any_of(
      bench.rows, [](const ConvRow& row) { return row.clock_mhz_before.has_value(); });
  std::vector<std::string> head = {
      "name", "input to channels, filter/stride", "us", "p99 us", "GFLOPS", "of peak", "error"};
  if (has_peer) head.insert(head.end(), {"peer us", "peer GFLOPS", "ratio"});
  if (has_clock) head.emplace_back("MHz before/after");
  Table table(head);
  std::string failures;
  for (const ConvRow& row : bench.rows) {
    table.add(cells_of(row, has_peer, has_clock));
    if (!row.failure.empty()) {
      failures += fmt::format("failed: {}: {}\n", row.shape.name, row.failure);
    }
  }
  std::string text = fmt::format("{}, {}, measured peak {} GFLOPS\n{}{}",
                                 describe(bench.device->info()), dtype_text(bench, options),
                                 number_text(bench.peak_gflops), table.text(), failures);
  const std::vector<double> ratios = ratios_of(bench);
  if (!ratios.empty()) {
    text += fmt::format("geometric mean of {} ratios to {}: {}, lowest {}\n", ratios.size(),
                        peer_version(options.row.peer), number_text(geometric_mean_of(ratios)),
                        number_text(std::ranges::min(ratios)));
  }
  return text;
}

Json json_of(Bench& bench) {
  Json object;
  add_bench_facts(object, *bench.device);
  object["peak_gflops"] = bench.peak_gflops;
  const std::vector<double> ratios = ratios_of(bench);
  if (!ratios.empty()) object["ratio_geometric_mean"] = geometric_mean_of(ratios);
  object["results"] = Json::array();
  for (const ConvRow& row : bench.rows) object["results"].push_back(json_of(row));
  return object;
}

Result<int> run(Options& options) {
  TRY(check_files(options.json, {}, std::span(&options.suite, 1)));
  TRY_ASSIGN(const std::vector<ConvShape> shapes, shapes_of(options));
  if (shapes.empty()) {
    return Error(ErrorKind::invalid_argument,
                 "There is nothing to measure: --shape or, of convolutions, --suite.");
  }
  options.row.dtype = kDTypes.at(options.dtype);
  if (!options.params.empty()) {
    TRY_ASSIGN(options.row.params, parse_contraction_params(options.params));
  }
  options.row.cache_folder = kernel_cache_folder(options.no_cache);
  TRY_ASSIGN(Bench bench, open(options));
  TRY(measure_rows(bench, shapes, options));
  keep_peak_gflops(*bench.device, options.row.cache_folder, bench.peak_gflops, options.row.dtype);
  if (options.json.wanted()) TRY(write_json(options.json, json_of(bench)));
  if (!options.json.to_stdout()) print_text(text_of(bench, options));
  const bool has_failed =
      std::ranges::any_of(bench.rows, [](const ConvRow& row) { return !row.failure.empty(); });
  return has_failed ? 1 : 0;
}

}  // namespace

namespace {

void add_shape_option(CLI::App& command, Options& o, const char* text, const char* type) {
  command.add_option("--shape", o.shapes, text)->type_name(type)->expected(1)->take_all();
}

void add_common_options(CLI::App& command, Options& o, const char* peers_text) {
  command
      .add_option("--dtype", o.dtype,
                  "What values are rounded to (f32); sums are f32. A device without such storage "
                  "holds them as f32, and the result says so. Of i8, inputs are u8 and sums i32")
      ->type_name("f32|f16|bf16|i8")
      ->check(CLI::IsMember(kDTypes));
  add_device_option(command, o.device);
  if (const std::vector<std::string> peers = peer_names(); !peers.empty()) {
    command.add_option("--peer", o.row.peer, "A library measured in turns with ours, on one chip")
        ->type_name(peers_text)
        ->check(CLI::IsMember(peers));
  }
  command.add_option("--min-time", o.row.min_seconds, "Seconds of samples for each row (0.4)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 600.0))
      ->check([](const std::string& text) {  // NaN is in every range
        return text.find_first_of("nN") == std::string::npos ? "" : "is not a number";
      });
  command
      .add_option("--params", o.params,
                  "Kernel parameters, as `leat dump` prints them, in place of the model's choice; "
                  "where they are not legal, that")
      ->type_name("TEXT");
  command.add_flag("--no-cache", o.no_cache, "Neither reads nor writes compiled kernels");
  add_json_flag(command, o.json);
}

}  // namespace

CommandRun add_bench_conv2d(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  add_shape_option(command, *options, "A convolution to measure; may be given again",
                   "N,C,H,W,K,R,STRIDE,PAD");
  command
      .add_option("--suite", options->suite,
                  "A file of them, one a line: name,N,C,H,W,K,R,STRIDE,PAD")
      ->type_name("FILE.csv");
  add_common_options(command, *options, "onednn|cudnn");
  return [options](const ProcessStart&) { return run(*options); };
}

CommandRun add_bench_matmul(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  options->products = true;
  add_shape_option(command, *options,
                   "A product of two matrices that are given, (M, K) and (N, K) turned; again for "
                   "more",
                   "M,N,K");
  add_common_options(command, *options, "onednn|cudnn|cublas");
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
