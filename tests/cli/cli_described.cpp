// What is made from the table of commands: --help, manual pages, completions, suggestions.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "leat/base/files.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

using Json = nlohmann::json;

const std::string kBench = std::string(LEAT_PROGRAM) + "-bench";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string described(const std::string& form, const std::string& program = "") {
  const ProgramResult result = run_leat({"--describe", form}, nullptr, program);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.out;
}

/// Every command of `table` that does something, with its path: "leat tune list".
void for_each_command(const Json& table, const std::string& path,
                      const std::function<void(const std::string&, const Json&)>& act) {
  for (const Json& command : table["commands"]) {
    const std::string name = path + " " + command["name"].get<std::string>();
    act(name, command);
    for_each_command(command, name, act);
  }
}

bool has_option(const Json& command, const std::string& name) {
  return std::ranges::any_of(command["options"], [&](const Json& option) {
    return std::ranges::count(option["names"], Json(name)) > 0;
  });
}

/// What the shell command prints on both streams.
std::string printed_by(const std::string& command) {
  const std::string path = scratch_path("printed");
  EXPECT_EQ(std::system(("(" + command + ") >" + path + " 2>&1").c_str()), 0) << command;
  return read_file(path, 1 << 20).value();
}

bool has_program(const std::string& name) {
  return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

TEST(CliDescribed, EveryCommandHasExamplesAndTheSameJson) {
  size_t count = 0;
  const auto check = [&](const std::string& path, const Json& command) {
    EXPECT_FALSE(command["examples"].empty()) << path << " has no example.";
    EXPECT_FALSE(command["text"].get<std::string>().empty()) << path;
    const bool is_group = path == "leat bench" || path == "leat kernel" || path == "leat cache";
    const bool writes_a_file = path == "leat bench report" || path == "leat kernel fmt";
    EXPECT_NE(has_option(command, "--json"), is_group || writes_a_file) << path;
    ++count;
  };
  for_each_command(Json::parse(described("json")), "leat", check);
  for_each_command(Json::parse(described("json", kBench)), "leat bench", check);
  EXPECT_GE(count, 20u);
}

TEST(CliDescribed, HelpShowsExamples) {
  const ProgramResult help = run_leat({"run", "--help"});
  EXPECT_TRUE(contains(help.out, "Examples:\n  leat run digits.onnx")) << help.out;
  EXPECT_TRUE(contains(help.out, "--json[=FILE]")) << help.out;
  EXPECT_TRUE(contains(run_leat({"tune", "list", "--help"}).out, "  leat tune list\n"));
}

TEST(CliDescribed, AMistakeIsToldWithWhatIsNear) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
      {{"rnu"}, "\"leat\" has no command \"rnu\". Did you mean \"run\"?"},
      {{"devcies"}, "Did you mean \"devices\"?"},
      {{"run", "--inptu", "x.npy"},
       "\"leat run\" has no option \"--inptu\". Did you mean \"--input\""},
      {{"run", "x.onnx", "--jsn=a"}, "Did you mean \"--json\"?"},
      {{"bench", "conv2"}, "\"leat bench\" has no command \"conv2\". Did you mean \"conv2d\"?"},
      {{"bench", "conv2d", "--shpe", "1"}, "Did you mean \"--shape\"?"},
  };
  for (const auto& [arguments, words] : mistakes) {
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(arguments);
    EXPECT_TRUE(contains(result.err, words)) << result.err;
  }
  EXPECT_FALSE(contains(run_leat({"zzzzzz"}).err, "mean")) << "Nothing is near.";
}

TEST(CliDescribed, ManualPagesHaveNoWarnings) {
  if (!has_program("groff")) GTEST_SKIP() << "There is no groff.";
  for (const std::string& program : {std::string(LEAT_PROGRAM), kBench}) {
    const std::string page = scratch_file("page.1", described("man", program));
    EXPECT_EQ(printed_by("groff -ww -man -Tutf8 " + page + " >/dev/null"), "");
    const std::string text = printed_by("groff -man -Tutf8 -rLL=100n " + page + " | col -bx");
    for (const char* section : {"NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT"}) {
      EXPECT_TRUE(contains(text, std::string("\n") + section + "\n")) << section;
    }
    EXPECT_TRUE(contains(text, "--json[=FILE]")) << text;
    if (!has_program("man")) continue;
    EXPECT_EQ(printed_by("MANPAGER=cat man --warnings=w -l " + page + " >/dev/null"), "");
  }
}

