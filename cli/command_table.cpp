// See command_table.h.
#include "cli/command_table.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

namespace leat::cli {

namespace {

constexpr char kHidden[] = "";  // the group of options that --help leaves out

/// "PROFILE:{a,b}" is a value and what it may be; "K:INT in [1 - 9]" a value and its range.
void read_type(const std::string& type, OptionRow& row) {
  const size_t colon = type.find(':');
  row.value = type.substr(0, colon);
  if (colon == std::string::npos) return;
  const std::string rule = type.substr(colon + 1);
  const size_t open = rule.find('{');
  const size_t close = rule.find('}');
  if (open != 0 || close == std::string::npos) {
    row.text += fmt::format(" ({})", rule);
    return;
  }
  std::istringstream in(rule.substr(1, close - 1));
  for (std::string choice; std::getline(in, choice, ',');) row.choices.push_back(choice);
}

OptionRow row_of(const CLI::Option& option) {
  OptionRow row;
  row.text = option.get_description();
  row.is_required = option.get_required();
  row.is_repeated = option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll ||
                    option.get_items_expected_max() > 1;
  if (option.get_positional()) {
    row.names = {option.get_name(true)};
    OptionRow type;
    read_type(option.get_type_name(), type);
    row.value = type.value == "TEXT" ? row.names[0] : type.value;
    row.text += type.text;
    return row;
  }
  for (const std::string& name : option.get_snames()) row.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) row.names.push_back("--" + name);
  if (!option.get_fnames().empty()) {
    row.value = "[=FILE]";  // the one flag with a value of its own: --json
  } else if (option.get_type_size() != 0) {
    read_type(option.get_type_name(), row);
  }
  return row;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin != std::string::npos && line.compare(begin, 4, "leat") == 0) {
      lines.push_back(line.substr(begin));
    }
  }
  return lines;
}

void add_rows(const CLI::App& app, CommandRow& row) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() == kHidden) continue;
    (option->get_positional() ? row.positionals : row.options).push_back(row_of(*option));
  }
  for (const CLI::App* below : app.get_subcommands(std::function<bool(const CLI::App*)>())) {
    if (below->get_name().empty()) {
      add_rows(*below, row);  // a group of options
    } else {
      row.commands.push_back(command_table(*below));
    }
  }
}

/// Changes of one letter, and of two that changed places, from one word to the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> best(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        best[i][j] = i + j;
        continue;
      }
      const size_t change = best[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      best[i][j] = std::min({best[i - 1][j] + 1, best[i][j - 1] + 1, change});
      const bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_swap) best[i][j] = std::min(best[i][j], best[i - 2][j - 2] + 1);
    }
  }
  return best[a.size()][b.size()];
}

/// " Did you mean ...?", or nothing.
std::string nearest(const std::string& word, const std::vector<std::string>& names) {
  const std::string* found = nullptr;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : names) {
    const bool begins = word.size() >= 3 && name.starts_with(word);
    const size_t changes = begins ? 1 : distance(word, name);
    if (changes >= least) continue;
    least = changes;
    found = &name;
  }
  return found == nullptr ? "" : fmt::format(" Did you mean \"{}\"?", *found);
}

std::vector<std::string> option_names(const CommandRow& command) {
  std::vector<std::string> names;
  for (const OptionRow& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

bool takes_next_word(const CommandRow& command, const std::string& name) {
  for (const OptionRow& option : command.options) {
    if (std::ranges::find(option.names, name) == option.names.end()) continue;
    return !option.value.empty() && option.value[0] != '[';
  }
  return false;
}

}  // namespace

CommandRow command_table(const CLI::App& app) {
  CommandRow row;
  row.name = app.get_name();
  row.text = app.get_description();
  row.examples = lines_of(app.get_footer());
  row.is_program = app.get_prefix_command();
  add_rows(app, row);
  return row;
}

nlohmann::ordered_json json_of(const CommandRow& row) {
  using Json = nlohmann::ordered_json;
  const auto list = [](const std::vector<OptionRow>& options) {
    Json rows = Json::array();
    for (const OptionRow& option : options) {
      rows.push_back({{"names", option.names},
                      {"value", option.value},
                      {"choices", option.choices},
                      {"text", option.text},
                      {"required", option.is_required},
                      {"repeated", option.is_repeated}});
    }
    return rows;
  };
  Json object = {{"name", row.name},
                 {"text", row.text},
                 {"positionals", list(row.positionals)},
                 {"options", list(row.options)},
                 {"examples", row.examples}};
  object["commands"] = Json::array();
  for (const CommandRow& below : row.commands) object["commands"].push_back(json_of(below));
  return object;
}

ValueKind value_kind(const OptionRow& option) {
  if (!option.choices.empty()) return ValueKind::choice;
  if (option.value.find("SPEC") != std::string::npos) return ValueKind::device;
  for (const char* word : {"FILE", "DIR", "PATH", "FOLDER", "MODEL"}) {
    if (option.value.find(word) != std::string::npos) return ValueKind::file;
  }
  return ValueKind::none;
}

std::string unknown_word(const CommandRow& program, const std::vector<std::string>& words) {
  const CommandRow* command = &program;
  std::string path = program.name;
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    const std::string& word = words[i];
    if (word.starts_with('-') && word.size() > 1) {
      const std::string name = word.starts_with("--") ? word.substr(0, word.find('=')) : word;
      const std::vector<std::string> names = option_names(*command);
      if (word.starts_with("--") && std::ranges::find(names, name) == names.end()) {
        return fmt::format("\"{}\" has no option \"{}\".{}", path, name, nearest(name, names));
      }
      if (name == word && takes_next_word(*command, name)) ++i;
      continue;
    }
    const auto next = std::ranges::find(command->commands, word, &CommandRow::name);
    if (next != command->commands.end()) {
      command = &*next;
      path += " " + word;
      if (command->is_program) return "";
    } else if (command->positionals.empty() && !command->commands.empty()) {
      std::vector<std::string> names;
      for (const CommandRow& below : command->commands) names.push_back(below.name);
      return fmt::format("\"{}\" has no command \"{}\".{}", path, word, nearest(word, names));
    }
  }
  return "";
}

}  // namespace leat::cli
