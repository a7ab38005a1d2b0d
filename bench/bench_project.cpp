// `leat bench project`: convolutions for a card that is not here, from their code alone: registers,
// occupancy, the mix of instructions, and the range in which the speed would lie. Nothing is
// measured, and every line of it says so.
//
// Sources. Radeon RX 7900 XT: AMD's product page and ROCm's docs/reference/gpu-arch-specs.rst (84
// compute units of two SIMDs, 2,394 MHz boost, 800 GB/s); 24 registers are allocated at a time of
// 1,536 a lane, 16 waves a SIMD: LLVM's AMDGPU back end, resource remarks for gfx1100; 128 bytes a
// clock of a compute unit's local memory: AMD's RDNA whitepaper. What kernels written by hand reach
// of such a bound on a chip of this kind, 0.42 (double buffering) to 0.80 (its best): seb-v,
// "Optimizing Matrix Multiplication on RDNA3". What of the memory's speed programs see: clpeak, 616
// to 718 GB/s.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/amd_assembly.h"
#include "bench/bench_commands.h"
#include "bench/bench_facts.h"
#include "bench/conv_case.h"
#include "cli/report.h"
#include "leat/backend/backends.h"
#include "leat/base/numbers.h"
#include "leat/run/inspect.h"
#include "leat/run/network.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr char kNotMeasured[] = "projected, not measured";
constexpr double kEpicGflops = 10'000;
constexpr double kShareLow = 0.42, kShareHigh = 0.80;

struct Card {
  const char* target;
  const char* name;
  double compute_units, clock_ghz, memory_gb, memory_seen_gb;
  uint32_t registers, register_unit;  // of a lane of a SIMD

  double simds() const { return 2 * compute_units; }
  double lane_gops() const { return simds() * 32 * clock_ghz; }
  double peak_gflops() const { return 2 * 2 * lane_gops(); }  // two multiply-adds an instruction
};
constexpr Card kCards[] = {{"gfx1100", "Radeon RX 7900 XT", 84, 2.394, 800, 616, 1536, 24}};
constexpr uint32_t kWavesPerSimdMax = 16, kLocalBytesPerUnit = 65536, kLocalBytesPerClock = 128;

struct Options {
  std::string target = "gfx1100";
  std::vector<std::string> shapes;
  std::string suite;
  JsonTarget json;
};

/// One shape; of its kernels the one with the most multiply-adds.
struct Row {
  ConvShape shape;
  std::string params;
  AmdAssembly assembly;
  RecordedKernel launch;
  size_t launches = 0;
  uint32_t waves_per_simd = 0;
  double bytes = 0;
  double tile_share = 1;     // of what the tiles compute, how much is asked for
  double balance = 1;        // of the compute units, how many have work on the average
  double issue_gflops = 0;   // if every clock issued an instruction of the loop
  double local_gflops = 0;   // if local memory were read every clock
  double memory_gflops = 0;  // every tensor once
  double low_gflops = 0, high_gflops = 0;

  double bound_gflops() const {
    return std::min(std::min(issue_gflops, local_gflops) * tile_share * balance, memory_gflops);
  }
  const char* bound_by() const {
    if (bound_gflops() == memory_gflops) return "memory";
    return issue_gflops <= local_gflops ? "issue" : "local memory";
  }
};

uint32_t waves_per_simd(const Card& card, const Row& row) {
  const uint32_t registers = round_up(std::max(row.assembly.vgprs, 1u), card.register_unit);
  const uint32_t by_registers = std::min(kWavesPerSimdMax, card.registers / registers);
  const uint32_t waves = row.launch.lanes[0] / 32;
  uint32_t groups = 2 * by_registers / waves;
  if (row.launch.local_bytes > 0) {
    groups = std::min(groups, kLocalBytesPerUnit / row.launch.local_bytes);
  }
  return groups * waves / 2;
}

void add_bounds(const Card& card, const ContractionParams* params, double k, Row& row) {
  const AmdLoop& loop = row.assembly.loop;
  const ConvShape& s = row.shape;
  row.waves_per_simd = waves_per_simd(card, row);
  const double values = static_cast<double>(
      element_count(s.x_shape()) + element_count(s.w_shape()) + element_count(s.y_shape()));
  row.bytes = 4 * values;
  const double groups =
      static_cast<double>(row.launch.groups[0]) * row.launch.groups[1] * row.launch.groups[2];
  row.balance = groups / (card.compute_units * std::ceil(groups / card.compute_units));
  if (params != nullptr) {
    const double computed =
        groups * static_cast<double>(params->tile_m()) * params->tile_n() * k * 2;
    row.tile_share = std::min(1.0, s.flop() / computed);
  }
  const double slots = std::max(loop.vector, 1u);
  row.issue_gflops = 2 * loop.multiply_adds / slots * card.lane_gops();
  const double local_clocks = 2.0 * 32 * loop.local_bytes_per_lane / kLocalBytesPerClock;
  row.local_gflops =
      local_clocks == 0 ? HUGE_VAL : 2 * loop.multiply_adds / local_clocks * card.lane_gops();
  row.memory_gflops = s.flop() / row.bytes * card.memory_gb;
  const double compute =
      std::min(row.issue_gflops, row.local_gflops) * row.tile_share * row.balance;
  row.low_gflops = std::min(kShareLow * compute, s.flop() / row.bytes * card.memory_seen_gb);
  row.high_gflops = std::min(kShareHigh * compute, row.memory_gflops);
}

