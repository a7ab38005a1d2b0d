// The store: what was committed is there afterwards, whatever happens to processes and files.
#include "leat/tune/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

TuneEntry entry(int number, double seconds = 1e-3, const std::string& build = "build") {
  TuneEntry made;
  made.on = {"chip " + std::to_string(number % 2), build};
  made.kernel.fill(static_cast<std::byte>(number));
  made.shape = "f32 map: 100 1";
  made.params = "waves 1 per_lane 1 lanes_reduce 0 split 1 unroll 8";
  made.seconds = seconds;
  made.model_seconds = 2 * seconds;
  made.tried = 3;
  made.date = "2026-11-29";
  return made;
}

class TuneStoreTest : public ScratchFolder {
 protected:
  void SetUp() override {
    ScratchFolder::SetUp();
    ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
  }
  TuneStore open() const {
    Result<TuneStore> store = TuneStore::open(folder_);
    if (!store) ADD_FAILURE() << store.error().message();
    return std::move(store.value());
  }
  static std::vector<TuneEntry> all(const TuneStore& store) {
    const auto found = store.entries();
    EXPECT_TRUE(found);
    return found ? *found : std::vector<TuneEntry>();
  }
  /// Runs it in a child with a store of its own; the child's number.
  pid_t fork_with_store(const std::function<void(TuneStore&)>& work) const {
    const pid_t child = fork();
    if (child != 0) return child;
    Result<TuneStore> store = TuneStore::open(folder_);
    if (!store) _exit(3);
    work(*store);
    _exit(0);
  }
};

TEST_F(TuneStoreTest, KeepsWhatItIsGivenPerBuild) {
  EXPECT_FALSE(TuneStore::exists(folder_));
  {
    TuneStore store = open();
    ASSERT_TRUE(store.keep(entry(1)));
    ASSERT_TRUE(store.keep(entry(1, 5e-4)));
    ASSERT_TRUE(store.keep(entry(1, 4e-4, "newer")));
    ASSERT_TRUE(store.keep(entry(2)));
  }
  EXPECT_TRUE(TuneStore::exists(folder_));
  EXPECT_EQ(mode_of(path("tune.db")) & 077, 0u);
  const auto found = open().entries("chip 1");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2u);
  for (const TuneEntry& one : *found) {
    EXPECT_EQ(one.kernel, entry(1).kernel);
    EXPECT_EQ(one.seconds, one.on.build == "newer" ? 4e-4 : 5e-4);
    EXPECT_EQ(one.params, entry(1).params);
    EXPECT_EQ(one.tried, 3u);
  }
  EXPECT_EQ(all(open()).size(), 3u);
}

TEST_F(TuneStoreTest, ForgetsByChip) {
  TuneStore store = open();
  for (const int number : {1, 2, 3}) ASSERT_TRUE(store.keep(entry(number)));
  EXPECT_EQ(*store.forget("chip 1"), 2u);
  EXPECT_EQ(all(store).size(), 1u);
  EXPECT_EQ(*store.forget(""), 1u);
  EXPECT_TRUE(all(store).empty());
}

// One death may have been anything, a key pressed by a person among it.
TEST_F(TuneStoreTest, AWayWithWhichTwoProcessesDiedIsQuarantined) {
  const Digest kernel = entry(1).kernel;
  const auto quarantined = [&] {
    const auto found = open().quarantined("chip");
    EXPECT_TRUE(found);
    return found ? *found : std::vector<QuarantinedWay>();
  };
  for (int death = 1; death <= 2; ++death) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork_with_store([&](TuneStore& store) {
      const bool begun = store.begin_trial("chip", kernel, "fast").has_value() &&
                         store.begin_trial("chip", kernel, "slow").has_value() &&
                         store.end_trial("chip", kernel, "slow", "").has_value();
      [[maybe_unused]] const ssize_t written = ::write(ready[1], begun ? "y" : "n", 1);
      pause();
    });
    char begun = 0;
    ASSERT_EQ(read(ready[0], &begun, 1), 1);
    ASSERT_EQ(begun, 'y');
    // This process tries the same way, and lives: that says nothing of the other's.
    TuneStore here = open();
    ASSERT_TRUE(here.begin_trial("chip", kernel, "fast"));
    ASSERT_TRUE(here.end_trial("chip", kernel, "fast", ""));
    EXPECT_TRUE(quarantined().empty());
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_EQ(quarantined().size(), death == 2 ? 1u : 0u);
    close(ready[0]);
    close(ready[1]);
  }
  EXPECT_EQ(quarantined()[0].params, "fast");
  EXPECT_NE(quarantined()[0].reason.find("died"), std::string::npos);
}

