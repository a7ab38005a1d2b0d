// See digest.h.
#include "leat/base/digest.h"

#include <sodium.h>

#include "leat/base/check.h"

namespace leat {

namespace {

crypto_generichash_state* state_of(std::byte* bytes) {
  return reinterpret_cast<crypto_generichash_state*>(bytes);
}

const unsigned char* bytes_of(const void* data) { return static_cast<const unsigned char*>(data); }

}  // namespace

SecureHasher::SecureHasher(std::span<const std::byte> key) {
  static_assert(sizeof(crypto_generichash_state) <= kStateBytes);
  static const bool is_ready = sodium_init() >= 0;  // chooses the code for this processor
  CHECK(is_ready && (key.empty() || key.size() == kDigestBytes));
  const unsigned char* first = key.empty() ? nullptr : bytes_of(key.data());
  CHECK(crypto_generichash_init(state_of(state_.data()), first, key.size(), kDigestBytes) == 0);
}

void SecureHasher::add_bytes(const void* data, size_t size_bytes) {
  CHECK(crypto_generichash_update(state_of(state_.data()), bytes_of(data), size_bytes) == 0);
}

void SecureHasher::add(std::string_view text) {
  add(static_cast<int64_t>(text.size()));
  add_bytes(text.data(), text.size());
}

Digest SecureHasher::digest() const {
  SecureHasher copy = *this;  // the end of a hash spoils its state
  Digest digest;
  auto* out = reinterpret_cast<unsigned char*>(digest.data());
  CHECK(crypto_generichash_final(state_of(copy.state_.data()), out, digest.size()) == 0);
  return digest;
}

bool is_same(const Digest& a, const Digest& b) {
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void fill_random(std::span<std::byte> bytes) { randombytes_buf(bytes.data(), bytes.size()); }

std::string hex_of(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4u];
    text += kDigits[std::to_integer<unsigned>(byte) & 15u];
  }
  return text;
}

}  // namespace leat
