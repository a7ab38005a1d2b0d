// Entries are believed only whole, under their own name, and when this user made them.
#include "leat/base/cache_store.h"

#include <sys/time.h>
#include <utime.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <thread>

#include "leat/base/draft.h"
#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

constexpr size_t kBodyBytesMax = 1000;

CacheKey key_of(const std::string& text) {
  SecureHasher hasher;
  hasher.add(text);
  return {"kernel", hasher.digest()};
}

class CacheStoreTest : public ScratchFolder {
 protected:
  void SetUp() override {
    ScratchFolder::SetUp();
    setenv("XDG_STATE_HOME", path("state").c_str(), 1);
  }
  CacheStore open() const { return std::move(CacheStore::open(path("cache"))).value(); }
  std::string entry_path(const std::string& text) const {
    return path("cache/kernel-" + hex_of(key_of(text).made_from));
  }
  std::string find(const std::string& text) const {
    const std::optional<CacheEntry> entry = open().find(key_of(text), kBodyBytesMax);
    return entry ? std::string(entry->body()) : "nothing";
  }
};

TEST_F(CacheStoreTest, GivesBackWhatWasStored) {
  EXPECT_EQ(find("a"), "nothing");
  open().store(key_of("a"), "code");
  EXPECT_EQ(find("a"), "code");
  open().store(key_of("a"), "");
  EXPECT_EQ(find("a"), "");
  EXPECT_EQ(find("b"), "nothing");
}

TEST_F(CacheStoreTest, RefusesDamage) {
  open().store(key_of("a"), "code");
  const std::string whole = bytes_of(entry_path("a"));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    write("cache/" + entry_path("a").substr(path("cache/").size()), flipped);
    EXPECT_EQ(find("a"), "nothing") << "byte " << at;
  }
  for (size_t size_bytes = 0; size_bytes < whole.size(); ++size_bytes) {
    write("cache/" + entry_path("a").substr(path("cache/").size()), whole.substr(0, size_bytes));
    EXPECT_EQ(find("a"), "nothing") << size_bytes << " bytes";
  }
  open().store(key_of("a"), "code");
  EXPECT_EQ(find("a"), "code");
}

TEST_F(CacheStoreTest, AnEntryUnderAnothersNameIsNone) {
  open().store(key_of("neg"), "negate");
  open().store(key_of("relu"), "clip");
  std::filesystem::rename(entry_path("neg"), entry_path("relu"));
  EXPECT_EQ(find("relu"), "nothing");
  std::filesystem::rename(
      entry_path("relu"),
      path("cache/peak-" + entry_path("neg").substr(entry_path("neg").size() - 64)));
  EXPECT_FALSE(open().find({"peak", key_of("neg").made_from}, kBodyBytesMax)) << "another kind";
}

// Whoever can write but not read this user's files knows all of an entry but the secret.
TEST_F(CacheStoreTest, AnEntryOfAnotherSecretIsNone) {
  open().store(key_of("a"), "code");
  setenv("XDG_STATE_HOME", path("anothers").c_str(), 1);
  EXPECT_EQ(find("a"), "nothing");
  open().store(key_of("a"), "theirs");
  EXPECT_EQ(find("a"), "theirs");
  setenv("XDG_STATE_HOME", path("state").c_str(), 1);
  EXPECT_EQ(find("a"), "nothing");
}

TEST_F(CacheStoreTest, ASecretThatOthersCouldKnowIsMadeAnew) {
  open().store(key_of("a"), "code");
  const std::string secret = path("state/leat/secret");
  EXPECT_EQ(mode_of(secret), S_IFREG | 0600u);
  const std::string before = bytes_of(secret);
  ASSERT_EQ(chmod(secret.c_str(), 0644), 0);
  EXPECT_EQ(find("a"), "nothing");
  EXPECT_EQ(mode_of(secret), S_IFREG | 0600u);
  EXPECT_NE(bytes_of(secret), before);
  ASSERT_EQ(truncate(secret.c_str(), 5), 0);
  open().store(key_of("a"), "code");
  EXPECT_EQ(find("a"), "code");
}

TEST_F(CacheStoreTest, WithoutAHomeTheSecretLiesInTheCache) {
  write("file", "");
  setenv("XDG_STATE_HOME", path("file").c_str(), 1);  // no folder can be made in a file
  open().store(key_of("a"), "code");
  EXPECT_EQ(find("a"), "code");
  EXPECT_TRUE(std::filesystem::exists(path("cache/secret")));
}

TEST_F(CacheStoreTest, AStateFolderThatOthersCanWriteIsNotPassedOver) {
  ASSERT_TRUE(CacheStore::open(path("cache")));
  ASSERT_EQ(chmod(path("state/leat").c_str(), 0777), 0);
  EXPECT_FALSE(CacheStore::open(path("cache")));
}

