// BLAKE2b with 256 bits, checked against published values.
#include "leat/base/digest.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

// Source: coreutils' b2sum -l 256 of the same three bytes.
TEST(SecureHasher, IsBlake2b) {
  SecureHasher hasher;
  hasher.add_bytes("abc", 3);
  EXPECT_EQ(hex_of(hasher.digest()),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST(SecureHasher, DependsOnItsKey) {
  const Digest one = {std::byte{1}};
  const Digest two = {std::byte{2}};
  SecureHasher plain, first(one), second(two), again(one);
  for (SecureHasher* hasher : {&plain, &first, &second, &again}) hasher->add("text");
  EXPECT_FALSE(is_same(plain.digest(), first.digest()));
  EXPECT_FALSE(is_same(first.digest(), second.digest()));
  EXPECT_TRUE(is_same(first.digest(), again.digest()));
}

TEST(SecureHasher, ADigestMayBeTakenOnTheWay) {
  SecureHasher hasher;
  hasher.add("a");
  const Digest first = hasher.digest();
  EXPECT_EQ(first, hasher.digest());
  hasher.add("b");
  EXPECT_NE(first, hasher.digest());
}

}  // namespace
}  // namespace leat
