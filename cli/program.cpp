// See program.h.
#include "cli/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <system_error>

#include "cli/interrupt.h"
#include "cli/report.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

ProcessStart process_start() {
  ProcessStart start;
  start.main_began = std::chrono::steady_clock::now();
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0) {
    start.ms_before_main =
        static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) * 1e-6;
  }
  return start;
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  say_line(error.what());
  say_line("leat --help and leat COMMAND --help show what there is.");
  return 2;
}

/// The command's answer, once all that it printed is written. fmt throws what fwrite refuses.
Result<int> printed(const CommandRun& run, const ProcessStart& start) {
  try {
    const Result<int> code = run(start);
    if (!code || std::fflush(stdout) == 0) return code;
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) == 0) throw;
    errno = error.code().value();
  }
  return Error(ErrorKind::io,
               fmt::format("Standard output cannot be written: {}.", std::strerror(errno)));
}

}  // namespace

int run_program(int argc, char** argv, const ProgramFacts& facts,
                std::span<const Command> commands) {
  const ProcessStart start = process_start();
  exit_on_interrupt();
  CLI::App app(facts.description, facts.name);
  app.require_subcommand(1);
  app.set_version_flag("--version",
                       fmt::format("{} {} ({})", facts.name, kLeatVersion, kLeatCommit));
  std::map<CLI::App*, CommandRun> runs;
  for (const Command& command : commands) {
    CLI::App* parsed = app.add_subcommand(command.name, command.description);
    runs[parsed] = command.add(*parsed);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  for (const auto& [command, run] : runs) {
    if (!command->parsed()) continue;
    const Result<int> code = printed(run, start);
    if (code) return *code;
    say_line(code.error().message());
    return 1;
  }
  return 2;
}

}  // namespace leat::cli
