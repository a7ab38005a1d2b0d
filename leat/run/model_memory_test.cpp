#include "leat/run/model_memory.h"

#include <gtest/gtest.h>

#include "leat/backend/backends.h"

namespace leat {
namespace {

constexpr size_t kBytes = size_t{1} << 20;

TEST(ModelMemory, AnOutgrownArenaGrowsByAQuarter) {
  const std::unique_ptr<Device> device = open_device("cpu", 1).value();
  ModelMemory memory;
  const auto first = memory.arena(*device, kBytes).value();
  EXPECT_EQ(first->size_bytes(), kBytes);
  EXPECT_EQ(memory.arena(*device, kBytes / 2).value(), first);
  const auto second = memory.arena(*device, kBytes + 1).value();
  EXPECT_EQ(second->size_bytes(), kBytes + kBytes / 4);
  EXPECT_EQ(memory.arena(*device, kBytes + kBytes / 4).value(), second);
  EXPECT_EQ(memory.arena(*device, 4 * kBytes).value()->size_bytes(), 4 * kBytes);
}

TEST(ModelMemory, AnArenaThatNobodyHasIsNotOutgrown) {
  const std::unique_ptr<Device> device = open_device("cpu", 1).value();
  ModelMemory memory;
  ASSERT_TRUE(memory.arena(*device, kBytes));
  EXPECT_EQ(memory.arena(*device, kBytes + 1).value()->size_bytes(), kBytes + 1);
}

}  // namespace
}  // namespace leat
