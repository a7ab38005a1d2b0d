// The program `leat-bench`: the table of benchmarks. `leat bench conv2d` runs it as
// `leat-bench conv2d`.
#include <fmt/format.h>

#include "bench/bench_commands.h"
#include "bench/peers.h"
#include "cli/cli_program.h"
#include "cli/report.h"

namespace {

using namespace leat::cli;

CommandRun add_bench_peers(CLI::App&) {
  return [](const ProcessStart&) -> leat::Result<int> {
    for (const std::string& peer : peer_names()) {
      print_line(fmt::format("  {}: {}", peer, peer_version(peer)));
    }
    return 0;
  };
}

constexpr Command kCommands[] = {
    {"conv2d", "Measures convolutions", add_bench_conv2d},
    {"matmul", "Measures products of matrices", add_bench_matmul},
    {"latency", "Measures what submitting and waiting cost", add_bench_latency},
    {"flow", "Measures fences, replays and juggled streams", add_bench_flow},
    {"library", "Measures what a call of the C library costs", add_bench_library},
    {"tune", "Measures how good the choices of kernels' parameters are", add_bench_tune},
    {"project", "Says what kernels for a card that is not here are made of", add_bench_project},
    {"host", "Measures what making and replaying packets costs the host", add_bench_host},
    {"report", "Writes what leat doctor --report does", add_bench_report},
    {"peers", "Names the libraries that conv2d and matmul can measure beside ours",
     add_bench_peers},
};

}  // namespace

int main(int argc, char** argv) {
  return run_program(argc, argv,
                     {.name = "leat bench", .description = "Measures on the machine at hand."},
                     kCommands);
}
