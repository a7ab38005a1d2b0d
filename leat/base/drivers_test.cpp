// What drivers are let see of the environment, each case in a child: it is settled once a process.
#include "leat/base/drivers.h"

#include <cstdlib>

#include "leat/base/child_process.h"
#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

constexpr uint64_t kTimeoutNs = 10'000'000'000;
constexpr uid_t kNobody = 65534;

std::string value_of(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "-" : value;
}

class Drivers : public ScratchFolder {
 protected:
  /// "true 0 1" when Mesa's, NVIDIA's and CUDA's are off, "- - -" when none is.
  std::string switches(const std::function<void()>& prepare) const {
    const auto work = [&] {
      for (const char* name : {"MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "CUDA_CACHE_PATH",
                               "__GL_SHADER_DISK_CACHE_PATH", "MESA_SHADER_CACHE_DISABLE",
                               "__GL_SHADER_DISK_CACHE", "CUDA_CACHE_DISABLE"}) {
        unsetenv(name);
      }
      setenv("HOME", folder_.c_str(), 1);
      setenv("XDG_CACHE_HOME", path("cache").c_str(), 1);
      mkdir(path("cache").c_str(), 0700);
      prepare();
      guard_environment();
      return value_of("MESA_SHADER_CACHE_DISABLE") + " " + value_of("__GL_SHADER_DISK_CACHE") +
             " " + value_of("CUDA_CACHE_DISABLE");
    };
    const Result<std::string> answer = run_in_child(work, kTimeoutNs);
    return answer ? *answer : answer.error().message();
  }
};

TEST_F(Drivers, ACacheOfTheUsersStaysAsItIs) {
  EXPECT_EQ(switches([] {}), "- - -");
  EXPECT_EQ(switches([&] { mkdir(path("cache/mesa_shader_cache").c_str(), 0755); }), "- - -");
}

TEST_F(Drivers, ACacheThatOthersCouldWriteIsOff) {
  EXPECT_EQ(switches([&] { chmod(path("cache").c_str(), 0770); }), "true 0 -");
  EXPECT_EQ(switches([&] { chmod(path("cache").c_str(), 01777); }), "true 0 -");  // or make
  chmod(path("cache").c_str(), 0700);
  EXPECT_EQ(switches([&] {
              mkdir(path("cache/mesa_shader_cache").c_str(), 0700);
              chmod(path("cache/mesa_shader_cache").c_str(), 0777);
            }),
            "true - -");
  EXPECT_EQ(switches([&] { chmod(folder_.c_str(), 0777); }), "true 0 1");
}

TEST_F(Drivers, VariablesThatNameItsFolderCount) {
  mkdir(path("open").c_str(), 0700);
  chmod(path("open").c_str(), 0777);
  for (const char* name :
       {"MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"}) {
    const bool is_mesa = std::string(name).starts_with("MESA");
    EXPECT_EQ(switches([&] { setenv(name, path("open").c_str(), 1); }),
              is_mesa ? "true - -" : "- 0 -");
  }
  EXPECT_EQ(switches([&] { setenv("CUDA_CACHE_PATH", path("open").c_str(), 1); }), "- - 1");
  EXPECT_EQ(switches([&] { setenv("XDG_CACHE_HOME", "relative", 1); }), "true 0 -");
}

// The cache is open to others, but the user has the driver keep its code elsewhere.
TEST_F(Drivers, WhatTheUserMeantIsLeftAlone) {
  mkdir(path("mine").c_str(), 0700);
  EXPECT_EQ(switches([&] {
              chmod(path("cache").c_str(), 0777);
              setenv("MESA_SHADER_CACHE_DIR", path("mine").c_str(), 1);
            }),
            "- 0 -");
}

TEST_F(Drivers, LinksAreFollowedToWhatOthersCanWrite) {
  mkdir(path("open").c_str(), 0700);
  chmod(path("open").c_str(), 0777);
  EXPECT_EQ(
      switches([&] { EXPECT_EQ(symlink("../open", path("cache/mesa_shader_cache").c_str()), 0); }),
      "true - -");
}

TEST_F(Drivers, AFolderOfAnothersIsOff) {
  if (geteuid() != 0) GTEST_SKIP() << "Only root can give a folder away.";
  EXPECT_EQ(switches([&] {
              mkdir(path("cache/mesa_shader_cache").c_str(), 0700);
              EXPECT_EQ(chown(path("cache/mesa_shader_cache").c_str(), kNobody, kNobody), 0);
            }),
            "true - -");
}

TEST_F(Drivers, WithBorrowedRightsTheEnvironmentIsEmpty) {
  if (geteuid() != 0) GTEST_SKIP() << "Only root can lend rights.";
  EXPECT_EQ(switches([&] { EXPECT_EQ(seteuid(kNobody), 0); }), "true 0 1");
  const Result<std::string> left = run_in_child(
      [] {
        setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "/tmp/mine.json", 1);
        EXPECT_EQ(seteuid(kNobody), 0);
        guard_environment();
        return value_of("__EGL_VENDOR_LIBRARY_FILENAMES") + value_of("HOME") + value_of("PATH");
      },
      kTimeoutNs);
  ASSERT_TRUE(left) << left.error().message();
  EXPECT_EQ(*left, "---");
}

}  // namespace
}  // namespace leat
