// The program `leat`: the table of commands, exit codes, and Ctrl-C.
// Exit codes: 0 done, 1 an error (one sentence on stderr) or a failed check, 2 a mistake in the
// command line, 130 ended by Ctrl-C.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <system_error>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "leat_version.h"

namespace {

using leat::cli::CommandRun;

struct Command {
  const char* group;  // "bench" for `leat bench conv2d`, else empty
  const char* name;
  const char* description;
  CommandRun (*add)(CLI::App& command);
};

constexpr Command kCommands[] = {
    {"", "devices", "Lists the devices of this machine and the routes to each",
     leat::cli::add_devices},
    {"", "run", "Runs an ONNX model on pictures or arrays", leat::cli::add_run},
    {"", "test-onnx", "Runs cases of the ONNX conformance suite", leat::cli::add_test_onnx},
    {"bench", "conv2d", "Measures convolutions", leat::cli::add_bench_conv2d},
    {"bench", "latency", "Measures what submitting and waiting cost", leat::cli::add_bench_latency},
    {"bench", "flow", "Measures fences, replays and juggled streams", leat::cli::add_bench_flow},
    {"", "dump", "Shows a model or a kernel after a stage of its way to the device",
     leat::cli::add_dump},
    {"", "doctor", "Tells what was found, what was refused and why, and what to do",
     leat::cli::add_doctor},
};

leat::cli::ProcessStart process_start() {
  leat::cli::ProcessStart start;
  start.main_began = std::chrono::steady_clock::now();
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0) {
    start.ms_before_main =
        static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) * 1e-6;
  }
  return start;
}

/// Declares every command below `app`; what to do by the command parsed.
std::map<CLI::App*, CommandRun> add_commands(CLI::App& app) {
  std::map<CLI::App*, CommandRun> runs;
  CLI::App* bench = nullptr;
  for (const Command& command : kCommands) {
    CLI::App* parent = &app;
    if (*command.group != '\0') {
      if (bench == nullptr) {
        bench = app.add_subcommand(command.group, "Measures: conv2d, latency, flow");
        bench->require_subcommand(1);
      }
      parent = bench;
    }
    CLI::App* parsed = parent->add_subcommand(command.name, command.description);
    runs[parsed] = command.add(*parsed);
  }
  return runs;
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  fmt::print(stderr, "leat: {}\nleat: leat --help and leat COMMAND --help show what there is.\n",
             error.what());
  return 2;
}

/// The command's answer, once all that it printed is written. fmt throws what fwrite refuses.
leat::Result<int> printed(const CommandRun& run, const leat::cli::ProcessStart& start) {
  try {
    const leat::Result<int> code = run(start);
    if (!code || std::fflush(stdout) == 0) return code;
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) == 0) throw;
    errno = error.code().value();
  }
  return leat::Error(leat::ErrorKind::io,
                     fmt::format("Standard output cannot be written: {}.", std::strerror(errno)));
}

}  // namespace

int main(int argc, char** argv) {
  const leat::cli::ProcessStart start = process_start();
  leat::cli::exit_on_interrupt();
  CLI::App app("Runs neural networks on any device, from one description of each kernel.", "leat");
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("leat {} ({})", kLeatVersion, kLeatCommit));
  const std::map<CLI::App*, CommandRun> runs = add_commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  for (const auto& [command, run] : runs) {
    if (!command->parsed()) continue;
    const leat::Result<int> code = printed(run, start);
    if (code) return *code;
    fmt::print(stderr, "leat: {}\n", code.error().message());
    return 1;
  }
  return 2;
}