TEST_F(TuneStoreTest, DamageInsideIsPutAsideToo) {
  {
    TuneStore store = open();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(store.keep(entry(i)));
  }
  std::string bytes = bytes_of(path("tune.db"));
  ASSERT_GT(bytes.size(), 20000u);
  bytes.replace(4096, 12288, 12288, '\xff');
  write("tune.db", bytes);
  TuneStore store = open();
  EXPECT_TRUE(all(store).empty());
  ASSERT_TRUE(store.keep(entry(1)));
  EXPECT_TRUE(std::filesystem::exists(path("tune.db.damaged")));
}

TEST_F(TuneStoreTest, EightProcessesWriteAtOnce) {
  std::vector<pid_t> children;
  for (int child = 0; child < 8; ++child) {
    children.push_back(fork_with_store([&](TuneStore& store) {
      for (int i = 0; i < 25; ++i) {
        if (!store.keep(entry(child * 25 + i))) _exit(4);
      }
    }));
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(all(open()).size(), 200u);
}

// The child says each entry that is committed; killed anywhere, all that it said are there.
TEST_F(TuneStoreTest, KilledAnywhereItLosesNothingThatWasCommitted) {
  for (int round = 0; round < 20; ++round) {
    const std::string build = "round " + std::to_string(round);
    int said[2];
    ASSERT_EQ(pipe(said), 0);
    const pid_t child = fork_with_store([&](TuneStore& store) {
      for (int i = 0; i < 250; ++i) {
        if (!store.keep(entry(i, 1e-3, build)) || ::write(said[1], &i, 1) != 1) _exit(4);
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + 700 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(said[1]);
    size_t committed = 0;
    for (char one = 0; read(said[0], &one, 1) == 1;) ++committed;
    close(said[0]);
    size_t found = 0;
    for (const TuneEntry& one : all(open())) found += one.on.build == build ? 1 : 0;
    EXPECT_GE(found, committed);
    EXPECT_LE(found, committed + 1);
  }
}

TEST_F(TuneStoreTest, AFileThatIsNoStoreIsPutAside) {
  write("tune.db", std::string(5000, 'x'));
  TuneStore store = open();
  ASSERT_TRUE(store.keep(entry(1)));
  EXPECT_EQ(all(store).size(), 1u);
  EXPECT_EQ(bytes_of(path("tune.db.damaged")), std::string(5000, 'x'));
}

TEST_F(TuneStoreTest, AnotherVersionIsRefusedAndStays) {
  { open(); }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path("tune.db").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "pragma user_version = 9", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  const auto store = TuneStore::open(folder_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message().find("(9)"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("tune.db.damaged")));
}

TEST_F(TuneStoreTest, AFolderOrLinkOfOthersIsRefused) {
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  const auto open_to_all = TuneStore::open(folder_);
  ASSERT_FALSE(open_to_all);
  ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
  write("elsewhere.db", "");
  std::filesystem::create_symlink(path("elsewhere.db"), path("tune.db"));
  EXPECT_FALSE(TuneStore::open(folder_));
  EXPECT_EQ(bytes_of(path("elsewhere.db")), "");
}

TEST_F(TuneStoreTest, GoesToAnotherMachineAndBack) {
  std::string text;
  {
    TuneStore store = open();
    for (const int number : {1, 2, 3}) ASSERT_TRUE(store.keep(entry(number)));
    text = *store.export_json();
    ASSERT_TRUE(store.forget(""));
    ASSERT_TRUE(store.keep(entry(1, 1e-6)));
  }
  TuneStore store = open();
  const auto taken = store.import_json(text);
  ASSERT_TRUE(taken) << taken.error().message();
  EXPECT_EQ(*taken, 2u);  // the first is faster here
  for (const TuneEntry& one : all(store)) {
    EXPECT_EQ(one.seconds, one.kernel == entry(1).kernel ? 1e-6 : 1e-3);
  }
}

TEST_F(TuneStoreTest, AnImportThatIsWrongChangesNothing) {
  TuneStore store = open();
  ASSERT_TRUE(store.keep(entry(1)));
  std::string text = *store.export_json();
  const size_t at = text.find("\"seconds\": 0.001");
  ASSERT_NE(at, text.npos);
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string(R"({"leat_tune": 2, "entries": []})"),
        std::string(R"({"leat_tune": 1, "entries": [5]})"),
        text.substr(0, at) + "\"seconds\": -1" + text.substr(at + 16),
        text.substr(0, at) + "\"seconds\": \"x\"" + text.substr(at + 16)}) {
    const auto taken = store.import_json(bad);
    ASSERT_FALSE(taken) << bad;
    EXPECT_EQ(taken.error().kind(), ErrorKind::invalid_argument);
  }
  EXPECT_EQ(all(store).size(), 1u);
}

}  // namespace
}  // namespace leat
