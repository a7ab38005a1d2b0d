// The Target of NVIDIA chips and the name of their driver.
#include "leat/route/nvidia_target.h"

#include <gtest/gtest.h>

#include "leat/base/nvidia_architecture.h"

namespace leat {
namespace {

TEST(NvidiaTarget, TakesWhatTheDriverSays) {
  const NvidiaChip chip = {.capability_major = 9,
                           .capability_minor = 0,
                           .multiprocessors = 132,
                           .shared_bytes_max = 232448,
                           .l2_bytes = 62914560};
  const Target target = nvidia_target(chip);
  EXPECT_EQ(target.format, CodeFormat::cubin);
  EXPECT_EQ(target.llvm_cpu, "sm_90a");
  EXPECT_EQ(target.wave_lanes, 32u);
  EXPECT_EQ(target.compute_units, 132u);
  EXPECT_EQ(target.local_memory_bytes_max, 232448u);
  EXPECT_EQ(target.cache_bytes, 62914560u);
}

TEST(NvidiaTarget, ReadsArchitectures) {
  EXPECT_EQ(nvidia_architecture("sm_90a"), 90u);
  EXPECT_EQ(nvidia_architecture("sm_121"), 121u);
  EXPECT_EQ(nvidia_architecture("x86-64-v3"), 0u);
  EXPECT_EQ(nvidia_architecture("sm_"), 0u);
}

TEST(NvidiaTarget, SharedMemoryAsInTheTableOfCapabilities) {
  const auto kib = [](uint32_t capability) { return nvidia_shared_bytes_max(capability) / 1024; };
  EXPECT_EQ(kib(75), 64u);
  EXPECT_EQ(kib(80), 163u);
  EXPECT_EQ(kib(86), 99u);
  EXPECT_EQ(kib(87), 163u);
  EXPECT_EQ(kib(89), 99u);
  EXPECT_EQ(kib(90), 227u);
  EXPECT_EQ(kib(103), 227u);
  EXPECT_EQ(kib(120), 99u);
}

TEST(NvidiaTarget, FindsTheDriverInItsLine) {
  EXPECT_EQ(nvidia_driver_of("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  "
                             "Release Build  (x@y)  Thu\nGCC version:  gcc version 12.2.0\n"),
            "NVIDIA 580.159.04");
  EXPECT_EQ(nvidia_driver_of("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue"),
            "NVIDIA 535.54.03");
  EXPECT_EQ(nvidia_driver_of("no number\nGCC version 12.2.0"), "NVIDIA");
  EXPECT_EQ(nvidia_driver_of(""), "NVIDIA");
}

}  // namespace
}  // namespace leat
