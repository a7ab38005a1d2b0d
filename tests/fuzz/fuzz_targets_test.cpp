// Every target survives seeded changes to its seeds, within its memory. The name of the target, the
// number of the seed and the round are enough to run a failing case again; tools/fuzz looks deeper.
#include <gtest/gtest.h>

#include "tests/fuzz/allocation_watch.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/mutations.h"

namespace leat {
namespace {

constexpr uint32_t kRounds = 1500;  // of all seeds of a target together, times their number

class Fuzz : public testing::TestWithParam<FuzzTarget> {};

TEST_P(Fuzz, SeedsAreTaken) {
  const std::vector<std::string> seeds = seeds_of(GetParam());
  ASSERT_FALSE(seeds.empty());
  uint32_t taken = 0;
  for (const std::string& seed : seeds) {
    EXPECT_LE(seed.size(), GetParam().input_bytes_max);
    taken += GetParam().feed(seed) ? 1 : 0;
  }
  EXPECT_GT(taken, 0u);
}

TEST_P(Fuzz, MutatedBytes) {
  uint32_t taken = 0, number = 0;
  for (const std::string& seed : seeds_of(GetParam())) {
    for (uint32_t round = 0; round < kRounds; ++round) {
      SCOPED_TRACE(testing::Message() << "seed " << number << ", round " << round);
      Random random(round);
      const std::string bytes = mutated_bytes(seed, random);
      reset_largest_allocation();
      taken += GetParam().feed(bytes) ? 1 : 0;
      ASSERT_LE(largest_allocation(), GetParam().allocation_bytes_max);
    }
    ++number;
  }
  EXPECT_GT(taken, 0u) << "mutations are too rough to get through";
}

INSTANTIATE_TEST_SUITE_P(All, Fuzz, testing::ValuesIn(fuzz_targets().begin(), fuzz_targets().end()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace leat
