// An entry's body, all little-endian: fields one after another, strings and code as u64 length and
// bytes.
#include "leat/run/kernel_cache.h"

#include "leat/base/digest.h"
#include "leat/base/kernel_bytes.h"
#include "leat/base/target_hash.h"
#include "leat/route/cubin.h"

namespace leat {

namespace {

constexpr size_t kBodyBytesMax = size_t{64} << 20;

std::string serialise(const KernelBinary& binary) {
  ByteWriter writer;
  add_kernel(writer, binary);
  writer.add_string({reinterpret_cast<const char*>(binary.code.data()), binary.code.size()});
  return std::move(writer.bytes);
}

std::optional<KernelBinary> deserialise(std::string_view bytes) {
  ByteReader reader(bytes);
  KernelBinary binary = take_kernel(reader);
  const std::string_view code = reader.take_string();
  if (!reader.complete()) return std::nullopt;
  const auto* first = reinterpret_cast<const std::byte*>(code.data());
  binary.code.assign(first, first + code.size());
  return binary;
}

}  // namespace

KernelCache::KernelCache(const std::string& folder, std::string build) : build_(std::move(build)) {
  if (folder.empty() || build_.empty()) return;
  if (Result<CacheStore> opened = CacheStore::open(folder)) store_ = std::move(*opened);
}

CacheKey KernelCache::key_of(std::string_view identity, const Target& target,
                             std::string_view driver) const {
  SecureHasher hasher;
  hasher.add(identity);
  hasher.add(build_);
  add_target(hasher, target);
  hasher.add(target.format == CodeFormat::cubin ? driver : "");
  return {"kernel", hasher.digest()};
}

std::optional<KernelBinary> KernelCache::find(const CacheKey& key, const Target& target) const {
  const std::optional<CacheEntry> entry = store_ ? store_->find(key, kBodyBytesMax) : std::nullopt;
  if (!entry) return std::nullopt;
  std::optional<KernelBinary> binary = deserialise(entry->body());
  if (!binary || binary->format != target.format) return std::nullopt;
  if (target.format == CodeFormat::cubin && !check_cubin(*binary, target)) return std::nullopt;
  return binary;
}

void KernelCache::store(const CacheKey& key, const KernelBinary& binary) {
  if (store_) store_->store(key, serialise(binary));
}

}  // namespace leat
