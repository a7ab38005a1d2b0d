// File format, all little-endian: 8 bytes magic, u64 checksum of the rest, then fields; strings and
// code as u64 length and bytes.
#include "leat/run/kernel_cache.h"

#include <cstring>
#include <type_traits>

#include "leat/base/files.h"
#include "leat/base/hash.h"
#include "leat/route/cubin.h"

namespace leat {

namespace {

constexpr char kMagic[] = "LEATK002";
constexpr size_t kMagicBytes = 8;
constexpr size_t kHeaderBytes = kMagicBytes + 8;
constexpr size_t kFileBytesMax = size_t{64} << 20;

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

uint64_t checksum_of(std::string_view bytes) {
  Hasher hasher;
  hasher.add_bytes(bytes.data(), bytes.size());
  return hasher.value();
}

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

uint64_t KernelCache::key_of(const std::string& program_text, const Target& target,
                             const std::string& emitter_version, const std::string& driver) {
  Hasher hasher;
  hasher.add(program_text);
  hasher.add(emitter_version);
  hasher.add(target.name);
  hasher.add(static_cast<int64_t>(target.format));
  hasher.add(static_cast<int64_t>(target.opengl));
  hasher.add(target.llvm_triple);
  hasher.add(target.llvm_cpu);
  hasher.add(target.llvm_features);
  hasher.add(static_cast<int64_t>(target.wave_lanes));
  hasher.add(static_cast<int64_t>(target.vector_registers));
  if (target.format == CodeFormat::cubin) hasher.add(driver);
  return hasher.value();
}

std::string KernelCache::path_of(uint64_t key) const { return folder_ + "/" + hex_of(key); }

std::optional<KernelBinary> KernelCache::find(uint64_t key, const Target& target) const {
  if (folder_.empty()) return std::nullopt;
  const Result<std::string> file = read_file(path_of(key), kFileBytesMax);
  if (!file || file->size() < kHeaderBytes) return std::nullopt;
  const std::string_view bytes = *file;
  if (bytes.substr(0, kMagicBytes) != kMagic) return std::nullopt;
  uint64_t checksum = 0;
  std::memcpy(&checksum, bytes.data() + kMagicBytes, sizeof checksum);
  const std::string_view body = bytes.substr(kHeaderBytes);
  if (checksum != checksum_of(body)) return std::nullopt;
  std::optional<KernelBinary> binary = deserialise(body);
  if (!binary || binary->format != target.format) return std::nullopt;
  if (target.format == CodeFormat::cubin && !check_cubin(*binary, target)) return std::nullopt;
  return binary;
}

void KernelCache::store(uint64_t key, const KernelBinary& binary) const {
  if (folder_.empty()) return;
  const std::string body = serialise(binary);
  const uint64_t checksum = checksum_of(body);
  std::string file(kMagic, kMagicBytes);
  file.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  file += body;
  // A cache that cannot be written only costs time; there is nobody to tell.
  static_cast<void>(write_file_atomically(path_of(key), file));
}

}  // namespace leat
