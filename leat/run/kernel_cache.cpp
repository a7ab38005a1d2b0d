// An entry's body, all little-endian: fields one after another, strings and code as u64 length and
// bytes.
#include "leat/run/kernel_cache.h"

#include <cstring>
#include <type_traits>

#include "leat/base/digest.h"
#include "leat/base/target_hash.h"
#include "leat/route/cubin.h"

namespace leat {

namespace {

constexpr size_t kBodyBytesMax = size_t{64} << 20;

class Writer {
 public:
  template <typename T>
  void add(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void add_string(const char* data, size_t size_bytes) {
    add(static_cast<uint64_t>(size_bytes));
    bytes.append(data, size_bytes);
  }
  std::string bytes;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  T take() {
    T value{};
    if (bytes_.size() < sizeof value) {
      failed_ = true;
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view take_string() {
    const uint64_t size_bytes = take<uint64_t>();
    if (failed_ || size_bytes > bytes_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view text = bytes_.substr(0, size_bytes);
    bytes_.remove_prefix(size_bytes);
    return text;
  }
  bool complete() const { return !failed_ && bytes_.empty(); }
  bool failed() const { return failed_; }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

std::string serialise(const KernelBinary& binary) {
  Writer writer;
  writer.add_string(binary.name.data(), binary.name.size());
  writer.add_string(binary.entry.data(), binary.entry.size());
  writer.add(binary.format);
  writer.add(binary.wave_lanes);
  writer.add(binary.waves_per_workgroup);
  writer.add(binary.local_memory_bytes);
  for (uint32_t extent : binary.grid) writer.add(extent);
  writer.add(static_cast<uint64_t>(binary.arguments.size()));
  for (const KernelArgument& argument : binary.arguments) {
    writer.add(argument.storage);
    writer.add(static_cast<uint8_t>(argument.written));
  }
  writer.add_string(binary.assembler.data(), binary.assembler.size());
  writer.add_string(reinterpret_cast<const char*>(binary.code.data()), binary.code.size());
  return std::move(writer.bytes);
}

std::optional<KernelBinary> deserialise(std::string_view bytes) {
  Reader reader(bytes);
  KernelBinary binary;
  binary.name = reader.take_string();
  binary.entry = reader.take_string();
  binary.format = reader.take<CodeFormat>();
  binary.wave_lanes = reader.take<uint32_t>();
  binary.waves_per_workgroup = reader.take<uint32_t>();
  binary.local_memory_bytes = reader.take<uint32_t>();
  for (uint32_t& extent : binary.grid) extent = reader.take<uint32_t>();
  const uint64_t arguments = reader.take<uint64_t>();
  for (uint64_t i = 0; i < arguments && !reader.failed(); ++i) {
    KernelArgument argument;
    argument.storage = reader.take<DType>();
    argument.written = reader.take<uint8_t>() != 0;
    binary.arguments.push_back(argument);
  }
  binary.assembler = reader.take_string();
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

CacheKey KernelCache::key_of(std::string_view program_text, const Target& target,
                             std::string_view driver) const {
  SecureHasher hasher;
  hasher.add(program_text);
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
