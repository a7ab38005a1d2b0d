// The self-test passes on the CPU and fails on a device that computes nothing.
#include "leat/run/known_answer.h"

#include <gtest/gtest.h>

#include "leat/backend/backends.h"
#include "leat/run/compiling_cpu_test.h"

namespace leat {

namespace {

TEST(SelfTest, PassesOnTheCpu) {
  auto device = open_compiling_cpu(2);
  if (!device) GTEST_SKIP() << "This build has no cpu device: " << device.error().message();
  const Result<void> result = self_test(**device, "");
  EXPECT_TRUE(result) << result.error().message();
}

// Not even where the right answer of a test before lies in the memory that it is given.
TEST(SelfTest, FailsOnADeviceThatComputesNothing) {
  for (int i = 0; i < 3; ++i) {
    const auto cpu = open_compiling_cpu(1);
    if (cpu) {
      ASSERT_TRUE(self_test(**cpu, ""));
    }
    auto device = open_device("null", 1);
    ASSERT_TRUE(device) << device.error().message();
    const Result<void> result = self_test(**device, "");
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message().find("fails its self-test"), std::string::npos)
        << result.error().message();
  }
}

// As a pack may hold it.
TEST(SelfTest, RefusesAnotherQuestion) {
  auto device = open_device("null", 1);
  ASSERT_TRUE(device) << device.error().message();
  const auto network = Network::load(**device, RunPlan(), {});
  ASSERT_TRUE(network) << network.error().message();
  const Result<void> result = check_known_answer(**network);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(result.error().message().find("another self-test"), std::string::npos);
}

}  // namespace

}  // namespace leat
