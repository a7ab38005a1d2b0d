// What `leat` does at the ends of its resources: it says one sentence and exits with 1.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kSeven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";

std::vector<std::string> run_digits(std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"run", kDigits, "--input", kSeven, "--device", "cpu"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void expect_sentence(const ProgramResult& result, const std::string& part) {
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("leat: ")) << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

// The sanitizers need terabytes of addresses.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCanLimitMemory = false;
#else
constexpr bool kCanLimitMemory = true;
#endif

void limit_memory(rlim_t size_bytes) {
  const rlimit limit = {size_bytes, size_bytes};
  setrlimit(RLIMIT_AS, &limit);
}

// --- Memory and threads --------------------------------------------------------------------------

// The program and its libraries take some 400 MiB of addresses before main, so that each limit ends
// it somewhere else.
TEST(CliEnds, WithoutMemoryASentence) {
  if (!kCanLimitMemory) GTEST_SKIP() << "Addresses cannot be limited under a sanitizer.";
  size_t refused = 0;
  for (const rlim_t mebibytes : {420u, 440u, 460u, 500u, 560u, 640u}) {
    const ProgramResult result = run_leat(run_digits(), [&] { limit_memory(mebibytes << 20); });
    if (result.exit_code == 0 || result.exit_code == 127)
      continue;  // enough, or not for the loader
    ++refused;
    EXPECT_EQ(result.exit_code, 1) << mebibytes << " MiB: " << result.err;
    EXPECT_FALSE(result.err.empty()) << mebibytes << " MiB";
  }
  if (refused == 0) GTEST_SKIP() << "No limit was tight enough.";
}

TEST(CliEnds, ThreadsThatCannotStartAreAnError) {
  if (!kCanLimitMemory) GTEST_SKIP() << "Addresses cannot be limited under a sanitizer.";
  const ProgramResult result = run_leat(run_digits(), [] {
    setenv("LEAT_THREADS", "4096", 1);  // of 8 MiB of addresses each
    limit_memory(rlim_t{4} << 30);
  });
  expect_sentence(result, "starts no further thread");
}

// --- Streams -------------------------------------------------------------------------------------

TEST(CliEnds, AFullOutputIsAnErrorForHelpToo) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--help"}, {"--version"}, {"run", "--help"}, {"devices", "--json"}}) {
    expect_sentence(run_leat_without_room(arguments), "Standard output cannot be written");
  }
}

TEST(CliEnds, AClosedOutputIsAnError) {
  expect_sentence(run_leat({"--version"}, [] { close(STDOUT_FILENO); }), "Standard output");
}

// What is opened next must not take the closed stream's place.
TEST(CliEnds, AClosedOutputIsNotAFile) {
  const std::string json = scratch_file("closed.json", "");
  const ProgramResult result =
      run_leat(run_digits({"--json=" + json}), [] { close(STDOUT_FILENO); });
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(read_file(json, 1 << 20)->starts_with("{"));
}

TEST(CliEnds, AnErrorThatCannotBeSaidIsStillOne) {
  EXPECT_EQ(run_leat({"run", "missing"}, [] { close(STDERR_FILENO); }).exit_code, 1);
  EXPECT_EQ(run_leat({"run", "missing"}, [] { redirect("/dev/full", STDERR_FILENO); }).exit_code,
            1);
  EXPECT_EQ(run_leat({"fly"}, [] { close(STDERR_FILENO); }).exit_code, 2);
}

TEST(CliEnds, AFileBeyondTheLimitIsAnError) {
  const std::string json = scratch_path("large.json");
  const ProgramResult result = run_leat(run_digits({"--no-cache", "--json=" + json}), [] {
    const rlimit limit = {16, 16};
    setrlimit(RLIMIT_FSIZE, &limit);
    redirect("/dev/null", STDOUT_FILENO);
    dup2(STDOUT_FILENO, STDERR_FILENO);
  });
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(json));
}

