#include "tests/amd/amd_sdma.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace leat::amd_card {
namespace {

constexpr uint64_t kRing = 0x200000000000, kData = 0x200001000000;
constexpr uint32_t kHigh = 0x2000;

class SdmaTest : public testing::Test {
 protected:
  SdmaTest() {
    const auto map = [&](uint64_t va, std::vector<uint32_t>& words, uint8_t access) {
      CHECK(
          memory_.map(va, words.size() * 4, reinterpret_cast<uint8_t*>(words.data()), access, "x"));
    };
    map(kRing, ring_, kRead);
    map(kData, data_, kRead | kWrite);
  }
  Result<void> run(const std::vector<uint32_t>& words) {
    for (const uint32_t word : words) ring_[write_ / 4 % ring_.size()] = word, write_ += 4;
    return sdma_.run_ring(kRing, ring_.size() * 4, read_, write_);
  }
  static uint32_t low(uint32_t index) { return uint32_t(kData) + 4 * index; }

  std::vector<uint32_t> ring_ = std::vector<uint32_t>(1024), data_ = ring_;
  GpuMemory memory_;
  SdmaProcessor sdma_{memory_};
  uint64_t read_ = 0, write_ = 0;
};

TEST_F(SdmaTest, CopiesFillsAndFences) {
  uint32_t context = 0;
  sdma_.on_interrupt = [&](uint32_t c) { context = c; };
  const auto done = run({0,  // NOP
                         2,
                         low(0),
                         kHigh,
                         1,
                         11,
                         12,  // WRITE two words
                         1,
                         7,
                         0,
                         low(0),
                         kHigh,
                         low(8),
                         kHigh,  // COPY them
                         11 | 2U << 30,
                         low(16),
                         kHigh,
                         77,
                         15,  // FILL four
                         5 | 3 << 16,
                         low(32),
                         kHigh,
                         9,  // FENCE
                         6,
                         3});  // TRAP
  ASSERT_TRUE(done.has_value()) << done.error().message();
  EXPECT_EQ(data_[8], 11u);
  EXPECT_EQ(data_[9], 12u);
  EXPECT_EQ(data_[19], 77u);
  EXPECT_EQ(data_[20], 0u);
  EXPECT_EQ(data_[32], 9u);
  EXPECT_EQ(context, 3u);
  EXPECT_EQ(read_, write_);
}

TEST_F(SdmaTest, WaitsForMemory) {
  ASSERT_TRUE(
      run({8 | 3U << 28 | 1U << 31, low(1), kHigh, 5, ~0U, 4, 5 | 3 << 16, low(2), kHigh, 1})
          .has_value());
  EXPECT_TRUE(sdma_.is_waiting());
  EXPECT_EQ(data_[2], 0u);
  data_[1] = 5;
  ASSERT_TRUE(run({}).has_value());
  EXPECT_FALSE(sdma_.is_waiting());
  EXPECT_EQ(data_[2], 1u);
}

TEST_F(SdmaTest, RefusesWhatItDoesNotKnow) {
  const auto refuses = [&](const std::vector<uint32_t>& words) {
    read_ = write_ = 0;
    return !run(words).has_value();
  };
  EXPECT_TRUE(refuses({99}));
  EXPECT_TRUE(refuses({1 | 1 << 8, 7, 0, low(0), kHigh, low(8), kHigh}));  // another sub-opcode
  EXPECT_TRUE(refuses({1, 7, 1, low(0), kHigh, low(8), kHigh}));           // a parameter
  EXPECT_TRUE(refuses({1, 7, 0, 0, 0, low(8), kHigh}));                    // unmapped
  EXPECT_TRUE(refuses({5, low(0), kHigh, 1}));                             // a cached fence
  EXPECT_TRUE(refuses({5 | 3 << 16, low(0) + 2, kHigh, 1}));
  EXPECT_TRUE(refuses({1, 7, 0, low(0)}));  // cut short
}

}  // namespace
}  // namespace leat::amd_card
