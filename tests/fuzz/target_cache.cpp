// Entries of the cache, twice: the bytes as the file itself, which nothing but what we sealed may
// pass, and as the body under a right seal, which the reader of kernels has to survive.
#include <stdlib.h>

#include <filesystem>

#include "leat/base/check.h"
#include "leat/base/draft.h"
#include "leat/base/private_folder.h"
#include "leat/route/cubin_sample_test.h"
#include "leat/route/nvidia_target.h"
#include "leat/run/kernel_cache.h"
#include "tests/fuzz/fuzz_target.h"

namespace leat {
namespace {

constexpr size_t kBodyBytesMax = size_t{1} << 20;

Target cubin_target() {
  return nvidia_target({.capability_major = 9,
                        .capability_minor = 0,
                        .multiprocessors = 132,
                        .shared_bytes_max = 232448});
}

/// A cache and a secret of the test's own, removed at exit.
struct Scratch {
  std::string path = std::filesystem::temp_directory_path() / "leat-fuzz-XXXXXX";
  Scratch() {
    CHECK(mkdtemp(path.data()) != nullptr);
    setenv("XDG_STATE_HOME", (path + "/state").c_str(), 1);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string cache() const { return path + "/cache"; }
};

const Scratch& scratch() {
  static const Scratch scratch;
  return scratch;
}

/// `kernel-HASH`, as CacheStore names it.
std::string file_name(const CacheKey& key) { return key.kind + "-" + hex_of(key.made_from); }

}  // namespace

bool feed_cache(std::string_view bytes) {
  KernelCache kernels(scratch().cache(), "fuzz");
  Result<CacheStore> store = CacheStore::open(scratch().cache());
  const Result<PrivateFolder> folder = PrivateFolder::open(scratch().cache());
  CHECK(store.has_value() && folder.has_value());
  const Target target = cubin_target();
  const CacheKey key = kernels.key_of("program", target, "driver");
  CHECK(!folder->write(file_name(key), bytes));
  CHECK(!store->find(key, kBodyBytesMax));
  store->store(key, bytes);
  const std::optional<CacheEntry> entry = store->find(key, kBodyBytesMax);
  CHECK(entry && entry->body() == bytes);
  const std::optional<KernelBinary> kernel = kernels.find(key, target);
  if (!kernel) return false;
  kernels.store(key, *kernel);
  CHECK(kernels.find(key, target).has_value());  // what was read can be written and read again
  return true;
}

std::vector<std::string> cache_seeds() {
  KernelCache kernels(scratch().cache(), "fuzz");
  const CacheKey key = kernels.key_of("seed", cubin_target(), "driver");
  kernels.store(key, sample_binary());
  const Result<CacheStore> store = CacheStore::open(scratch().cache());
  CHECK(store.has_value());
  const std::optional<CacheEntry> entry = store->find(key, kBodyBytesMax);
  CHECK(entry.has_value());
  return {std::string(entry->body())};
}

}  // namespace leat
