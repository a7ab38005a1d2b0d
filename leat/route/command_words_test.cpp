// A ring as the device sees it, words with their places, and what a watched fence believes.
#include "leat/route/command_words.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "leat/route/packet_text.h"
#include "leat/route/ring.h"
#include "leat/route/watched_fence.h"

namespace leat {
namespace {

TEST(Ring, WrapsAndNeverFillsUp) {
  std::array<uint32_t, 8> memory = {};
  Ring<uint32_t> ring(memory.data(), 8);
  EXPECT_EQ(ring.space(0), 7u);
  for (uint32_t i = 0; i < 7; ++i) ring.push(100 + i);
  EXPECT_EQ(ring.space(0), 0u);
  EXPECT_EQ(ring.space(5), 5u);
  ring.push(107);
  EXPECT_EQ(ring.index(), 0u);
  ring.push(108);
  EXPECT_EQ(memory[0], 108u);
  EXPECT_EQ(memory[7], 107u);
  EXPECT_EQ(ring.written(), 9u);
}

// A device that shows where it is only by an index that wraps, and takes packets that must not.
TEST(Ring, PadsItsEndAndUnderstandsAnIndex) {
  std::array<uint32_t, 8> memory = {};
  Ring<uint32_t> ring(memory.data(), 8);
  for (uint32_t i = 0; i < 6; ++i) ring.push(1);
  EXPECT_EQ(ring.count_of(6), 6u);
  EXPECT_EQ(ring.count_of(2), 2u);
  EXPECT_EQ(ring.to_end(), 2u);
  constexpr uint32_t kNop = 0xffff1000;
  ring.pad(kNop);
  EXPECT_EQ(memory[6], kNop);
  EXPECT_EQ(memory[7], kNop);
  EXPECT_EQ(ring.index(), 0u);
  ring.push(2);
  EXPECT_EQ(ring.count_of(7), 7u);
  EXPECT_EQ(ring.count_of(1), 9u);
  ring.pad(kNop);
  ring.pad(kNop);  // at the start already
  EXPECT_EQ(ring.written(), 16u);
}

TEST(CommandWords, PlacesHoldAddressesOfWhereverTheListLies) {
  CommandWords words;
  words.add({1, 0, 0, 4});
  words.add_address(1, 0x20);
  words.add(0);
  words.add_shifted_address(4, 8, 0x400);
  std::array<uint32_t, 5> memory = {};
  auto* const target = reinterpret_cast<std::byte*>(memory.data());
  words.place(0x1'0000'1000, target);
  EXPECT_EQ(memory, (std::array<uint32_t, 5>{1, 0x1020, 1, 4, 0x01000014}));
  words.place(0x2'0000'0000, target);
  EXPECT_EQ(memory, (std::array<uint32_t, 5>{1, 0x20, 2, 4, 0x02000004}));
  LivePair{&memory[2]}.set(0x7'0000'0009);
  EXPECT_EQ(memory[2], 9u);
  EXPECT_EQ(memory[3], 7u);
  words.clear();
  EXPECT_TRUE(words.is_empty());
  words.place(0x1000, target);  // nothing to fill in any more
  EXPECT_EQ(memory[1], 0x20u);
}

TEST(WatchedFence, AValueIsBelievedOnceNoFaultStandsBesideIt) {
  uint64_t word = 3;
  WatchedFence fence;
  fence.open(&word);
  bool is_faulty = true;
  const auto check = [&]() -> Result<void> {
    if (!is_faulty) return {};
    return Error(ErrorKind::device_lost, "fault");
  };
  EXPECT_FALSE(fence.wait(3, 0, WaitFor::result, check).has_value());
  EXPECT_TRUE(*fence.wait(3, 0, WaitFor::room, check));
  is_faulty = false;
  EXPECT_TRUE(*fence.wait(3, 0, WaitFor::result, check));
  is_faulty = true;  // what was believed stays so
  EXPECT_TRUE(*fence.wait(3, 0, WaitFor::result, check));
  is_faulty = false;
  EXPECT_FALSE(*fence.wait(4, 0, WaitFor::result, check));
}

TEST(WatchedFence, WhatWasLostStaysLostWhenTheNumberMovesOn) {
  uint64_t word = 2;
  WatchedFence fence;
  fence.open(&word);
  const auto check = []() { return Result<void>(); };
  ASSERT_TRUE(*fence.wait(2, 0, WaitFor::result, check));
  fence.lose(5);
  fence.give_up(5);
  EXPECT_EQ(fence.poll(), 5u);
  EXPECT_TRUE(*fence.wait(2, 0, WaitFor::result, check));
  for (uint64_t value = 3; value <= 5; ++value) {
    const Result<bool> waited = fence.wait(value, 0, WaitFor::result, check);
    ASSERT_FALSE(waited.has_value()) << value;
    EXPECT_EQ(waited.error().kind(), ErrorKind::device_lost);
    EXPECT_TRUE(*fence.wait(value, 0, WaitFor::room, check));
  }
  word = 6;
  EXPECT_TRUE(*fence.wait(6, 0, WaitFor::result, check));
}

TEST(PacketText, NamesWhatItKnows) {
  constexpr NumberName kNames[] = {{0x5C, "SEM_ADDR_LO"}};
  EXPECT_EQ(packet_line("host", find_name(kNames, 0x5C), 0x5C, 0x2a, ""),
            "host SEM_ADDR_LO 0x0000002a");
  EXPECT_EQ(packet_line("host", find_name(kNames, 0x60), 0x60, 1, "why"),
            "host 0x60 0x00000001 (why)");
  EXPECT_EQ(bad_dword("the push buffer", 3, 0x10, "counts wrongly").message(),
            "Dword (3) of the push buffer (0x00000010) counts wrongly.");
}

}  // namespace
}  // namespace leat