/// A command line, the last word begun, and words that are offered, of which there are no others
/// where the last is ".".
struct Completed {
  std::string line;
  std::vector<std::string> words;
};

const std::vector<Completed> kCompleted = {
    {"leat ru", {"run", "."}},
    {"leat tune li", {"list", "."}},
    {"leat bench con", {"conv2d", "."}},
    {"leat-bench mat", {"matmul", "."}},
    {"leat run --jso", {"--json", "."}},
    {"leat run --as m", {"mali-g52", "."}},
    {"leat dump --after sch", {"schedule", "."}},
    {"leat bench conv2d --dtype ", {"f32", "f16", "bf16", "i8", "."}},
    {"leat run --device c", {"cpu", "."}},
    {"leat ", {"run", "devices", "bench"}},
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

void expect_words(const Completed& wanted, std::vector<std::string> offered) {
  for (const std::string& word : wanted.words) {
    if (word == ".") {
      EXPECT_EQ(offered.size(), wanted.words.size() - 1) << testing::PrintToString(offered);
    } else {
      EXPECT_EQ(std::ranges::count(offered, word), 1)
          << wanted.line << ": " << word << " of " << testing::PrintToString(offered);
    }
  }
}

std::string empty_folder() {
  const std::string path = scratch_path("empty");
  std::filesystem::create_directories(path);
  return path;
}

TEST(CliDescribed, BashCompletes) {
  const std::string script = scratch_file("leat.bash", described("bash"));
  for (const Completed& wanted : kCompleted) {
    const std::string last = wanted.line.ends_with(' ') ? " \"\"" : "";
    const std::string text =
        printed_by("cd " + empty_folder() + " && bash --norc -c '. " + script + "; set -- " +
                   wanted.line + last + "; COMP_WORDS=(\"$@\"); " +
                   "COMP_CWORD=$(($# - 1)); _leat; printf \"%s\\n\" \"${COMPREPLY[@]}\"'");
    expect_words(wanted, words_of(text));
  }
}

// The functions that a completion calls, in place of the editor's.
TEST(CliDescribed, ZshCompletes) {
  if (!has_program("zsh")) GTEST_SKIP() << "There is no zsh.";
  const std::string script = scratch_file("_leat", described("zsh"));
  for (const Completed& wanted : kCompleted) {
    const std::string last = wanted.line.ends_with(' ') ? " \"\"" : "";
    const std::string text = printed_by(
        "zsh -fc '_files() {}; offer() { for w in \"$@\"; do [[ $w != $PREFIX* ]] || print -r -- "
        "$w; "
        "done }; compadd() { shift; offer \"$@\" }; "
        "_describe() { local -a all; all=(\"${(@P)argv[-1]}\"); offer \"${(@)all%%:*}\" }; "
        "words=(" +
        wanted.line + last + "); CURRENT=$#words; PREFIX=$words[-1]; . " + script + "'");
    expect_words(wanted, words_of(text));
  }
}

TEST(CliDescribed, FishCompletes) {
  if (!has_program("fish")) GTEST_SKIP() << "There is no fish.";
  const std::string script = scratch_file("leat.fish", described("fish"));
  for (const Completed& wanted : kCompleted) {
    const std::string text = printed_by("cd " + empty_folder() + " && HOME=" + scratch_path("") +
                                        " fish -N -c 'source " + script + "; complete -C \"" +
                                        wanted.line + "\"' | cut -f1");
    std::vector<std::string> offered = words_of(text);
    std::erase_if(offered, [&](const std::string& word) {  // folders, and what only contains it
      return word.ends_with('/') ||
             !word.starts_with(wanted.line.substr(wanted.line.rfind(' ') + 1));
    });
    expect_words(wanted, offered);
  }
}

TEST(CliDescribed, AnotherFormIsRefused) {
  const ProgramResult result = run_leat({"--describe", "html"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "none of man, json, bash, zsh and fish")) << result.err;
}

}  // namespace
}  // namespace leat
