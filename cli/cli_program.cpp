// See cli_program.h.
#include "cli/cli_program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <sstream>
#include <system_error>

#include "cli/command_table.h"
#include "cli/interrupt.h"
#include "cli/last_words.h"
#include "cli/manual.h"
#include "cli/report.h"
#include "leat/base/borrowed_rights.h"
#include "leat/base/drivers.h"
#include "leat/base/env.h"
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

/// `act`'s answer, once all that it printed is written. fmt throws what fwrite refuses.
template <typename Act>
Result<int> printed(const Act& act) {
  try {
    const Result<int> code = act();
    const bool is_written = std::fflush(stdout) == 0;
    if (!code || (is_written && std::ferror(stdout) == 0)) return code;
    if (is_written) errno = EIO;  // an earlier part was not, and nobody looked
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) == 0) throw;
    errno = error.code().value();
  }
  return Error(ErrorKind::io,
               fmt::format("Standard output cannot be written: {}.", std::strerror(errno)));
}

/// --help and --version are errors to the parser, too.
Result<int> answer_of(const CLI::App& app, const CLI::ParseError& error,
                      const std::vector<std::string>& words) {
  if (error.get_exit_code() != 0) {
    const std::string unknown = unknown_word(command_table(app), words);
    say_line(unknown.empty() ? error.what() : unknown);
    say_line("leat --help and leat COMMAND --help show what there is.");
    return 2;
  }
  std::ostringstream text;
  app.exit(error, text, text);
  return printed([&]() -> Result<int> {
    print_text(text.str());
    return 0;
  });
}

/// Those of `path` and its own commands, in their --help.
void add_examples(CLI::App& app, const std::string& examples, const std::string& path) {
  std::istringstream in(examples);
  std::string footer;
  for (std::string line; std::getline(in, line);) {
    if ((line + ' ').starts_with(path + ' ')) footer += "  " + line + "\n";
  }
  if (!footer.empty()) app.footer("Examples:\n" + footer);
  for (CLI::App* below : app.get_subcommands(std::function<bool(CLI::App*)>())) {
    if (!below->get_name().empty()) add_examples(*below, examples, path + " " + below->get_name());
  }
}

/// As the parser prints it, but for a flag that may have a value.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, is_positional);
    const size_t value = name.find("{-}");
    return value == std::string::npos ? name : name.replace(value, 3, "[=FILE]");
  }
};

int exit_code_of(const Result<int>& code) {
  if (code) return *code;
  say_line(code.error().message());
  return kErrorExitCode;
}

}  // namespace

int run_program(int argc, char** argv, const ProgramFacts& facts,
                std::span<const Command> commands) {
  const ProcessStart start = process_start();
  lay_down_file_rights();
  if (has_borrowed_rights()) guard_environment();
  prepare_last_words();
  exit_on_interrupt();
  CLI::App app(facts.description, facts.name);
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  app.set_version_flag("--version",
                       fmt::format("{} {} ({})", facts.name, kLeatVersion, kLeatCommit));
  std::map<CLI::App*, CommandRun> runs;
  for (const Command& command : commands) {
    CLI::App* parsed = app.add_subcommand(command.name, command.description);
    runs[parsed] = command.add(*parsed);
    add_examples(*parsed, command.examples, fmt::format("{} {}", facts.name, command.name));
  }
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (words.size() == 2 && words[0] == "--describe") {
    return exit_code_of(printed([&] { return describe(command_table(app), words[1]); }));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return exit_code_of(answer_of(app, error, words));
  }
  if (const Result<void> checked = check_env(); !checked) return exit_code_of(checked.error());
  for (const auto& [command, run] : runs) {
    if (command->parsed()) return exit_code_of(printed([&] { return run(start); }));
  }
  return 2;
}

}  // namespace leat::cli
