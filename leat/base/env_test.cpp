// What variables may hold, and that what they may not is said.
#include "leat/base/env.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace leat {
namespace {

class Env : public testing::Test {
 protected:
  void TearDown() override {
    unsetenv("LEAT_THREADS");
    unsetenv("LEAT_CACHE");
  }
};

TEST_F(Env, UnsetAndEmptyAreTheFallback) {
  unsetenv("LEAT_THREADS");
  EXPECT_EQ(env_count("LEAT_THREADS", 7), 7u);
  setenv("LEAT_THREADS", "", 1);
  EXPECT_EQ(env_count("LEAT_THREADS", 7), 7u);
  EXPECT_TRUE(check_env());
  EXPECT_TRUE(env_flag("LEAT_CACHE", true));
  EXPECT_FALSE(env_flag("LEAT_CACHE"));
}

TEST_F(Env, CountsAreWholeNumbersWithinLimits) {
  for (const char* text : {"1", "4", "4096"}) {
    setenv("LEAT_THREADS", text, 1);
    EXPECT_TRUE(check_env()) << text;
    EXPECT_EQ(std::to_string(env_count("LEAT_THREADS", 0)), text);
  }
  for (const char* text : {"abc", "0", "-1", "4097", "4294967297", "18446744073709551617", "4x",
                           " 4", "+4", "4.0", "0x4", "1e2"}) {
    setenv("LEAT_THREADS", text, 1);
    const Result<void> checked = check_env();
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(checked.error().message(), "Environment variable LEAT_THREADS (" + std::string(text) +
                                             ") is no whole number from 1 to 4096.");
    EXPECT_EQ(env_count("LEAT_THREADS", 7), 7u);
  }
}

TEST_F(Env, FlagsAreZeroOrOne) {
  setenv("LEAT_CACHE", "0", 1);
  EXPECT_TRUE(check_env());
  EXPECT_FALSE(env_flag("LEAT_CACHE", true));
  for (const char* text : {"off", "no", "2", "00"}) {
    setenv("LEAT_CACHE", text, 1);
    EXPECT_FALSE(check_env()) << text;
  }
}

}  // namespace
}  // namespace leat
