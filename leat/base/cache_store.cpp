// An entry's file: 8 bytes of magic, the key's hash, the seal, the body. See cache_store.h.
#include "leat/base/cache_store.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "leat/base/draft.h"
#include "leat/base/env.h"
#include "leat/base/files.h"

namespace leat {

namespace {

constexpr std::string_view kMagic = "LEATC001";
constexpr size_t kSealOffset = kMagic.size() + kDigestBytes;
constexpr size_t kHeaderBytes = kSealOffset + kDigestBytes;
constexpr char kSecretName[] = "secret";

// Some thousand networks of a hundred kernels.
constexpr uint32_t kCacheMibDefault = 1024;
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

bool is_old_draft(const PrivateFolder::File& file) {  // or from a clock that went wrong
  return file.name.starts_with(kDraftPrefix) &&
         std::abs(static_cast<int64_t>(std::time(nullptr)) - file.written_s) > kDraftSecondsMax;
}

// The oldest go first: they were made by builds and for models that are no longer used.
CacheRemoved sweep(const PrivateFolder& folder, uint64_t size_bytes_max) {
  CacheRemoved removed;
  const auto remove = [&](const PrivateFolder::File& file) {
    if (!folder.remove(file.name)) return;  // somebody was faster
    ++removed.files;
    removed.size_bytes += file.size_bytes;
  };
  std::vector<PrivateFolder::File> entries;
  uint64_t size_bytes = 0;
  for (PrivateFolder::File& file : folder.files()) {
    if (is_old_draft(file)) remove(file);
    if (!is_entry_name(file.name)) continue;
    if (file.size_bytes > size_bytes_max) {  // it shall not cost the others
      remove(file);
      continue;
    }
    size_bytes += file.size_bytes;
    entries.push_back(std::move(file));
  }
  std::ranges::sort(entries, {}, &PrivateFolder::File::written_s);
  for (const PrivateFolder::File& entry : entries) {
    if (size_bytes <= size_bytes_max) break;
    remove(entry);
    size_bytes -= entry.size_bytes;
  }
  return removed;
}

std::string kind_of(const std::string& name) {
  if (is_entry_name(name)) return name.substr(0, name.rfind('-'));
  if (name.starts_with(kDraftPrefix)) return "draft";
  if (name.starts_with("tune.db")) return "tuning";
  return name == kSecretName ? "secret" : "other";
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
  if (!is_swept_) sweep(folder_, cache_bytes_max());
  is_swept_ = true;
  std::string file(kMagic);
  file += text_of(key.made_from);
  file += text_of(seal_of(key, body));
  file += body;
  // A cache that cannot be written only costs time; there is nobody to tell.
  static_cast<void>(folder_.write(name_of(key), file));
}

Result<std::vector<CacheFile>> list_cache(const std::string& folder) {
  TRY_ASSIGN(const PrivateFolder cache, PrivateFolder::open(folder));
  std::vector<CacheFile> files;
  for (PrivateFolder::File& file : cache.files()) {
    std::string kind = kind_of(file.name);
    files.push_back({std::move(file.name), std::move(kind), file.size_bytes, file.written_s});
  }
  return files;
}

Result<CacheRemoved> prune_cache(const std::string& folder, uint64_t size_bytes_max) {
  TRY_ASSIGN(const PrivateFolder cache, PrivateFolder::open(folder));
  if (const std::error_code error = cache.check_writable()) {
    return Error(ErrorKind::io,
                 "Cache folder \"" + folder + "\" cannot be written: " + error.message() + ".");
  }
  return sweep(cache, size_bytes_max);
}

uint64_t cache_bytes_max() { return uint64_t{env_count("LEAT_CACHE_MIB", kCacheMibDefault)} << 20; }

}  // namespace leat
