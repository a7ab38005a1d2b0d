// What a private folder refuses: to be others', to read what is not its user's alone, to wait.
#include "leat/base/private_folder.h"

#include <sys/stat.h>

#include <algorithm>

#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

class PrivateFolderTest : public ScratchFolder {
 protected:
  PrivateFolder open() const { return std::move(PrivateFolder::open(path("mine"))).value(); }
  std::optional<std::string> read(size_t size_bytes_max = 100) const {
    return open().read("entry", size_bytes_max);
  }
  std::string refusal_of(const std::string& name) const {
    const Result<PrivateFolder> folder = PrivateFolder::open(path(name));
    return folder ? "" : folder.error().message();
  }
};

TEST_F(PrivateFolderTest, IsMadeForItsUserAlone) {
  ASSERT_TRUE(PrivateFolder::open(path("a/b/c")));
  EXPECT_EQ(mode_of(path("a")), S_IFDIR | 0700u);
  EXPECT_EQ(mode_of(path("a/b/c")), S_IFDIR | 0700u);
}

TEST_F(PrivateFolderTest, WritesFilesForItsUserAlone) {
  const mode_t before = umask(0);
  EXPECT_FALSE(open().write("entry", "bytes"));
  umask(before);
  EXPECT_EQ(mode_of(path("mine/entry")), S_IFREG | 0600u);
  EXPECT_EQ(read(), "bytes");
  EXPECT_EQ(read(4), std::nullopt) << "larger than the limit";
}

TEST_F(PrivateFolderTest, OneThatOthersCanWriteIsRefused) {
  for (const mode_t mode : {0777u, 0770u, 0702u, 01777u}) {
    ASSERT_FALSE(open().write("entry", "bytes"));
    ASSERT_EQ(chmod(path("mine").c_str(), mode), 0);
    EXPECT_NE(refusal_of("mine").find("others may write it"), std::string::npos);
    ASSERT_EQ(chmod(path("mine").c_str(), 0700), 0);
  }
}

TEST_F(PrivateFolderTest, OneThatOthersCanReadIsClosed) {
  open();
  ASSERT_EQ(chmod(path("mine").c_str(), 0755), 0);
  EXPECT_EQ(refusal_of("mine"), "");
  EXPECT_EQ(mode_of(path("mine")), S_IFDIR | 0700u);
}

TEST_F(PrivateFolderTest, LinksFilesAndRelativePathsAreRefused) {
  open();
  ASSERT_EQ(symlink(path("mine").c_str(), path("link").c_str()), 0);
  write("file", "");
  EXPECT_NE(refusal_of("link").find("it is a link"), std::string::npos) << refusal_of("link");
  EXPECT_NE(refusal_of("file"), "");
  EXPECT_FALSE(PrivateFolder::open("relative"));
  EXPECT_FALSE(PrivateFolder::open(""));
}

TEST_F(PrivateFolderTest, AnothersFolderIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "Only root can give a folder away.";
  open();
  ASSERT_EQ(chown(path("mine").c_str(), kNobody, kNobody), 0);
  EXPECT_NE(refusal_of("mine").find("belongs to user"), std::string::npos);
}

// Whoever may write a folder above can put another one of root's own in this one's place.
TEST_F(PrivateFolderTest, RootLooksAtTheFoldersAbove) {
  if (geteuid() != 0) GTEST_SKIP() << "This is how root is treated.";
  open();
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  EXPECT_NE(refusal_of("mine").find("one above it"), std::string::npos);
  EXPECT_NE(refusal_of("new"), "");
  EXPECT_FALSE(std::filesystem::exists(path("new"))) << "nothing is left in another's folder";
  ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  EXPECT_EQ(refusal_of("mine"), "") << "as /tmp is";
  ASSERT_EQ(chown(folder_.c_str(), kNobody, kNobody), 0);
  EXPECT_NE(refusal_of("mine"), "");
}

TEST_F(PrivateFolderTest, FilesThatOthersCouldWriteAreNotRead) {
  for (const mode_t mode : {0620u, 0602u, 0640u, 0604u}) {
    ASSERT_FALSE(open().write("entry", "bytes"));
    ASSERT_TRUE(read());
    ASSERT_EQ(chmod(path("mine/entry").c_str(), mode), 0);
    EXPECT_FALSE(read()) << mode;
  }
  ASSERT_FALSE(open().write("entry", "bytes"));
  EXPECT_TRUE(read());
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path("mine/entry").c_str(), kNobody, kNobody), 0);
    EXPECT_FALSE(read());
  }
}

TEST_F(PrivateFolderTest, WhatIsNoPlainFileIsNotReadAndGivesWay) {
  const std::string entry = path("mine/entry");
  const std::string other = write("other", "bytes");
  const auto expect_replaced = [&](const char* what) {
    EXPECT_FALSE(read()) << what;
    EXPECT_FALSE(open().write("entry", "new")) << what;
    EXPECT_EQ(read(), "new") << what;
    std::filesystem::remove(entry);
  };
  open();
  ASSERT_EQ(symlink(other.c_str(), entry.c_str()), 0);
  expect_replaced("a link");
  ASSERT_EQ(link(other.c_str(), entry.c_str()), 0);
  expect_replaced("a second name");
  ASSERT_EQ(mkfifo(entry.c_str(), 0600), 0);
  expect_replaced("a pipe");
  ASSERT_EQ(mkdir(entry.c_str(), 0700), 0);
  expect_replaced("a folder");
  EXPECT_EQ(bytes_of(other), "bytes");
}

TEST_F(PrivateFolderTest, TheFirstToWriteOnceWins) {
  EXPECT_FALSE(open().write_once("entry", "first"));
  EXPECT_FALSE(open().write_once("entry", "second"));
  EXPECT_EQ(read(), "first");
  EXPECT_EQ(open().files().size(), 1u) << "no draft is left";
}

// The handle holds the folder that was looked at, whatever its path leads to meanwhile.
TEST_F(PrivateFolderTest, AFolderThatIsExchangedLaterIsNotRead) {
  const PrivateFolder folder = open();
  ASSERT_FALSE(folder.write("entry", "mine"));
  std::filesystem::rename(path("mine"), path("moved"));
  ASSERT_FALSE(open().write("entry", "other"));
  EXPECT_EQ(folder.read("entry", 100), "mine");
}

}  // namespace
}  // namespace leat