TEST_F(CacheStoreTest, WhatKilledWritersLeftIsSwept) {
  open().store(key_of("a"), "code");
  const std::string draft = "cache/" + std::string(kDraftPrefix);
  write(draft + "old", "half");
  write(draft + "young", "half");
  write("cache/notes.txt", "not ours");
  const utimbuf long_ago = {1'000'000'000, 1'000'000'000};
  ASSERT_EQ(utime(path(draft + "old").c_str(), &long_ago), 0);
  ASSERT_EQ(utime(path("cache/notes.txt").c_str(), &long_ago), 0);
  open().store(key_of("b"), "code");
  EXPECT_FALSE(std::filesystem::exists(path(draft + "old")));
  EXPECT_TRUE(std::filesystem::exists(path(draft + "young"))) << "its writer may be alive";
  EXPECT_TRUE(std::filesystem::exists(path("cache/notes.txt")));
}

TEST_F(CacheStoreTest, TheOldestGoBeyondTheLimit) {
  open().store(key_of("a"), "code");
  open().store(key_of("b"), "code");
  const utimbuf long_ago = {1'000'000'000, 1'000'000'000};
  ASSERT_EQ(truncate(entry_path("a").c_str(), off_t{1} << 30), 0);  // takes no room on the disk
  ASSERT_EQ(utime(entry_path("a").c_str(), &long_ago), 0);
  open().store(key_of("c"), "code");
  EXPECT_FALSE(std::filesystem::exists(entry_path("a")));
  EXPECT_EQ(find("b"), "code");
  EXPECT_EQ(find("c"), "code");
}

TEST_F(CacheStoreTest, TheLimitIsTheUsers) {
  for (const char* text : {"a", "b", "c"}) {
    open().store(key_of(text), std::string(kBodyBytesMax, 'x'));
    const utimbuf times = {1000 + text[0], 1000 + text[0]};
    ASSERT_EQ(utime(entry_path(text).c_str(), &times), 0);
  }
  EXPECT_EQ(cache_bytes_max(), uint64_t{1} << 30);
  setenv("LEAT_CACHE_MIB", "3", 1);
  EXPECT_EQ(cache_bytes_max(), uint64_t{3} << 20);
  unsetenv("LEAT_CACHE_MIB");
  write("cache/tune.db", "what was measured");
  write("cache/notes.txt", "somebody's own");

  std::map<std::string, size_t> kinds;
  const std::vector<CacheFile> files = list_cache(path("cache")).value();
  for (const CacheFile& file : files) ++kinds[file.kind];
  const std::map<std::string, size_t> wanted = {{"kernel", 3}, {"tuning", 1}, {"other", 1}};
  EXPECT_EQ(kinds, wanted);

  const CacheRemoved none = prune_cache(path("cache"), 1 << 20).value();
  EXPECT_EQ(none.files, 0u);
  const CacheRemoved oldest = prune_cache(path("cache"), 2 * (kBodyBytesMax + 100)).value();
  EXPECT_EQ(oldest.files, 1u);
  EXPECT_GE(oldest.size_bytes, kBodyBytesMax);
  EXPECT_EQ(find("a"), "nothing");
  EXPECT_NE(find("b"), "nothing");
  EXPECT_EQ(prune_cache(path("cache"), 0).value().files, 2u);
  EXPECT_EQ(list_cache(path("cache")).value().size(), 2u) << "What is none of the cache stays.";
}

// Each entry is removed by one of them and counted once; who reads meanwhile finds it or does not.
TEST_F(CacheStoreTest, SeveralMayPruneAtOnce) {
  constexpr size_t kEntries = 200;
  CacheStore store = open();
  for (size_t i = 0; i < kEntries; ++i) store.store(key_of(std::to_string(i)), "code");
  std::atomic<size_t> removed{0};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&] { removed += prune_cache(path("cache"), 0).value().files; });
  }
  threads.emplace_back([&] {
    for (size_t i = 0; i < kEntries; ++i) {
      const std::string body = find(std::to_string(i));
      EXPECT_TRUE(body == "code" || body == "nothing") << body;
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(removed, kEntries);
}

TEST_F(CacheStoreTest, ManyStartsAtOnceAgreeOnOneSecret) {
  std::vector<std::thread> starts;
  for (int i = 0; i < 8; ++i) {
    starts.emplace_back([this, i] { open().store(key_of(std::to_string(i)), "code"); });
  }
  for (std::thread& start : starts) start.join();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(find(std::to_string(i)), "code");
}

}  // namespace
}  // namespace leat
