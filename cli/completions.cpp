// See manual.h. Each script walks along the words to the command that they name, "leat tune list",
// and offers what its rows say. bash and zsh share a function of rows: letter, name, text:
//   c   a command below it        o   an option
//   v   what follows the option: words, "@file" or nothing        p   the same of positionals
// Sources: bash(1), "Programmable Completion"; zshcompsys(1); fish's manual, "complete".
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/manual.h"

namespace leat::cli {

namespace {

constexpr char kDevices[] =
    "cpu gpu0 gpu0:vulkan gpu0:opengl gpu0:direct gpu0:cuda gpu1 gpu1:vulkan gpu1:opengl";

std::string values_of(const OptionRow& option) {
  switch (value_kind(option)) {
    case ValueKind::none: return "";
    case ValueKind::choice: return fmt::format("{}", fmt::join(option.choices, " "));
    case ValueKind::device: return kDevices;
    case ValueKind::file: return "@file";
  }
  return "";
}

bool takes_word(const OptionRow& option) {
  return !option.value.empty() && !option.value.starts_with("[=");
}

/// In single quotes for bash and zsh.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

void add_table_rows(const CommandRow& command, const std::string& path, std::string& text) {
  text += fmt::format("    {}) printf '%s\\n'", quoted(path));
  const auto add = [&](const std::string& kind, const std::string& name, const std::string& what) {
    text += " \\\n      " + quoted(kind + "|" + name + "|" + what);
  };
  for (const OptionRow& option : command.options) {
    if (!takes_word(option)) continue;
    for (const std::string& name : option.names) add("v", name, values_of(option));
  }
  for (const OptionRow& option : command.positionals) add("p", option.names[0], values_of(option));
  for (const OptionRow& option : command.options) {
    for (const std::string& name : option.names) add("o", name, option.text);
  }
  for (const CommandRow& below : command.commands) add("c", below.name, below.text);
  text += " ;;\n";
  for (const CommandRow& below : command.commands) {
    if (!below.is_program) add_table_rows(below, path + " " + below.name, text);
  }
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

std::string fish_values(const OptionRow& option) {
  switch (value_kind(option)) {
    case ValueKind::none: return " -x";
    case ValueKind::choice:
    case ValueKind::device: return " -x -a " + fish_quoted(values_of(option));
    case ValueKind::file: return " -r -F";
  }
  return "";
}

void add_fish_rows(const CommandRow& command, const std::string& path, std::string& text) {
  text += fmt::format("set -ga __leat_paths {}\n", fish_quoted(path));
  const std::string at = fmt::format("complete -c leat -c leat-bench -n '__leat_at {}'", path);
  for (const CommandRow& below : command.commands) {
    text += fmt::format("{} -a {} -d {}\n", at, below.name, fish_quoted(below.text));
  }
  for (const OptionRow& option : command.options) {
    std::string line = at;
    for (const std::string& name : option.names) {
      line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    if (takes_word(option)) line += fish_values(option);
    text += fmt::format("{} -d {}\n", line, fish_quoted(option.text));
  }
  for (const OptionRow& option : command.positionals) {
    if (value_kind(option) == ValueKind::file) text += at + " -F\n";
  }
  for (const CommandRow& below : command.commands) {
    if (!below.is_program) add_fish_rows(below, path + " " + below.name, text);
  }
}

// Walks to the command that the words before the last name: "leat tune list". Not `path`, which is
// zsh's own.
constexpr char kWalk[] = R"sh(
_leat_walk() {
  local word
  at=leat
  [ "${1##*/}" != leat-bench ] || at='leat bench'
  shift
  while [ $# -gt 1 ]; do
    word=$1
    case $word in
      -*) ;;
      *) [ -z "$(_leat_rows "$at $word")" ] || at="$at $word" ;;
    esac
    shift
  done
}
)sh";

constexpr char kBash[] = R"sh(
_leat() {
  local at current previous words cword kind name text offered='' files=0 is_value=0
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n : -c current -p previous -w words -i cword
  else
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    current=${words[cword]} previous=${words[cword - 1]}
  fi
  _leat_walk "${words[@]:0:cword+1}"
  while IFS='|' read -r kind name text; do
    case $kind in
      v)
        [ "$name" = "$previous" ] || continue
        is_value=1 offered=$text
        break
        ;;
      p) [ "$text" != @file ] || files=1 ;;
      o) [[ $current != -* ]] || offered="$offered $name" ;;
      c) offered="$offered $name" ;;
    esac
  done < <(_leat_rows "$at")
  if [ "$is_value" = 1 ]; then
    files=0
    [ "$offered" != @file ] || { offered='' files=1; }
  fi
  COMPREPLY=($(compgen -W "$offered" -- "$current"))
  if [ "$files" = 1 ] && [[ $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
  ! declare -F __ltrim_colon_completions >/dev/null || __ltrim_colon_completions "$current"
}
complete -F _leat leat leat-bench
)sh";

constexpr char kZsh[] = R"sh(
_leat() {
  local at row rest kind name text files=0 previous=${words[CURRENT-1]}
  local -a commands options
  _leat_walk "${(@)words[1,CURRENT]}"
  for row in "${(@f)$(_leat_rows "$at")}"; do
    kind=${row%%|*} rest=${row#*|}
    name=${rest%%|*} text=${rest#*|}
    case $kind in
      v)
        [[ $name == $previous ]] || continue
        [[ $text != @file ]] || { _files; return }
        compadd -- ${(s: :)text}
        return
        ;;
      p) [[ $text != @file ]] || files=1 ;;
      o) options+=("$name:$text") ;;
      c) commands+=("$name:$text") ;;
    esac
  done
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
    return
  fi
  (( ! $#commands )) || _describe command commands
  (( ! files )) || _files
}
_leat "$@"
)sh";

constexpr char kFish[] = R"sh(
function __leat_at
    set -l words (commandline -opc)
    set -l at leat
    string match -qr 'leat-bench$' -- $words[1]; and set at 'leat bench'
    for word in $words[2..]
        contains -- "$at $word" $__leat_paths; and set at "$at $word"
    end
    test "$at" = "$argv"
end
complete -c leat -c leat-bench -f
)sh";

constexpr char kTitle[] = "# Completions of leat, by leat --describe; not to be edited.\n";

}  // namespace

std::string completion_begin(Shell shell) {
  if (shell == Shell::fish) return std::string(kTitle) + "set -g __leat_paths\n";
  const std::string first = shell == Shell::zsh ? "#compdef leat leat-bench\n" : "";
  return first + kTitle + "_leat_rows() {\n  case $1 in\n";
}

std::string completion_rows(const CommandRow& program, Shell shell) {
  std::string text;
  if (shell == Shell::fish) {
    add_fish_rows(program, program.name, text);
  } else {
    add_table_rows(program, program.name, text);
  }
  return text;
}

std::string completion_end(Shell shell) {
  if (shell == Shell::fish) return kFish;
  return std::string("  esac\n}\n") + kWalk + (shell == Shell::bash ? kBash : kZsh);
}

}  // namespace leat::cli
