#include "leat/backend/gpu_nodes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace leat {
namespace {

namespace fs = std::filesystem;

TEST(GpuNodes, AreLookedForByName) {
  const fs::path folder = fs::path(testing::TempDir()) / ("leat_nodes_" + std::to_string(getpid()));
  fs::create_directories(folder);
  const auto has = [&] { return may_have_gpu(folder.string()); };
  EXPECT_FALSE(has());
  for (const char* name : {"null", "tty0", "snd", "fb0", "drivers"}) std::ofstream(folder / name);
  EXPECT_FALSE(has());
  fs::create_directories(folder / "dri");
  EXPECT_FALSE(has()) << "The folder is empty.";
  std::ofstream(folder / "dri" / "renderD128");
  EXPECT_TRUE(has());
  fs::remove_all(folder / "dri");
  for (const char* name : {"nvidiactl", "kfd", "mali0", "kgsl-3d0", "dxg"}) {
    std::ofstream(folder / name);
    EXPECT_TRUE(has()) << name;
    fs::remove(folder / name);
  }
  EXPECT_FALSE(has());
  fs::remove_all(folder);
  EXPECT_TRUE(has()) << "What cannot be looked at may hold one.";
}

}  // namespace
}  // namespace leat
