#include "leat/backend/nvidia/nvidia_link.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace leat {
namespace {

using Field = NvidiaRelocation::Field;
using Words = std::array<uint64_t, 4>;  // two instructions

Words relocated(Words words, uint64_t address, const NvidiaRelocation& relocation) {
  relocate_nvidia_code(std::as_writable_bytes(std::span(words)), address, {&relocation, 1});
  return words;
}

TEST(NvidiaLink, WordsOfAnAddressGoToTheImmediate) {
  const Words code = {0x0000000000147802, 0x000fe40000000f00, 0x0000000000157802, 1};
  const Words low = relocated(code, 0x7f1234500000, {Field::low_word, 0, 0x100});
  EXPECT_EQ(low, (Words{0x3450010000147802, code[1], code[2], 1}));
  const Words high = relocated(code, 0x7f1234500000, {Field::high_word, 16, 0x100});
  EXPECT_EQ(high, (Words{code[0], code[1], 0x00007f1200157802, 1}));
}

// A call over 0x280 bytes, relative, is encoded by ptxas as 0xa0 in the same lower field.
TEST(NvidiaLink, CallTargetIsSplit) {
  const Words code = {0x7943, 0x000fea0003c00000, 0, 0};
  EXPECT_EQ(relocated(code, 0, {Field::call_target, 0, 0x280})[0], 0xa07943u);
  const uint64_t target = 0x1ff'ffff'ffff'fff0;  // every bit that the field holds
  const Words all = relocated(code, target, {Field::call_target, 0, 0});
  EXPECT_EQ(all[0], 0xfffffffc00fc7943u | (target >> 2 & 0xff) << 16);
  EXPECT_EQ(all[1], 0x000fea0003c00000u | (target >> 40 & 0x1ffff));
  const Words other = relocated(code, 0x12'3456'7000, {Field::call_target, 0, 0x9c0});
  EXPECT_EQ(other[0] >> 16 & 0xff, (0x12'3456'79c0u >> 2) & 0xff);
  EXPECT_EQ(other[0] >> 34, 0x12'3456'79c0u >> 10 & 0x3fffffff);
  EXPECT_EQ(other[1], code[1] | 0x12'3456'79c0u >> 40);
}

TEST(NvidiaLink, OtherTypesAreRefused) {
  EXPECT_EQ(nvidia_relocation_field(0x4B).value(), Field::call_target);
  const auto refused = nvidia_relocation_field(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace leat
