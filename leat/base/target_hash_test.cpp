// The hash of a Target tells any two apart that differ.
#include "leat/base/target_hash.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

Digest digest_of(const Target& target) {
  SecureHasher hasher;
  add_target(hasher, target);
  return hasher.digest();
}

TEST(Target, EveryFieldIsHashed) {
  const Target target;
  EXPECT_EQ(digest_of(target), digest_of(Target{}));
  const auto expect_other = [&](auto change) {
    Target other;
    change(other);
    EXPECT_NE(digest_of(other), digest_of(target));
  };
  expect_other([](Target& other) { other.name = "x"; });
  expect_other([](Target& other) { other.format = CodeFormat::cubin; });
  expect_other([](Target& other) { other.software = true; });
  expect_other([](Target& other) { other.llvm_features = "+avx2"; });
  expect_other([](Target& other) { other.workgroups_max[2] = 1; });
  expect_other([](Target& other) { other.compute_units = 2; });
  expect_other([](Target& other) { other.argument_bytes_max = 1; });
  expect_other([](Target& other) { other.storage_f16 = false; });
  expect_other([](Target& other) { other.shader_64bit = true; });
  expect_other([](Target& other) { other.shader_keeps_nan = true; });
  expect_other([](Target& other) { other.shader_products = 1; });
}

TEST(Target, TextsDoNotRunIntoEachOther) {
  Target a, b;
  a.llvm_cpu = "ab";
  b.llvm_cpu = "a";
  b.llvm_features = "b";
  EXPECT_NE(digest_of(a), digest_of(b));
}

}  // namespace
}  // namespace leat
