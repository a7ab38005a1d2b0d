// What a program takes, as plain data: read off the parser, so that --help, manual pages,
// completions, suggestions and the checks on documents all say the same.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace leat::cli {

/// An option, or a positional argument.
struct OptionRow {
  std::vector<std::string> names;  // "-i", "--input"; of a positional: "MODEL"
  std::string value;               // "[NAME=]FILE"; empty: a flag. "[=FILE]": it may be left out
  std::vector<std::string> choices;
  std::string text;
  bool is_required = false;
  bool is_repeated = false;
};

struct CommandRow {
  std::string name;
  std::string text;
  std::vector<OptionRow> positionals;
  std::vector<OptionRow> options;
  std::vector<std::string> examples;  // whole lines, "leat devices  # a comment"
  std::vector<CommandRow> commands;
  bool is_program = false;  // what follows is another program's: leat bench
};

/// Of the program or command and all below it. Examples are its footer's lines.
CommandRow command_table(const CLI::App& app);

/// {"name", "text", "positionals", "options", "examples", "commands"}.
nlohmann::ordered_json json_of(const CommandRow& row);

/// What a value is completed with: one of `choices`, devices, files, or nothing.
enum class ValueKind { none, choice, device, file };
ValueKind value_kind(const OptionRow& option);

/// What is said of the first word of a command line that names no command or no option; with the
/// nearest that there is. Empty when there is no such word. `words` are without the program.
std::string unknown_word(const CommandRow& program, const std::vector<std::string>& words);

}  // namespace leat::cli
