#include "leat/device/memory_hazards.h"

#include <gtest/gtest.h>

#include <random>

namespace leat {
namespace {

using Accesses = std::vector<MemoryAccess>;

TEST(MemoryHazards, OnlyCommandsThatMeetWait) {
  MemoryHazards hazards;
  EXPECT_FALSE(hazards.add(Accesses{{0, 100, false}, {100, 100, true}}));
  EXPECT_FALSE(hazards.add(Accesses{{0, 100, false}, {200, 100, true}}));  // both read the same
  EXPECT_TRUE(hazards.add(Accesses{{250, 1, false}, {300, 10, true}}));    // reads what was written
  EXPECT_FALSE(hazards.add(Accesses{{120, 10, false}}));  // written before the last barrier
  EXPECT_TRUE(hazards.add(Accesses{{129, 10, true}}));    // writes what was read
  EXPECT_TRUE(hazards.add(Accesses{{129, 1, true}}));     // writes what was written
  EXPECT_FALSE(hazards.add(Accesses{{130, 1, true}, {128, 1, true}}));  // its neighbours
  EXPECT_FALSE(hazards.add(Accesses{{129, 1, true, 7}}));               // in another buffer
}

TEST(MemoryHazards, AClosedListWaits) {
  MemoryHazards hazards;
  hazards.close();  // there is nothing to wait for
  EXPECT_FALSE(hazards.add(Accesses{{0, 1, true}}));
  hazards.close();
  EXPECT_TRUE(hazards.add(Accesses{{5, 1, true}}));
  EXPECT_FALSE(hazards.add(Accesses{{6, 1, true}}));
  hazards.close();
  hazards.clear();
  EXPECT_FALSE(hazards.add(Accesses{{6, 1, true}}));
}

TEST(MemoryHazards, ManyCommandsEndInABarrier) {
  MemoryHazards hazards;
  int barriers = 0;
  for (uint64_t i = 0; i < 1000; ++i) barriers += hazards.add(Accesses{{i, 1, true}}) ? 1 : 0;
  EXPECT_EQ(barriers, 3);
}

// Between two commands that meet in a byte, one of them writing it, there is a barrier, whatever
// else happens.
TEST(MemoryHazards, RandomCommandsAgainstBytes) {
  constexpr size_t kBytes = 40;
  std::mt19937 random(3);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  MemoryHazards hazards;
  std::vector<bool> read(kBytes), written(kBytes);
  for (int command = 0; command < 20000; ++command) {
    Accesses accesses;
    for (uint64_t i = 0; i <= below(3); ++i) {
      const uint64_t start = below(kBytes);
      accesses.push_back({start, 1 + below(kBytes - start), below(3) == 0});
    }
    bool meets = false;
    for (const MemoryAccess& access : accesses) {
      for (uint64_t byte = access.address; byte < access.address + access.size_bytes; ++byte) {
        meets |= written[byte] || (access.written && read[byte]);
      }
    }
    ASSERT_EQ(hazards.add(accesses), meets) << "command " << command;
    if (meets) read.assign(kBytes, false), written.assign(kBytes, false);
    for (const MemoryAccess& access : accesses) {
      for (uint64_t byte = access.address; byte < access.address + access.size_bytes; ++byte) {
        (access.written ? written : read)[byte] = true;
      }
    }
  }
}

}  // namespace
}  // namespace leat
