// Rights that whoever started the program has not are not lent for files that are named.
#include "leat/base/borrowed_rights.h"

#include <unistd.h>

#include "leat/base/child_process.h"
#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

constexpr uid_t kNobody = 65534;
constexpr uint64_t kTimeoutNs = 10'000'000'000;

using BorrowedRightsTest = ScratchFolder;

bool can_read(const std::string& path) { return read_file(path, 100).has_value(); }

TEST_F(BorrowedRightsTest, FilesAreReachedWithTheRightsOfWhoStarted) {
  if (geteuid() != 0) GTEST_SKIP() << "Only root can lend rights.";
  const std::string secret = write("secret", "root's", 0600);
  ASSERT_EQ(mkdir(path("own").c_str(), 0700), 0);
  ASSERT_EQ(chown(path("own").c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  const auto act = [&]() -> std::string {  // as a setuid program of root's, started by nobody
    if (setresgid(kNobody, 0, 0) != 0 || setresuid(kNobody, 0, 0) != 0) return "no rights lent";
    if (!has_borrowed_rights() || !can_read(secret)) return "nothing borrowed";
    lay_down_file_rights();
    if (can_read(secret)) return "reads";
    if (write_file(secret, "new") || write_file(path("new"), "new")) return "writes";
    if (file_user() != kNobody || !write_file(path("own/new"), "new")) return "not nobody's";
    {
      const BorrowedFileRights rights;
      if (!can_read(secret)) return "devices stay closed";
    }
    return can_read(secret) ? "reads afterwards" : "";
  };
  const Result<std::string> fault = run_in_child(act, kTimeoutNs);
  ASSERT_TRUE(fault) << fault.error().message();
  EXPECT_EQ(*fault, "");
  EXPECT_EQ(bytes_of(secret), "root's");
  struct stat facts {};
  ASSERT_EQ(stat(path("own/new").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_uid, kNobody);
  EXPECT_EQ(facts.st_gid, kNobody);
}

TEST_F(BorrowedRightsTest, WithoutThemNothingChanges) {
  const uid_t before = file_user();
  lay_down_file_rights();
  const BorrowedFileRights rights;
  EXPECT_EQ(file_user(), before);
  EXPECT_TRUE(can_read(write("file", "own")));
}

}  // namespace
}  // namespace leat
