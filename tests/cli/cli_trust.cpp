// The cache of `leat` under attack: what others could have written is never run, what is refused is
// replaced, and the program's output does not change.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/leat_program.h"

namespace leat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kSeven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";

class CliTrust : public testing::Test {
 protected:
  void SetUp() override {
    home_ = scratch_path(testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(home_);
  }

  ProgramResult run() const {
    return run_leat({"run", kDigits, "--input", kSeven, "--device", "cpu", "--json", "--top", "1"},
                    [&] { setenv("XDG_CACHE_HOME", home_.c_str(), 1); });
  }
  /// How many kernels a start compiles, which answers as it should, in JSON and nothing else.
  int compiled(const char* what) const {
    const ProgramResult result = run();
    EXPECT_EQ(result.exit_code, 0) << what << ": " << result.err;
    const Json object = Json::parse(result.out, nullptr, false);
    EXPECT_TRUE(object.is_object()) << what << ": " << result.out;
    if (!object.is_object()) return -1;
    EXPECT_EQ(object["top"][0]["index"], 7) << what;
    return object["compiled"];
  }
  /// The entries a warm start reads: the kernel that measures the processor's peak, which sorts
  /// anywhere among them, is read only where no peak is kept.
  std::vector<fs::path> kernels() const {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(home_ + "/leat")) {
      if (entry.path().filename().string().starts_with("kernel-")) paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    std::erase_if(paths, [&](const fs::path& path) {
      const fs::path aside = home_ + "/aside";
      fs::rename(path, aside);
      const bool unread = compiled("one less") == 0;
      if (unread) fs::rename(aside, path);
      return unread;
    });
    return paths;
  }

  std::string home_;
};

TEST_F(CliTrust, EntriesThatAreNotBelievedAreCompiledAnew) {
  ASSERT_GT(compiled("cold"), 0);
  ASSERT_EQ(compiled("warm"), 0);
  const std::vector<fs::path> paths = kernels();
  ASSERT_GE(paths.size(), 4u);
  const fs::path& first = paths[0];
  const auto spoil = [&](const char* what, const std::function<void()>& change) {
    change();
    EXPECT_GT(compiled(what), 0) << what;
    EXPECT_EQ(compiled("mended"), 0) << what;
  };
  spoil("swapped", [&] { fs::copy_file(paths[1], first, fs::copy_options::overwrite_existing); });
  spoil("group-writable", [&] { chmod(first.c_str(), 0660); });
  spoil("world-readable", [&] { chmod(first.c_str(), 0644); });
  spoil("truncated", [&] { fs::resize_file(first, fs::file_size(first) / 2); });
  spoil("empty", [&] { fs::resize_file(first, 0); });
  spoil("linked", [&] {
    fs::rename(first, home_ + "/elsewhere");
    fs::create_symlink(home_ + "/elsewhere", first);
  });
  spoil("of two names", [&] {
    fs::remove(home_ + "/elsewhere");
    fs::create_hard_link(first, home_ + "/elsewhere");
  });
  spoil("a pipe", [&] {
    fs::remove(first);
    mkfifo(first.c_str(), 0600);
  });
  if (geteuid() == 0) spoil("another's", [&] { ASSERT_EQ(chown(first.c_str(), 65534, 65534), 0); });
}

TEST_F(CliTrust, AFolderThatOthersCanWriteIsNotUsedAndThatIsSaidOnce) {
  ASSERT_GT(compiled("cold"), 0);
  chmod((home_ + "/leat").c_str(), 0777);
  const ProgramResult result = run();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find("others may write it"), std::string::npos) << result.err;
  EXPECT_GT(Json::parse(result.out, nullptr, false)["compiled"], 0);
}

TEST_F(CliTrust, ASecretThatCannotBeKeptIsSaidOnce) {
  const auto run_at_home = [&] {
    return run_leat({"run", kDigits, "--input", kSeven, "--device", "cpu", "--json"}, [&] {
      setenv("XDG_CACHE_HOME", home_.c_str(), 1);
      setenv("XDG_STATE_HOME", (home_ + "/state").c_str(), 1);
    });
  };
  fs::create_directories(home_ + "/state/leat/secret/in the way");
  const ProgramResult result = run_at_home();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find("secret cannot be kept"), std::string::npos) << result.err;
}

/// Lets the file's program do to files what it likes, for whoever starts it. False where the system
/// lends no rights: to users, on a mount without, or to a process that has renounced them.
bool lend_rights(const std::string& file) {
  struct statvfs mount {};
  const bool is_heeded = statvfs(file.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) == 0 &&
                         prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
  if (geteuid() != 0 || !is_heeded) return false;
  // Source: include/uapi/linux/capability.h, vfs_cap_data of revision 2; CAP_DAC_OVERRIDE is 1.
  const uint32_t capability[] = {0x02000001, 1u << 1, 0, 0, 0};
  return setxattr(file.c_str(), "security.capability", capability, sizeof capability, 0) == 0;
}

TEST_F(CliTrust, ProgramsOfBorrowedRightsBelieveNoVariableAndLendNothing) {
  const std::string program = scratch_path("leat-lent");
  fs::copy_file(LEAT_PROGRAM, program, fs::copy_options::overwrite_existing);
  if (!lend_rights(program)) GTEST_SKIP() << "No rights can be lent here.";
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "The leak sanitizer may not look into a program of borrowed rights.";
#endif
  const auto become_nobody = [] {
    setenv("EGL_LOG_LEVEL", "debug", 1);  // Mesa: heeded whatever the rights are
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(77);
  };
  EXPECT_EQ(run_leat({"devices"}, become_nobody, program).err, "");
  const std::string secret = scratch_file("labels", "secret words\n");
  fs::permissions(secret, fs::perms::owner_read);
  const ProgramResult result = run_leat(
      {"run", kDigits, "--input", kSeven, "--device", "cpu", "--top", "10", "--labels", secret},
      become_nobody, program);
  EXPECT_EQ(result.exit_code, 1) << result.out;
  EXPECT_NE(result.err.find("Permission denied"), std::string::npos) << result.err;
}

// XDG Base Directory Specification: a path that is not absolute is to be ignored.
TEST_F(CliTrust, ARelativeCacheIsIgnored) {
  const ProgramResult result =
      run_leat({"run", kDigits, "--input", kSeven, "--device", "cpu", "--json"}, [&] {
        setenv("HOME", home_.c_str(), 1);
        setenv("XDG_CACHE_HOME", "relative", 1);
        fs::create_directories(home_ + "/cwd");
        if (chdir((home_ + "/cwd").c_str()) != 0) _exit(77);
      });
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::is_empty(home_ + "/cwd"));
  EXPECT_TRUE(fs::exists(home_ + "/.cache/leat"));
}

TEST_F(CliTrust, StartsAtOnceAndKillsLeaveAGoodCache) {
  for (int round = 0; round < 3; ++round) {
    interrupt_leat({"run", kDigits, "--input", kSeven, "--device", "cpu"}, 40 + 20 * round,
                   SIGKILL);
  }
  ASSERT_GE(compiled("after kills"), 0);
  EXPECT_EQ(compiled("warm"), 0);
}

}  // namespace
}  // namespace leat
