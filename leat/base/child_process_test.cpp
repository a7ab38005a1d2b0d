// Whatever a child does, the parent gets an answer.
#include "leat/base/child_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace leat {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

std::string error_of(const std::function<std::string()>& work, uint64_t timeout_ns = kSecondNs) {
  const Result<std::string> answer = run_in_child(work, timeout_ns);
  return answer ? "none" : answer.error().message();
}

TEST(ChildProcess, GivesTheAnswer) {
  const std::string large(300'000, 'x');
  const Result<std::string> answer = run_in_child([&] { return large; }, 10 * kSecondNs);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(*answer, large);
  EXPECT_EQ(*run_in_child([] { return std::string(); }, kSecondNs), "");
}

TEST(ChildProcess, ACrashIsAnError) {
  const auto crash = []() -> std::string {
    signal(SIGSEGV, SIG_DFL);  // the sanitizers' handler would report it
    raise(SIGSEGV);
    return "";
  };
  EXPECT_EQ(error_of(crash),
            "The process that asked it was ended by signal 11 (Segmentation fault).");
}

TEST(ChildProcess, AnEarlyEndIsAnError) {
  EXPECT_EQ(error_of([]() -> std::string { _exit(3); }),
            "The process that asked it ended with exit code (3).");
}

TEST(ChildProcess, AHangIsAnError) {
  const auto hang = []() -> std::string {
    while (true) pause();
  };
  EXPECT_EQ(error_of(hang, kSecondNs / 20), "The process that asked it does not answer in time.");
}

TEST(ChildProcess, AnAnswerBeyondTheLimitIsAnError) {
  EXPECT_EQ(error_of([] { return std::string(size_t{2} << 20, 'x'); }),
            "The process that asked it answers more than (1048576) bytes.");
  const auto large = [] { return std::string(size_t{2} << 20, 'x'); };
  EXPECT_TRUE(run_in_child(large, 10 * kSecondNs, nullptr, size_t{2} << 20));
}

}  // namespace
}  // namespace leat
