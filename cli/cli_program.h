// What the programs `leat` and `leat-bench` do alike: a table of commands, exit codes, Ctrl-C.
// Exit codes: 0 done, 1 an error (one sentence on stderr) or a failed check, 2 a mistake in the
// command line, 130 ended by Ctrl-C. `--describe FORM`, which --help leaves out, prints the table
// of commands for others: manual.h.
#pragma once

#include <span>

#include "cli/commands.h"

namespace leat::cli {

struct Command {
  const char* name;
  const char* description;
  CommandRun (*add)(CLI::App& command);
  /// Of the command and those below it: whole lines, for their --help and the manual. They run
  /// where digits.onnx and the other files of tests/docs lie, and a test runs them.
  const char* examples = "";
};

struct ProgramFacts {
  const char* name;  // as a person calls it
  const char* description;
};

/// The whole of main(): parses the command line, runs the command that it names, and says what
/// went wrong. Returns the exit code.
int run_program(int argc, char** argv, const ProgramFacts& facts,
                std::span<const Command> commands);

}  // namespace leat::cli
