// What is refused as a cubin, and that no damage makes the check read outside the file.
#include "leat/route/cubin.h"

#include <gtest/gtest.h>

#include <random>

#include "leat/route/cubin_sample_test.h"
#include "leat/route/nvidia_target.h"

namespace leat {
namespace {

Target hopper() {
  return nvidia_target({.capability_major = 9, .capability_minor = 0, .shared_bytes_max = 65536});
}

void expect_refusal(const KernelBinary& binary, const std::string& reason) {
  const Result<void> checked = check_cubin(binary, hopper());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::io);
  EXPECT_NE(checked.error().message().find(reason), std::string::npos) << checked.error().message();
}

TEST(Cubin, TakesARightOne) {
  const Result<void> checked = check_cubin(sample_binary(), hopper());
  EXPECT_TRUE(checked) << checked.error().message();
}

TEST(Cubin, RefusesWhatIsNotPromised) {
  expect_refusal(sample_binary({.architecture = 80}), "(sm_80)");
  expect_refusal(sample_binary({.machine = 62}), "machine (62)");
  expect_refusal(sample_binary({.entry = "leat_other"}), "entry (leat_sample)");
  expect_refusal(sample_binary({.parameters = 3}), "(2) buffers");
  expect_refusal(sample_binary({.parameter_bytes = 4}), "(2) buffers");
  KernelBinary empty = sample_binary();
  empty.code.clear();
  expect_refusal(empty, "ELF");
  KernelBinary text = sample_binary();
  text.code[0] = std::byte{'x'};
  expect_refusal(text, "ELF");
}

TEST(Cubin, RefusesEveryTruncation) {
  const KernelBinary whole = sample_binary();
  for (size_t size_bytes = 0; size_bytes < whole.code.size(); ++size_bytes) {
    KernelBinary cut = whole;
    cut.code.resize(size_bytes);
    cut.code.shrink_to_fit();  // so that the address sanitizer sees a read behind the end
    EXPECT_FALSE(check_cubin(cut, hopper())) << size_bytes;
  }
}

// Damage that leaves the checked parts right is taken; the cache has a checksum for that.
TEST(Cubin, SurvivesRandomDamage) {
  std::mt19937 random(1);
  size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    KernelBinary damaged = sample_binary();
    for (int i = 0; i < 4; ++i) {
      damaged.code[random() % damaged.code.size()] = static_cast<std::byte>(random() % 256);
    }
    refused += check_cubin(damaged, hopper()) ? 0 : 1;
  }
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace leat
