// An entry's file: 8 bytes of magic, the key's hash, the seal, the body. See cache_store.h.
#include "leat/base/cache_store.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "leat/base/draft.h"
#include "leat/base/files.h"

namespace leat {

namespace {

constexpr std::string_view kMagic = "LEATC001";
constexpr size_t kSealOffset = kMagic.size() + kDigestBytes;
constexpr size_t kHeaderBytes = kSealOffset + kDigestBytes;
constexpr char kSecretName[] = "secret";

// Some thousand networks of a hundred kernels.
constexpr uint64_t kCacheBytesMax = uint64_t{1} << 30;
// A draft is written within milliseconds; this is the age at which its writer must be dead.
constexpr int64_t kDraftSecondsMax = 600;

std::string_view text_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string name_of(const CacheKey& key) { return key.kind + "-" + hex_of(key.made_from); }

/// Nothing else is ever removed: whoever names the folder may keep other files in it.
bool is_entry_name(std::string_view name) {
  const size_t dash = name.rfind('-');
  return dash != std::string_view::npos && dash > 0 && name.size() - dash - 1 == 2 * kDigestBytes &&
         name.find_first_not_of("0123456789abcdef", dash + 1) == std::string_view::npos;
}

Result<PrivateFolder> open_secret_folder(const std::string& cache) {
  const std::string state = state_folder();
  if (state.empty()) return PrivateFolder::open(cache);
  Result<PrivateFolder> folder = PrivateFolder::open(state);
  const bool is_there = folder || folder.error().kind() != ErrorKind::io;
  return is_there ? std::move(folder) : PrivateFolder::open(cache);
}

std::optional<Digest> read_secret(const PrivateFolder& folder) {
  const std::optional<std::string> bytes = folder.read(kSecretName, kDigestBytes);
  if (!bytes || bytes->size() != kDigestBytes) return std::nullopt;
  Digest secret;
  std::memcpy(secret.data(), bytes->data(), secret.size());
  return secret;
}

// Of those who make one at once the first wins, and all take what is there afterwards.
Result<Digest> secret_in(const PrivateFolder& folder) {
  if (const std::optional<Digest> secret = read_secret(folder)) return *secret;
  Digest made;
  fill_random(made);
  if (!folder.write_once(kSecretName, text_of(made))) {
    if (const std::optional<Digest> secret = read_secret(folder)) return *secret;
  }
  // What is there is none of ours: a link, a foreign or a damaged file.
  if (const std::error_code error = folder.write(kSecretName, text_of(made))) {
    return Error(ErrorKind::io, "The cache's secret cannot be kept: " + error.message() + ".");
  }
  return made;
}

}  // namespace

std::string_view CacheEntry::body() const { return std::string_view(file_).substr(kHeaderBytes); }

Result<CacheStore> CacheStore::open(const std::string& folder) {
  TRY_ASSIGN(PrivateFolder cache, PrivateFolder::open(folder));
  TRY_ASSIGN(const PrivateFolder state, open_secret_folder(folder));
  TRY_ASSIGN(const Digest secret, secret_in(state));
  return CacheStore(std::move(cache), secret);
}

Digest CacheStore::seal_of(const CacheKey& key, std::string_view body) const {
  SecureHasher hasher(secret_);
  hasher.add(kMagic);
  hasher.add(key.kind);
  hasher.add(text_of(key.made_from));
  hasher.add(body);
  return hasher.digest();
}

std::optional<CacheEntry> CacheStore::find(const CacheKey& key, size_t body_bytes_max) const {
  std::optional<std::string> file = folder_.read(name_of(key), kHeaderBytes + body_bytes_max);
  if (!file || file->size() < kHeaderBytes || !file->starts_with(kMagic)) return std::nullopt;
  if (file->compare(kMagic.size(), kDigestBytes, text_of(key.made_from)) != 0) return std::nullopt;
  Digest seal;
  std::memcpy(seal.data(), file->data() + kSealOffset, seal.size());
  CacheEntry entry(std::move(*file));
  if (!is_same(seal, seal_of(key, entry.body()))) return std::nullopt;
  return entry;
}

void CacheStore::store(const CacheKey& key, std::string_view body) {
  if (!is_swept_) sweep();
  is_swept_ = true;
  std::string file(kMagic);
  file += text_of(key.made_from);
  file += text_of(seal_of(key, body));
  file += body;
  // A cache that cannot be written only costs time; there is nobody to tell.
  static_cast<void>(folder_.write(name_of(key), file));
}

// The oldest go first: they were made by builds and for models that are no longer used.
void CacheStore::sweep() {
  const auto now_s = static_cast<int64_t>(std::time(nullptr));
  const auto is_old = [&](const PrivateFolder::File& file) {  // or from a clock that went wrong
    return std::abs(now_s - file.written_s) > kDraftSecondsMax;
  };
  std::vector<PrivateFolder::File> entries;
  uint64_t size_bytes = 0;
  for (PrivateFolder::File& file : folder_.files()) {
    if (file.name.starts_with(kDraftPrefix) && is_old(file)) folder_.remove(file.name);
    if (!is_entry_name(file.name)) continue;
    if (file.size_bytes > kCacheBytesMax) {  // no entry of ours: it shall not cost the others
      folder_.remove(file.name);
      continue;
    }
    size_bytes += file.size_bytes;
    entries.push_back(std::move(file));
  }
  std::ranges::sort(entries, {}, &PrivateFolder::File::written_s);
  for (const PrivateFolder::File& entry : entries) {
    if (size_bytes <= kCacheBytesMax) return;
    folder_.remove(entry.name);
    size_bytes -= entry.size_bytes;
  }
}

}  // namespace leat