/// The text of the step's kernel, among those of all kernels.
std::string_view text_of(std::string_view all, std::string_view node) {
  const size_t begin = all.find(fmt::format("# node {}\n", node));
  if (begin == std::string_view::npos) return "";
  return all.substr(begin, all.find("\n# node ", begin + 1) - begin);
}

/// Errors: internal: no convolution of ours may want more registers than there are.
Result<void> check_spills(const std::string& node, const AmdAssembly& read) {
  if (read.vgpr_spills + read.sgpr_spills + read.scratch_bytes == 0) return {};
  return Error(ErrorKind::internal,
               fmt::format("Kernel of node \"{}\" spills ({}) vector and ({}) scalar registers and "
                           "has ({}) bytes of scratch.",
                           node, read.vgpr_spills, read.sgpr_spills, read.scratch_bytes));
}

Result<Row> project(Recorder& recorder, const Card& card, const ConvShape& shape) {
  Row row;
  row.shape = shape;
  TRY_ASSIGN(const Graph graph, make_conv_graph(shape, make_conv_data(shape, DType::f32)));
  NetworkOptions options;
  options.schedule.external_channels_last = true;
  options.external_memory = MemoryKind::device;
  TRY_ASSIGN(const std::unique_ptr<Network> network,
             Network::load(recorder.device(), graph, options));
  TRY_ASSIGN(const std::string text, inspect_graph(graph, recorder.device().target(), "code", ""));
  const Schedule& schedule = network->schedule();
  const std::vector<Network::PlannedLaunch> launches = network->launches();
  row.launches = launches.size();
  const ContractionParams* params = nullptr;
  double k = 0;  // of one part, where the sum is split
  for (size_t i = 0; i < launches.size(); ++i) {
    const Step& step = schedule.steps[i];
    const AmdAssembly read = read_amd_assembly(text_of(text, schedule.graph.nodes[step.node].name));
    TRY(check_spills(schedule.graph.nodes[step.node].name, read));
    if (i > 0 && read.loop.multiply_adds <= row.assembly.loop.multiply_adds) continue;
    row.assembly = read;
    row.launch = recorder.facts_of(*launches[i].kernel);
    row.params = to_string(step.params);
    params = std::get_if<ContractionParams>(&step.params);
    k = static_cast<double>(element_count(schedule.graph.nodes[step.node].reduce));
  }
  add_bounds(card, params, k, row);
  return row;
}

std::string text_of(const Card& card, const std::vector<Row>& rows) {
  Table table({"name", "VGPRs", "SGPRs", "LDS", "waves/SIMD", "dual", "FMA/issue", "LDS B/FMA",
               "tiles", "balance", "MB", "GFLOPS", "bound by", "of 10,000"});
  for (const Row& row : rows) {
    const AmdLoop& loop = row.assembly.loop;
    const double adds = std::max(loop.multiply_adds, 1u);
    table.add({row.shape.name, std::to_string(row.assembly.vgprs),
               std::to_string(row.assembly.sgprs), std::to_string(row.launch.local_bytes),
               std::to_string(row.waves_per_simd), fmt::format("{:.0f} %", 100 * loop.dual_share()),
               fmt::format("{:.2f}", adds / std::max(loop.vector, 1u)),
               fmt::format("{:.2f}", loop.local_bytes_per_lane / adds),
               fmt::format("{:.0f} %", 100 * row.tile_share),
               fmt::format("{:.0f} %", 100 * row.balance), fmt::format("{:.1f}", row.bytes / 1e6),
               fmt::format("{:.0f} to {:.0f}", row.low_gflops, row.high_gflops), row.bound_by(),
               fmt::format("{:.2f} to {:.2f}", row.low_gflops / kEpicGflops,
                           row.high_gflops / kEpicGflops)});
  }
  return fmt::format(
      "{} ({}), {}: {:.0f} GFLOPS at two multiply-adds an instruction, {:.0f} GB/s\n{}"
      "The range is {:.2f} to {:.2f} of what the inner loop allows, or the memory; what a launch "
      "takes to begin is not in it.\n",
      card.name, card.target, kNotMeasured, card.peak_gflops(), card.memory_gb, table.text(),
      kShareLow, kShareHigh);
}

