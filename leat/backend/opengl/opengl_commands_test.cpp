// Which of the commands in a list wait for those before them.
#include "leat/backend/opengl/opengl_commands.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

// A receipt is a copy that meets nothing before it, and tells all the same that it is done.
TEST(OpenglCommands, ACopyStartsBehindAllThatStandsBeforeIt) {
  const Buffer out(nullptr, 1, 256, nullptr), ticket(nullptr, 2, 256, nullptr);
  const Buffer receipt(nullptr, 3, 256, nullptr), other(nullptr, 4, 256, nullptr);
  const KernelArgument written = {.written = true};
  const BufferRange to_out = {&out, 0, 256}, to_other = {&other, 0, 256};
  OpenglCommands list;
  list.add_launch(1, {1, 1, 1}, {&to_out, 1}, {&written, 1});
  list.add_launch(1, {1, 1, 1}, {&to_other, 1}, {&written, 1});
  EXPECT_FALSE(list.commands.back().waits);
  list.add_copy({&receipt, 0, 8}, {&ticket, 0, 8});
  EXPECT_TRUE(list.commands.back().waits);
}

TEST(OpenglCommands, LaunchesThatMeetWait) {
  const Buffer a(nullptr, 1, 512, nullptr), b(nullptr, 2, 512, nullptr);
  OpenglCommands list;
  const auto waits = [&](const BufferRange& range, bool written) {
    const KernelArgument role = {.written = written};
    list.add_launch(1, {1, 1, 1}, {&range, 1}, {&role, 1});
    return list.commands.back().waits;
  };
  EXPECT_FALSE(waits({&a, 0, 256}, true));
  EXPECT_FALSE(waits({&a, 256, 256}, true));  // its neighbour
  EXPECT_FALSE(waits({&b, 0, 512}, false));
  EXPECT_TRUE(waits({&a, 252, 8}, false));  // reads the ends of both
  EXPECT_FALSE(waits({&a, 0, 512}, false));
  EXPECT_TRUE(waits({&a, 256, 4}, true));  // writes what was read
  list.add_mark_time(0);
  EXPECT_TRUE(waits({&b, 0, 4}, true));
  list.clear();
  EXPECT_FALSE(waits({&b, 0, 4}, true));
}

}  // namespace
}  // namespace leat
