// Fields one after another as bytes, little-endian: how plain data lies in files of our own.
// Reading is bounded: what runs out of the bytes fails once and gives zeros from then on.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace leat {

class ByteWriter {
 public:
  template <typename T>
  void add(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  /// A u64 size and the bytes.
  void add_string(std::string_view text) {
    add(static_cast<uint64_t>(text.size()));
    bytes.append(text);
  }
  std::string bytes;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    if (bytes_.size() < sizeof value) {
      fail();
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view take_string() {
    const uint64_t size_bytes = take<uint64_t>();
    if (failed_ || size_bytes > bytes_.size()) {
      fail();
      return {};
    }
    const std::string_view text = bytes_.substr(0, size_bytes);
    bytes_.remove_prefix(size_bytes);
    return text;
  }
  /// Calls `take_one` as often as the u64 says that comes first, or until something fails; each
  /// call takes a byte at least.
  template <typename TakeOne>
  void take_list(const TakeOne& take_one) {
    const uint64_t count = take<uint64_t>();
    for (uint64_t i = 0; i < count && !failed_; ++i) take_one();
  }
  /// What was read makes no sense.
  void fail() {
    failed_ = true;
    bytes_ = {};
  }
  bool failed() const { return failed_; }
  /// Everything was read, and nothing failed.
  bool complete() const { return !failed_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

}  // namespace leat