Json json_of(const Row& row) {
  const ConvShape& s = row.shape;
  const AmdLoop& loop = row.assembly.loop;
  return {{"name", s.name},
          {"shape", {s.n, s.c, s.h, s.w, s.k, s.r, s.stride, s.pad}},
          {"dtype", "f32"},
          {"what", kNotMeasured},
          {"params", row.params},
          {"launches", row.launches},
          {"groups", row.launch.groups},
          {"lanes", row.launch.lanes[0]},
          {"vgprs", row.assembly.vgprs},
          {"sgprs", row.assembly.sgprs},
          {"local_bytes", row.launch.local_bytes},
          {"spills", row.assembly.vgpr_spills + row.assembly.sgpr_spills},
          {"waves_per_simd", row.waves_per_simd},
          {"loop",
           {{"multiply_adds", loop.multiply_adds},
            {"dual_multiply_adds", loop.dual_multiply_adds},
            {"dual_percent", std::round(100 * loop.dual_share())},
            {"vector", loop.vector},
            {"local", loop.local},
            {"local_bytes_per_lane", loop.local_bytes_per_lane},
            {"global", loop.global},
            {"scalar", loop.scalar},
            {"waits", loop.waits},
            {"is_whole_kernel", loop.is_whole_kernel}}},
          {"bytes", row.bytes},
          {"flop", s.flop()},
          {"tile_share", row.tile_share},
          {"balance", row.balance},
          {"issue_gflops", row.issue_gflops},
          {"local_gflops", std::isfinite(row.local_gflops) ? Json(row.local_gflops) : Json()},
          {"memory_gflops", row.memory_gflops},
          {"bound_gflops", row.bound_gflops()},
          {"bound_by", row.bound_by()},
          {"low_gflops", row.low_gflops},
          {"high_gflops", row.high_gflops},
          {"low_of_10000", row.low_gflops / kEpicGflops},
          {"high_of_10000", row.high_gflops / kEpicGflops}};
}

Result<std::vector<ConvShape>> shapes_of(const Options& options) {
  std::vector<ConvShape> shapes;
  for (const std::string& text : options.shapes) {
    TRY_ASSIGN(ConvShape shape, parse_conv_shape(text, text));
    shapes.push_back(std::move(shape));
  }
  if (!options.suite.empty()) {
    TRY_ASSIGN(const std::vector<ConvShape> suite, read_conv_suite(options.suite));
    shapes.insert(shapes.end(), suite.begin(), suite.end());
  }
  if (!shapes.empty()) return shapes;
  return Error(ErrorKind::invalid_argument, "There is nothing to project: --shape or --suite.");
}

Result<int> run(const Options& options) {
  const auto* card = std::ranges::find(kCards, options.target, &Card::target);
  TRY(check_files(options.json, {}, std::span(&options.suite, 1)));
  TRY_ASSIGN(const std::vector<ConvShape> shapes, shapes_of(options));
  TRY_ASSIGN(const std::unique_ptr<Recorder> recorder, open_recorder(options.target));
  std::vector<Row> rows;
  for (const ConvShape& shape : shapes) {
    Result<Row> row = project(*recorder, *card, shape);
    if (!row) return row.error().during("projecting " + shape.name);
    rows.push_back(std::move(*row));
  }
  if (!options.json.to_stdout()) print_text(text_of(*card, rows));
  if (!options.json.wanted()) return 0;
  Json object;
  add_bench_facts(object, recorder->device());
  object["device"] = card->name;
  object["driver"] = "none";
  object["what"] = kNotMeasured;
  object["peak_gflops"] = card->peak_gflops();
  object["memory_gb_per_s"] = card->memory_gb;
  object["results"] = Json::array();
  for (const Row& row : rows) object["results"].push_back(json_of(row));
  TRY(write_json(options.json, object));
  return 0;
}

}  // namespace

CommandRun add_bench_project(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  std::vector<std::string> targets;
  for (const Card& card : kCards) targets.emplace_back(card.target);
  command.add_option("--target", o.target, "The chip (gfx1100: a Radeon RX 7900 XT)")
      ->type_name("NAME")
      ->check(CLI::IsMember(targets));
  command.add_option("--shape", o.shapes, "A convolution; may be given again")
      ->type_name("N,C,H,W,K,R,STRIDE,PAD")
      ->expected(1)
      ->take_all();
  command.add_option("--suite", o.suite, "A file of them, one a line: name,N,C,H,W,K,R,STRIDE,PAD")
      ->type_name("FILE.csv");
  add_json_flag(command, o.json);
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
