// What `leat` does at the ends of its streams: it says one sentence and exits with 1.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "leat/base/files.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

/// The exit code of the program under a shell, which closes or fills streams and sets limits.
int exit_code_of(const std::string& before, const std::string& arguments) {
  const std::string cache = "XDG_CACHE_HOME=" + scratch_path("cache") + " ";
  const int status = std::system((before + cache + LEAT_PROGRAM " " + arguments).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(CliEnds, AFullOutputIsAnErrorForHelpToo) {
  const std::vector<std::vector<std::string>> commands = {
      {"--help"}, {"--version"}, {"run", "--help"}};
  for (const std::vector<std::string>& arguments : commands) {
    const ProgramResult result = run_leat_without_room(arguments);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("leat: Standard output cannot be written")) << result.err;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  }
}

TEST(CliEnds, AClosedOutputIsAnError) {
  EXPECT_EQ(exit_code_of("", "--version 2>/dev/null >&-"), 1);
}

TEST(CliEnds, AnErrorThatCannotBeSaidIsStillOne) {
  EXPECT_EQ(exit_code_of("", "run missing --input missing.png 2>&-"), 1);
  EXPECT_EQ(exit_code_of("", "run missing --input missing.png 2>/dev/full"), 1);
  EXPECT_EQ(exit_code_of("", "fly 2>&-"), 2);
}

TEST(CliEnds, WithoutMemoryASentence) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "Addresses cannot be limited under a sanitizer.";
#endif
  const std::string digits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
  const std::string seven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";
  const std::string error = scratch_path("memory");
  // 1024 threads of 8 MiB of stack do not fit.
  const int code =
      exit_code_of("ulimit -v 2000000; LEAT_THREADS=1024 ",
                   "run " + digits + " --input " + seven + " --device cpu >/dev/null 2>" + error);
  EXPECT_EQ(code, 1);
  EXPECT_TRUE(read_file(error, 1 << 20)->starts_with("leat: "));
}

}  // namespace
}  // namespace leat
