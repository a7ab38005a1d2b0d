// Files that are kept between runs: kernels, a driver's pipelines, measured peaks. Each is sealed:
// it holds what it was made from and a hash of everything, keyed by a secret of the user's. So an
// entry that was damaged, exchanged for another, or made by anybody else counts as absent and is
// written anew; nobody is told, for it costs only time.
// The secret lies in the user's state folder, apart from the cache, which may be on a file system
// that cannot keep users apart; without a home it lies in the cache.
// A folder that others can write is refused as a whole (private_folder.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "leat/base/digest.h"
#include "leat/base/private_folder.h"

namespace leat {

/// `kind` is a word that begins the file's name; `made_from` a hash of all that the entry depends
/// on.
struct CacheKey {
  std::string kind;
  Digest made_from = {};
};

/// An entry as it was read; `body` is what was stored.
class CacheEntry {
 public:
  explicit CacheEntry(std::string file) : file_(std::move(file)) {}
  std::string_view body() const;

 private:
  std::string file_;
};

class CacheStore {
 public:
  /// `folder` is absolute. Errors: as of PrivateFolder::open, and io without a secret.
  static Result<CacheStore> open(const std::string& folder);

  std::optional<CacheEntry> find(const CacheKey& key, size_t body_bytes_max) const;
  /// Failing to write is no error: the next start does the work again. The first one also sweeps:
  /// what killed writers left, and the oldest entries beyond the limit.
  void store(const CacheKey& key, std::string_view body);

 private:
  CacheStore(PrivateFolder folder, const Digest& secret)
      : folder_(std::move(folder)), secret_(secret) {}
  Digest seal_of(const CacheKey& key, std::string_view body) const;
  PrivateFolder folder_;
  Digest secret_;
  bool is_swept_ = false;
};

/// A file of the cache's folder. `kind` is its key's; "draft" of what killed writers left, "tuning"
/// of what tuning found (leat/tune/store.h), "secret", and "other" of what is none of ours.
struct CacheFile {
  std::string name;
  std::string kind;
  uint64_t size_bytes = 0;
  int64_t written_s = 0;  // since 1970
};
/// Errors: as of PrivateFolder::open.
Result<std::vector<CacheFile>> list_cache(const std::string& folder);

struct CacheRemoved {
  size_t files = 0;
  uint64_t size_bytes = 0;
};
/// Removes what killed writers left, and the oldest entries until the others together have no more
/// than `size_bytes_max`; nothing else. Others may use the cache meanwhile. Errors: as of
/// PrivateFolder::open; io, when the folder cannot be written.
Result<CacheRemoved> prune_cache(const std::string& folder, uint64_t size_bytes_max);

/// What the cache's entries may take: LEAT_CACHE_MIB, else 1 GiB. The first entry that a program
/// stores prunes to it.
uint64_t cache_bytes_max();

}  // namespace leat
