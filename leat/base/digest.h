// The hash for what must be believed: BLAKE2b of 256 bits, with a key or without, by libsodium.
// Nobody can make two inputs of one hash, so it names what is kept on disk; with a secret key it
// also proves who wrote that. The short one of hash.h only tells names apart.
// libsodium and not OpenSSL: it loads in a tenth of libcrypto's time, which every start pays, and
// BLAKE2b takes a key as it is and is as fast as the bytes are read.
// Source: RFC 7693; libsodium's documentation, "Generic hashing".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace leat {

inline constexpr size_t kDigestBytes = 32;
using Digest = std::array<std::byte, kDigestBytes>;

class SecureHasher {
 public:
  /// `key` empty: anybody can compute the same. Else kDigestBytes of it.
  explicit SecureHasher(std::span<const std::byte> key = {});

  void add_bytes(const void* data, size_t size_bytes);
  /// With its size, so that two texts never run into each other.
  void add(std::string_view text);
  void add(int64_t value) { add_bytes(&value, sizeof value); }
  Digest digest() const;

 private:
  static constexpr size_t kStateBytes = 384;  // of crypto_generichash_state
  alignas(64) std::array<std::byte, kStateBytes> state_;
};

/// Takes the same time wherever they differ.
bool is_same(const Digest& a, const Digest& b);
/// Not to be guessed.
void fill_random(std::span<std::byte> bytes);
/// Two lower-case digits a byte.
std::string hex_of(std::span<const std::byte> bytes);

}  // namespace leat