TEST(CliEnds, SignalsEndTheProgram) {
  const std::vector<std::string> arguments = run_digits({"--repeat", "1000000"});
  EXPECT_EQ(interrupt_leat(arguments, 300, SIGTERM).exit_code, 128 + SIGTERM);
  EXPECT_EQ(interrupt_leat(arguments, 300, SIGHUP).exit_code, 128 + SIGHUP);
}

// --- Outputs -------------------------------------------------------------------------------------

TEST(CliEnds, BadOutputsAreRefusedBeforeTheRun) {
  const std::string folder = scratch_path("");
  const std::string pipe = scratch_path("pipe");
  mkfifo(pipe.c_str(), 0600);
  const std::string read_only = scratch_file("read_only.json", "old");
  chmod(read_only.c_str(), 0444);
  const std::string file = scratch_path("same.npy");
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--json=" + folder}, "it is a folder"},
      {{"--json=" + pipe}, "a pipe"},
      {{"--json=" + read_only}, "read-only"},
      {{"--json=" + scratch_path("missing/x.json")}, "No such file"},
      {{"--trace", scratch_path("missing/x.json")}, "No such file"},
      {{"--output", scratch_path("missing/x.npy")}, "No such file"},
      {{"--json=" + file, "--output", file}, "the same file"},
      {{"--json=" + file, "--trace", scratch_path("./same.npy")}, "the same file"},
  };
  for (const auto& [arguments, part] : cases) {
    const ProgramResult result = run_leat(run_digits(arguments));
    expect_sentence(result, part);
    EXPECT_TRUE(result.out.empty());
  }
  EXPECT_EQ(*read_file(read_only, 100), "old");
}

TEST(CliEnds, DevicesAreWrittenAndStay) {
  EXPECT_EQ(run_leat(run_digits({"--json=/dev/null", "--trace", "/dev/null"})).exit_code, 0);
  struct stat facts {};
  ASSERT_EQ(stat("/dev/null", &facts), 0);
  EXPECT_TRUE(S_ISCHR(facts.st_mode));
  expect_sentence(run_leat(run_digits({"--json=/dev/full"})), "No space left");
  const ProgramResult result = run_leat(run_digits({"--json=/dev/stdout"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("\"route\""), std::string::npos);
}

// --- Configuration -------------------------------------------------------------------------------

TEST(CliEnds, VariablesThatHoldNonsenseAreRefused) {
  for (const char* text : {"abc", "0", "-1", "4294967297"}) {
    const ProgramResult result = run_leat(run_digits(), [&] { setenv("LEAT_THREADS", text, 1); });
    expect_sentence(result, "LEAT_THREADS (" + std::string(text) + ")");
  }
}

#ifndef PR_SET_MDWE  // Linux 6.3. Source: include/uapi/linux/prctl.h
#define PR_SET_MDWE 65
#endif
#ifndef PR_MDWE_REFUSE_EXEC_GAIN
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

bool deny_written_code() { return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0; }

// Software drivers write code, too, and crash when they may not run it.
TEST(CliEnds, WhereWrittenCodeMayNotRunItIsSaid) {
  if (run_leat({"--version"}, [] { deny_written_code() ? void() : _exit(77); }).exit_code == 77) {
    GTEST_SKIP() << "This kernel has no PR_SET_MDWE.";
  }
  const auto deny = [] { deny_written_code(); };
  expect_sentence(run_leat(run_digits(), deny), "may not run code that it makes");
  for (const char* command : {"devices", "doctor"}) {
    const ProgramResult result = run_leat({command}, deny);
    EXPECT_LE(result.exit_code, 1) << result.err;
    const bool has_none = result.out.find("No device can be used") != std::string::npos;
    EXPECT_TRUE(!has_none || result.exit_code == 1) << result.out;
    EXPECT_NE(result.out.find("may not run code that it makes"), std::string::npos) << result.out;
  }
}

}  // namespace
}  // namespace leat
