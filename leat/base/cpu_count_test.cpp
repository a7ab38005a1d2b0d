// Limits of control groups, in folders as the kernel shows them.
#include "leat/base/cpu_count.h"

#include <sched.h>

#include <cmath>

#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

class CpuShare : public ScratchFolder {
 protected:
  void limit(const std::string& folder, const std::string& file, const std::string& text) const {
    std::filesystem::create_directories(path(folder));
    write(folder + "/" + file, text);
  }
  double share(const std::string& groups) const { return cpu_share(groups, folder_); }
};

TEST_F(CpuShare, NothingIsNoLimit) {
  for (const char* groups : {"", "0::/", "0::/a/b\n", "nonsense", ":", "::", "1:cpu:/x\n"}) {
    EXPECT_TRUE(std::isinf(share(groups))) << groups;
  }
  limit("a", "cpu.max", "max 100000\n");
  EXPECT_TRUE(std::isinf(share("0::/a\n")));
}

TEST_F(CpuShare, TheTightestGroupAboveCounts) {
  limit("a", "cpu.max", "150000 100000\n");
  limit("a/b", "cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(share("0::/a/b/c\n"), 1.5);
  EXPECT_TRUE(std::isinf(share("0::/ab\n")));
}

TEST_F(CpuShare, AContainerSeesItsGroupAtTheTop) {
  limit("", "cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(share("0::/docker/0123\n"), 0.5);
}

TEST_F(CpuShare, TheFirstVersionHasTwoFiles) {
  limit("cpu/x", "cpu.cfs_quota_us", "200000\n");
  limit("cpu/x", "cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(share("3:cpuset:/\n4:cpu,cpuacct:/x\n0::/\n"), 2);
  limit("cpu/x", "cpu.cfs_quota_us", "-1\n");
  EXPECT_TRUE(std::isinf(share("4:cpu,cpuacct:/x\n")));
}

TEST(UsableCpus, AreNoMoreThanTheAffinity) {
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_GE(usable_cpus(), 1u);
  EXPECT_LE(usable_cpus(), static_cast<uint32_t>(CPU_COUNT(&set)));
}

}  // namespace
}  // namespace leat
