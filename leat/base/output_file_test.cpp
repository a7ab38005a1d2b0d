// Files that a person asked for: what is kept, what is followed, what is refused, and that a
// refusal comes before the work and a failure leaves the old file.
#include "leat/base/output_file.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <csignal>

#include "leat/base/child_process.h"
#include "leat/base/scratch_folder_test.h"
#include "leat/base/unique_fd.h"

namespace leat {
namespace {

class OutputFileTest : public ScratchFolder {
 protected:
  /// Both say the same; the check before the work changes nothing.
  void expect_refused(const std::string& file, const std::string& part) {
    const std::vector<std::string> paths = {file};
    const Result<void> checked = check_outputs(paths);
    const Result<void> written = write_file(file, "new");
    ASSERT_FALSE(checked) << file;
    ASSERT_FALSE(written) << file;
    EXPECT_NE(checked.error().message().find(part), std::string::npos) << checked.error().message();
    EXPECT_EQ(checked.error().message(), written.error().message());
  }
  void expect_written(const std::string& file) {
    const std::vector<std::string> paths = {file};
    const Result<void> checked = check_outputs(paths);
    EXPECT_TRUE(checked) << checked.error().message();
    const Result<void> written = write_file(file, "new");
    EXPECT_TRUE(written) << written.error().message();
  }
  static bool is_one_file(const std::string& a, const std::string& b) {
    const std::vector<std::string> paths = {a, b};
    return !check_outputs(paths);
  }
};

TEST_F(OutputFileTest, ANewFileHasTheUsualPermissions) {
  const mode_t before = umask(027);
  expect_written(path("new"));
  umask(before);
  EXPECT_EQ(bytes_of(path("new")), "new");
  EXPECT_EQ(mode_of(path("new")), S_IFREG | 0640u);
  EXPECT_EQ(count(), 1u) << "no draft is left";
}

TEST_F(OutputFileTest, AFileKeepsItsPermissionsAndItsOwner) {
  const std::string file = write("secret", "old and longer", 0600);
  if (geteuid() == 0) {
    ASSERT_EQ(chown(file.c_str(), kNobody, kNobody), 0);
  }
  expect_written(file);
  EXPECT_EQ(bytes_of(file), "new");
  EXPECT_EQ(mode_of(file), S_IFREG | 0600u);
  struct stat facts {};
  ASSERT_EQ(stat(file.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_uid, geteuid() == 0 ? kNobody : geteuid());
}

TEST_F(OutputFileTest, LinksOfOthersAreNotFollowedWhereverTheyStand) {
  if (geteuid() != 0) GTEST_SKIP() << "Only root can make links of others.";
  const std::string victim = write("victim", "old", 0600);
  ASSERT_EQ(mkdir(path("shared").c_str(), 0777), 0);
  ASSERT_EQ(chmod(path("shared").c_str(), 01777), 0);
  const auto plant = [&](const std::string& target, const std::string& link) {
    ASSERT_EQ(symlink(target.c_str(), path(link).c_str()), 0);
    ASSERT_EQ(lchown(path(link).c_str(), kNobody, kNobody), 0);
  };
  plant(victim, "shared/file");
  plant(path(""), "shared/folder");
  ASSERT_EQ(symlink("shared/file", path("own").c_str()), 0);
  expect_refused(path("shared/file"), "link of user");
  expect_refused(path("shared/folder/victim"), "link of user");
  expect_refused(path("own"), "link of user");
  for (const mode_t mode : {0777u, 01775u}) {
    ASSERT_EQ(chmod(path("shared").c_str(), mode), 0);
    expect_refused(path("shared/file"), "link of user");
  }
  EXPECT_EQ(bytes_of(victim), "old");
}

TEST_F(OutputFileTest, AnInputIsNoOutput) {
  const std::string file = write("input", "old", 0600);
  ASSERT_EQ(link(file.c_str(), path("other").c_str()), 0);
  const std::vector<std::string> inputs = {file};
  for (const std::string& name : {file, path("other")}) {
    EXPECT_FALSE(check_outputs(std::vector<std::string>{name}, inputs)) << name;
  }
  EXPECT_TRUE(check_outputs(std::vector<std::string>{path("third")}, inputs));
}

TEST_F(OutputFileTest, ALinkStaysAndWhatItLeadsToIsReplaced) {
  const std::string file = write("file", "old", 0640);
  ASSERT_EQ(symlink("file", path("link").c_str()), 0);
  ASSERT_EQ(symlink(path("link").c_str(), path("second").c_str()), 0);
  expect_written(path("second"));
  EXPECT_TRUE(S_ISLNK(mode_of(path("link"))));
  EXPECT_TRUE(S_ISLNK(mode_of(path("second"))));
  EXPECT_EQ(bytes_of(file), "new");
  EXPECT_EQ(mode_of(file), S_IFREG | 0640u);
}

TEST_F(OutputFileTest, ALinkThatSomebodyPlantedIsNotFollowed) {
  if (geteuid() != 0) GTEST_SKIP() << "Only root can plant a link in another's name.";
  const std::string file = write("file", "old");
  ASSERT_EQ(mkdir(path("shared").c_str(), 0700), 0);
  ASSERT_EQ(chmod(path("shared").c_str(), 01777), 0);
  ASSERT_EQ(symlink(file.c_str(), path("shared/link").c_str()), 0);
  ASSERT_EQ(lchown(path("shared/link").c_str(), kNobody, kNobody), 0);
  const Result<void> written = write_file(path("shared/link"), "new");
  EXPECT_FALSE(written);
  EXPECT_EQ(bytes_of(file), "old");
}

TEST_F(OutputFileTest, WhatIsNoFileIsRefused) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  ASSERT_EQ(symlink(path("nowhere").c_str(), path("link").c_str()), 0);
  ASSERT_EQ(symlink("loop", path("loop").c_str()), 0);
  const UniqueFd server(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {.sun_family = AF_UNIX};
  path("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refused(path("pipe"), "a pipe, a socket or a disk");
  expect_refused(path("socket"), "a pipe, a socket or a disk");
  expect_refused(path("link"), "leads nowhere");
  expect_refused(path("loop"), "symbolic links");
  expect_refused(folder_, "it is a folder");
  expect_refused(folder_ + "/", "it is a folder");
  expect_refused(path("new/"), "folder \"new\"");
  expect_refused(path("missing/file"), "No such file");
}

TEST_F(OutputFileTest, AReadOnlyFileIsRefused) {
  const std::string file = write("file", "old", 0444);
  expect_refused(file, "read-only");
  EXPECT_EQ(bytes_of(file), "old");
}

TEST_F(OutputFileTest, AFolderThatTakesNoFilesIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "Root may write any folder.";
  ASSERT_EQ(chmod(folder_.c_str(), 0500), 0);
  expect_refused(path("new"), "Permission denied");
  ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
}

// As in a bare chroot: a draft has no name by which it could be linked.
TEST_F(OutputFileTest, WithoutProcFilesAreWrittenAsWell) {
  const auto write_two = [&] {
    const bool is_alone = unshare(CLONE_NEWNS) == 0 &&
                          mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          umount2("/proc", MNT_DETACH) == 0;
    if (!is_alone) return std::string("skip");
    std::string text;
    for (const std::string& file : {path("new"), path("old")}) {
      const Result<void> checked = check_outputs(std::vector<std::string>{file});
      const Result<void> written = write_file(file, "new");
      text += checked ? "" : checked.error().message();
      text += written ? "" : written.error().message();
    }
    return text;
  };
  write("old", "old", 0640);
  const Result<std::string> text = run_in_child(write_two, 10'000'000'000);
  ASSERT_TRUE(text) << text.error().message();
  if (*text == "skip") GTEST_SKIP() << "Only root can take /proc away.";
  EXPECT_EQ(*text, "");
  EXPECT_EQ(bytes_of(path("new")), "new");
  EXPECT_EQ(bytes_of(path("old")), "new");
  EXPECT_EQ(mode_of(path("old")), S_IFREG | 0640u);
  EXPECT_EQ(count(), 2u) << "no draft is left";
}

TEST_F(OutputFileTest, DevicesAreWrittenAndStay) {
  expect_written("/dev/null");
  EXPECT_TRUE(S_ISCHR(mode_of("/dev/null")));
  const Result<void> full = write_file("/dev/full", "new");
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message().find("No space left"), std::string::npos);
}

TEST_F(OutputFileTest, DescriptorsOfThisProcessAreWritten) {
  int ends[2] = {};
  ASSERT_EQ(pipe(ends), 0);
  expect_written("/dev/fd/" + std::to_string(ends[1]));
  char bytes[8] = {};
  EXPECT_EQ(read(ends[0], bytes, sizeof bytes), 3);
  EXPECT_EQ(std::string(bytes), "new");
  close(ends[0]);
  close(ends[1]);
  expect_refused("/dev/fd/" + std::to_string(ends[1]), "Bad file descriptor");
}

TEST_F(OutputFileTest, TwoOutputsAreTwoFiles) {
  const std::string file = write("file", "old");
  ASSERT_EQ(symlink("file", path("link").c_str()), 0);
  ASSERT_EQ(link(file.c_str(), path("second").c_str()), 0);
  EXPECT_TRUE(is_one_file(file, file));
  EXPECT_TRUE(is_one_file(file, path("link")));
  EXPECT_TRUE(is_one_file(file, path("second")));
  EXPECT_TRUE(is_one_file(path("new"), path("./new")));
  EXPECT_FALSE(is_one_file(path("new"), path("newer")));
  EXPECT_FALSE(is_one_file("/dev/null", "/dev/null"));
  EXPECT_FALSE(is_one_file("", ""));
}

TEST_F(OutputFileTest, AFailureLeavesTheOldFileAndNoDraft) {
  const std::string file = write("file", "old");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {4, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Result<void> written = write_file(file, "more than four bytes");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message().find("File too large"), std::string::npos);
  EXPECT_EQ(bytes_of(file), "old");
  EXPECT_EQ(count(), 1u);
}

}  // namespace
}  // namespace leat
