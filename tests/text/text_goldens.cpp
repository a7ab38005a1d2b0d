// Each file of this folder with a first line "# leat dump --after STAGE --target TARGET" is a wave
// program, a line "# gives", and what that command prints for it. The runner reads the command and
// compares; with --rewrite it writes what it got into the files, for a person to read the
// difference. A change that should change no behaviour leaves every file untouched.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "leat/lower/passes.h"
#include "leat/run/inspect.h"

namespace leat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = "\n# gives\n";

struct Golden {
  std::string stage;
  std::string target;
  std::string input;     // the whole head, command and all
  std::string expected;  // what follows the mark
};

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// nullopt for a file without such a command.
std::optional<Golden> golden_of(const std::string& text) {
  std::istringstream words(text.substr(0, text.find('\n')));
  const std::vector<std::string> line(std::istream_iterator<std::string>(words), {});
  if (line.size() != 7 || line[1] != "leat") return std::nullopt;
  EXPECT_EQ(line[3], "--after");
  EXPECT_EQ(line[5], "--target");
  const size_t mark = text.find(kMark);
  if (mark == std::string::npos) return Golden{line[4], line[6], text, "nothing yet: --rewrite"};
  return Golden{line[4], line[6], text.substr(0, mark), text.substr(mark + kMark.size())};
}

bool is_rewriting() {
  const std::vector<std::string> arguments = testing::internal::GetArgvs();
  return std::ranges::find(arguments, "--rewrite") != arguments.end();
}

TEST(Text, CommandsPrintWhatTheFilesSay) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(LEAT_SOURCE_DIR "/tests/text")) {
    if (entry.path().extension() != ".ir") continue;
    const std::optional<Golden> golden = golden_of(read_text(entry.path()));
    if (!golden) continue;
    ++count;
    const std::string name = entry.path().filename().string();
    const Result<Target> target = plain_target(golden->target);
    ASSERT_TRUE(target) << name << ": " << target.error().message();
    const Result<std::string> got = inspect_kernel(golden->input, name, *target, golden->stage);
    ASSERT_TRUE(got) << got.error().message();
    if (is_rewriting()) {
      std::ofstream(entry.path(), std::ios::binary) << golden->input << kMark << *got;
    } else {
      EXPECT_EQ(*got, golden->expected) << name;
    }
  }
  // One for each pass, and one for WGSL.
  EXPECT_GE(count, passes().size() + 1);
}

}  // namespace
}  // namespace leat
