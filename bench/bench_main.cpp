// The program `leat-bench`: the table of benchmarks. `leat bench conv2d` runs it as
// `leat-bench conv2d`.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "bench/bench_commands.h"
#include "bench/peers.h"
#include "cli/cli_program.h"
#include "cli/report.h"

namespace {

using namespace leat::cli;

CommandRun add_bench_peers(CLI::App& command) {
  const auto json = std::make_shared<JsonTarget>();
  add_json_flag(command, *json);
  return [json](const ProcessStart&) -> leat::Result<int> {
    TRY(check_files(*json));
    nlohmann::ordered_json object;
    for (const std::string& peer : peer_names()) object[peer] = peer_version(peer);
    if (json->wanted()) TRY(write_json(*json, {{"peers", object}}));
    if (json->to_stdout()) return 0;
    for (const auto& [peer, version] : object.items()) {
      print_line(fmt::format("  {}: {}", peer, version.get<std::string>()));
    }
    return 0;
  };
}

constexpr Command kCommands[] = {
    {"conv2d", "Measures convolutions", add_bench_conv2d,
     "leat bench conv2d --shape 1,64,56,56,64,3,1,1 --device cpu"},
    {"matmul", "Measures products of matrices", add_bench_matmul,
     "leat bench matmul --shape 256,256,256 --device cpu"},
    {"latency", "Measures what submitting and waiting cost", add_bench_latency,
     "leat bench latency --device cpu --rounds 100"},
    {"flow", "Measures fences, replays and juggled streams", add_bench_flow,
     "leat bench flow --device cpu --model digits.onnx --input pictures --output results --rounds "
     "100"},
    {"library", "Measures what a call of the C library costs", add_bench_library,
     "leat bench library --device cpu --rounds 1000"},
    {"tune", "Measures how good the choices of kernels' parameters are", add_bench_tune,
     "leat bench tune --random 2 --gflop-max 0.01 --device cpu --time 10"},
    {"project", "Says what kernels for a card that is not here are made of", add_bench_project,
     "leat bench project --shape 1,64,56,56,64,3,1,1"},
    {"host", "Measures what making and replaying packets costs the host", add_bench_host,
     "leat bench host"},
    {"report", "Writes what leat doctor --report does", add_bench_report,
     "leat bench report --report report.json --device cpu\n"
     "leat bench report --check-report report.json"},
    {"peers", "Names the libraries that conv2d and matmul can measure beside ours", add_bench_peers,
     "leat bench peers"},
};

}  // namespace

int main(int argc, char** argv) {
  return run_program(argc, argv,
                     {.name = "leat bench", .description = "Measures on the machine at hand."},
                     kCommands);
}
