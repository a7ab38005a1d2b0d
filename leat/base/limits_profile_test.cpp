// Profiles lower what a device offers, and never raise it.
#include "leat/base/limits_profile.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "leat/base/env.h"

namespace leat {
namespace {

class LimitsProfiles : public testing::Test {
 protected:
  void TearDown() override { unsetenv("LEAT_AS"); }

  static Target limited(const std::string& profile, Target target) {
    limit_as(target, profile);
    return target;
  }
  static Target large() {
    Target target;
    target.name = "large";
    target.format = CodeFormat::spirv_pointers;
    target.lanes_per_workgroup_max = 1024;
    target.local_memory_bytes_max = 1u << 17;
    target.buffer_bindings_max = 64;
    target.shader_64bit = true;
    target.compute_units = 100;
    return target;
  }
};

TEST_F(LimitsProfiles, EachIsWholeAndNamed) {
  std::set<std::string_view> names;
  for (const LimitsProfile& profile : limits_profiles()) {
    EXPECT_TRUE(names.insert(profile.name).second) << profile.name;
    EXPECT_FALSE(profile.source.empty()) << profile.name;
    EXPECT_EQ(profile.lanes_per_workgroup_max % profile.wave_lanes, 0u) << profile.name;
    EXPECT_EQ(find_limits_profile(profile.name), &profile);
    setenv("LEAT_AS", std::string(profile.name).c_str(), 1);
    EXPECT_TRUE(check_env());
  }
  EXPECT_GE(names.size(), 5u);
}

TEST_F(LimitsProfiles, TheLessOfBothHolds) {
  const LimitsProfile& phone = *find_limits_profile("mali-g52");
  const Target as_phone = limited("mali-g52", large());
  EXPECT_EQ(as_phone.wave_lanes, phone.wave_lanes);
  EXPECT_EQ(as_phone.lanes_per_workgroup_max, phone.lanes_per_workgroup_max);
  EXPECT_EQ(as_phone.local_memory_bytes_max, phone.local_memory_bytes_max);
  EXPECT_EQ(as_phone.buffer_bindings_max, phone.buffer_bindings_max);
  EXPECT_EQ(as_phone.argument_bytes_max, phone.argument_bytes_max);
  EXPECT_EQ(as_phone.format, CodeFormat::spirv_bindings);
  EXPECT_FALSE(as_phone.storage_f16 || as_phone.shader_64bit);
  EXPECT_EQ(as_phone.name, "large as mali-g52");
  Target small = large();
  small.lanes_per_workgroup_max = 64;
  small.buffer_bindings_max = 5;
  small.storage_f16 = false;
  const Target as_adreno = limited("adreno-630", small);
  EXPECT_EQ(as_adreno.lanes_per_workgroup_max, 64u);
  EXPECT_EQ(as_adreno.buffer_bindings_max, 5u);
  EXPECT_FALSE(as_adreno.storage_f16);
}

TEST_F(LimitsProfiles, WithoutANameNothingChanges) {
  EXPECT_EQ(limited("", large()), large());
  setenv("LEAT_AS", "iphone", 1);
  const Result<void> checked = check_env();
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("v3d"), std::string::npos) << checked.error().message();
}

}  // namespace
}  // namespace leat
