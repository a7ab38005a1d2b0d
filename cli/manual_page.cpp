// See manual.h. Source: groff_man(7), man-pages(7).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/manual.h"
#include "cli/report.h"
#include "leat/base/env.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

/// Text as roff takes it literally; no line of it may begin a request.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '"') {
      out += "\\(dq";
    } else {
      out += c;
    }
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string bold(const std::string& text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + escaped(text) + "\\fR"; }

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// "leat bench" is leat-bench.1.
std::string page_name(std::string name) {
  for (char& c : name) c = c == ' ' ? '-' : c;
  return name;
}

std::string head_of(const OptionRow& option) {
  std::string head;
  for (const std::string& name : option.names) head += (head.empty() ? "" : ", ") + bold(name);
  const bool is_optional = option.value.starts_with("[=");
  if (!option.value.empty()) head += (is_optional ? "" : " ") + italic(option.value);
  return head;
}

std::string text_of(const OptionRow& option) {
  std::string text = escaped(option.text);
  if (!option.choices.empty()) {
    text += escaped(fmt::format(". One of: {}", fmt::join(option.choices, ", ")));
  }
  return text.ends_with('.') ? text : text + ".";
}

std::string synopsis_of(const CommandRow& command, const std::string& path) {
  std::string line = bold(path);
  if (!command.options.empty()) line += " [" + italic("OPTION") + "]...";
  for (const OptionRow& positional : command.positionals) {
    const std::string name = italic(positional.names[0]) + (positional.is_repeated ? "..." : "");
    line += positional.is_required ? " " + name : " [" + name + "]";
  }
  if (!command.commands.empty()) line += " " + italic("COMMAND");
  return line;
}

std::string rows_of(const std::vector<OptionRow>& options) {
  std::string text;
  for (const OptionRow& option : options) {
    const std::string head = option.value.empty() || option.names[0].starts_with('-')
                                 ? head_of(option)
                                 : italic(option.names[0]);
    text += ".TP\n" + head + "\n" + text_of(option) + "\n";
  }
  return text;
}

std::string section_of(const CommandRow& command, const std::string& path) {
  std::string text = ".SS " + escaped(path) + "\n" + escaped(command.text) + ".\n.PP\n" +
                     synopsis_of(command, path) + "\n";
  text += rows_of(command.positionals) + rows_of(command.options);
  if (!command.examples.empty()) {
    text += ".PP\n.EX\n";
    for (const std::string& line : command.examples) text += escaped(line) + "\n";
    text += ".EE\n";
  }
  for (const CommandRow& below : command.commands)
    text += section_of(below, path + " " + below.name);
  return text;
}

constexpr char kExitStatus[] = R"(.SH EXIT STATUS
.TP
.B 0
What was asked for is done.
.TP
.B 1
An error, said in one sentence on the standard error output, or a check that failed.
.TP
.B 2
A mistake in the command line.
.TP
.B 130
Ended by Ctrl\-C.
)";

std::string environment() {
  std::string text = ".SH ENVIRONMENT\n";
  for (const EnvVariable& variable : env_variables()) {
    text += fmt::format(".TP\n.B {}\n{}\n", escaped(std::string(variable.name)),
                        escaped(std::string(variable.meaning)));
  }
  return text;
}

/// The file for a shell. `leat` becomes leat-bench for some commands, which prints its own rows.
Result<int> print_completions(const CommandRow& program, Shell shell, const std::string& form) {
  const std::string rows = completion_rows(program, shell);
  const auto is_program = [](const CommandRow& command) { return command.is_program; };
  const bool is_whole = std::ranges::any_of(program.commands, is_program);
  print_text(is_whole ? completion_begin(shell) + rows : rows);
  if (!is_whole) return 0;
  const Result<int> other = run_bench({"--describe", form});
  if (!other && other.error().kind() != ErrorKind::unsupported) return other;
  print_text(completion_end(shell));
  return 0;
}

}  // namespace

Result<int> describe(const CommandRow& program, const std::string& form) {
  if (form == "bash") return print_completions(program, Shell::bash, form);
  if (form == "zsh") return print_completions(program, Shell::zsh, form);
  if (form == "fish") return print_completions(program, Shell::fish, form);
  if (form == "man") {
    print_text(manual_page(program, kLeatVersion));
  } else if (form == "json") {
    TRY(write_json({"-"}, json_of(program)));
  } else {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Form \"{}\" is none of man, json, bash, zsh and fish.", form));
  }
  return 0;
}

std::string manual_page(const CommandRow& program, const std::string& version) {
  const std::string page = page_name(program.name);
  std::string text =
      fmt::format(".TH {} 1 \"\" \"Leat {}\" \"User Commands\"\n", upper(page), version);
  text += ".ad l\n.nh\n";
  text += fmt::format(".SH NAME\n{} \\- {}\n", escaped(page),
                      escaped(program.text.substr(0, program.text.find_last_not_of('.') + 1)));
  text += ".SH SYNOPSIS\n" + synopsis_of(program, program.name) + "\n";
  text += ".SH OPTIONS\n" + rows_of(program.options) + ".SH COMMANDS\n";
  for (const CommandRow& command : program.commands) {
    text += section_of(command, program.name + " " + command.name);
  }
  text += kExitStatus + environment();
  const bool is_bench = page != "leat";
  text += fmt::format(".SH SEE ALSO\n.BR {} (1)\n", is_bench ? "leat" : "leat\\-bench");
  return text;
}

}  // namespace leat::cli
