// A 64-bit hash for cache keys, the same on every machine (FNV-1a over bytes).
// Source: Fowler/Noll/Vo, public domain definition, 64-bit offset basis and prime.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leat {

class Hasher {
 public:
  void add_bytes(const void* data, size_t size_bytes) {
    const unsigned char* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size_bytes; ++i) state_ = (state_ ^ bytes[i]) * 0x100000001b3ull;
  }
  void add(std::string_view text) {
    add(static_cast<int64_t>(text.size()));
    add_bytes(text.data(), text.size());
  }
  void add(int64_t value) { add_bytes(&value, sizeof value); }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0xcbf29ce484222325ull;
};

/// Sixteen lower-case hex digits.
std::string hex_of(uint64_t value);

}  // namespace leat
