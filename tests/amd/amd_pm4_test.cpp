// The packets that the direct route writes: word by word as drivers of AMD's own write them, as
// text, and what the check before the doorbell finds.
// Source of the words: ROCm/hrx-system libamdf/cts/gpu/pm4/encoding/commands_test.cc; those of
// DMA_DATA and the wait: computed from their fields.
#include "leat/backend/amd/amd_pm4.h"

#include <gtest/gtest.h>

#include <functional>

#include "leat/backend/amd/amd_chips.h"
#include "leat/backend/amd/amd_decode.h"
#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

using Words = std::vector<uint32_t>;

Words written(const std::function<void(CommandWords&)>& write) {
  CommandWords words;
  write(words);
  Words all;
  for (uint32_t i = 0; i < words.size(); ++i) all.push_back(words[i]);
  return all;
}

TEST(AmdPm4, GoldenWords) {
  const AmdGeneration& gfx11 = *find_amd_chip(110000)->generation;
  const AmdGeneration& gfx12 = *find_amd_chip(120001)->generation;
  const auto acquired = [](const AmdGeneration& generation) {
    return written([&](auto& words) { pm4::acquire(words, generation.system_acquire); });
  };
  EXPECT_EQ(acquired(gfx11), (Words{0xc0065800, 0, 0xffffffff, 0xff, 0, 0, 0xa, 0xc3a1}));
  EXPECT_EQ(acquired(gfx12), (Words{0xc0065800, 0, 0xffffffff, 0xff, 0, 0, 0xa, 0xc181}));
  EXPECT_EQ(written([](auto& words) { pm4::partial_flush(words); }), (Words{0xc0004600, 0x407}));
  const uint64_t entry = 0x123456789000 >> 8;
  EXPECT_EQ(written([&](auto& words) {
              pm4::set_registers(words, pm4::kProgram, {low(entry), high(entry)});
            }),
            (Words{0xc0027602, 0x20c, 0x34567890, 0x12}));
  EXPECT_EQ(written([](auto& words) {
              pm4::set_registers(words, pm4::kResources, {0xe0af0000, 0x8084});
            }),
            (Words{0xc0027602, 0x212, 0xe0af0000, 0x8084}));
  EXPECT_EQ(written([](auto& words) { pm4::set_registers(words, pm4::kResources3, {0x30}); }),
            (Words{0xc0017602, 0x228, 0x30}));
  EXPECT_EQ(written([](auto& words) {
              pm4::set_registers(words, pm4::kResourceLimits, {pm4::kSimdDestControl});
            }),
            (Words{0xc0017602, 0x215, 0x400000}));
  EXPECT_EQ(written([](auto& words) {
              pm4::set_registers(words, pm4::kStart, {0, 0, 0, 128, 1, 1});
            }),
            (Words{0xc0067602, 0x204, 0, 0, 0, 0x80, 1, 1}));
  EXPECT_EQ(written([](auto& words) {
              pm4::dispatch(words, {8, 4, 2});
            }),
            (Words{0xc0031502, 8, 4, 2, 0x8005}));
  const uint64_t address = 0x3456789abc00;
  EXPECT_EQ(written([&](auto& words) {
              pm4::release(words, gfx11.system_release, pm4::kReleaseValue, address, 0x100000002);
            }),
            (Words{0xc0064900, 0x30e528, 0x43010000, 0x789abc00, 0x3456, 2, 1, 0}));
  EXPECT_EQ(gfx12.system_release, 0x304528u);
  EXPECT_EQ(written([&](auto& words) {
              pm4::release(words, pm4::kReleasePlain, pm4::kReleaseClock, address, 0);
            }),
            (Words{0xc0064900, 0x528, 0x63010000, 0x789abc00, 0x3456, 0, 0, 0}));
  EXPECT_EQ(written([&](auto& words) { pm4::call_buffer(words, address, 40); }),
            (Words{0xc0023f02, 0x789abc00, 0x3456, 0x800028}));
  EXPECT_EQ(written([&](auto& words) { pm4::wait_least(words, address, 7); }),
            (Words{0xc0079300, 0x15, 0x789abc00, 0x3456, 7, 0, 0xffffffff, 0xffffffff, 4}));
  EXPECT_EQ(written([&](auto& words) { pm4::wait_equal(words, address, 7); }),
            (Words{0xc0053c00, 0x13, 0x789abc00, 0x3456, 7, 0xffffffff, 0x8000000a}));
  EXPECT_EQ(written([&](auto& words) {
              pm4::set_registers(words, pm4::kUserData, {low(address), high(address)});
            }),
            (Words{0xc0027602, 0x240, 0x789abc00, 0x3456}));
  EXPECT_EQ(written([&](auto& words) { pm4::copy(words, address, 0x100002000, 64); }),
            (Words{0xc0055000, 0x60300000, 0x2000, 1, 0x789abc00, 0x3456, 0x40000040}));
}

TEST(AmdPm4, PacketsAsText) {
  CommandWords words;
  pm4::partial_flush(words);
  pm4::set_registers(words, pm4::kProgram, {0x34567890, 0x12});
  pm4::dispatch(words, {8, 4, 2});
  pm4::release(words, 0x30e528, pm4::kReleaseValue, 0x1000, 5);
  words.add(pm4::kNopWord);
  Words all;
  for (uint32_t i = 0; i < words.size(); ++i) all.push_back(words[i]);
  const Result<std::string> text = decode_packets(all);
  ASSERT_OK(text);
  EXPECT_EQ(*text,
            "EVENT_WRITE 00000407 (CS_PARTIAL_FLUSH)\n"
            "SET_SH_REG COMPUTE_PGM_LO 0x34567890\n"
            "SET_SH_REG COMPUTE_PGM_HI 0x00000012\n"
            "DISPATCH_DIRECT 00000008 00000004 00000002 00008005 (8 x 4 x 2 workgroups)\n"
            "RELEASE_MEM 0030e528 43010000 00001000 00000000 00000005 00000000 00000000 (5 to "
            "0x1000)\n"
            "NOP\n");
  EXPECT_FALSE(decode_packets(Words{0x12345678}).has_value());
  EXPECT_FALSE(decode_packets(Words{0xc0004600}).has_value()) << "cut short";
  EXPECT_FALSE(decode_packets(Words{0xc0001100, 0}).has_value()) << "unknown";
}

/// Words of the ring from `from` on.
Words ring_words(amd_card::FakeKfd& fake, uint64_t from, uint64_t to) {
  Words words;
  for (const auto& range : fake.memory().ranges()) {
    if (range->size != uint64_t{1} << 18) continue;  // the ring
    for (uint64_t i = from; i < to; ++i) {
      uint32_t word;
      std::memcpy(&word, range->host + 4 * i, 4);
      words.push_back(word);
    }
  }
  return words;
}

TEST(AmdPm4, LaunchesTakeFewWords) {
  FakeCard card;
  Result<std::unique_ptr<Device>> device = card.open();
  ASSERT_OK(device);
  Queue& queue = (*device)->queue();
  const Result<KernelBinary> binary = compile_kernel(card.target, step_kernel(1));
  ASSERT_OK(binary);
  Result<std::unique_ptr<Kernel>> kernel = (*device)->load(*binary);
  ASSERT_OK(kernel);
  Result<Buffer> a = (*device)->allocate(256, MemoryKind::shared);
  Result<Buffer> b = (*device)->allocate(256, MemoryKind::shared);
  ASSERT_OK(a);
  ASSERT_OK(b);
  set_values(*a, std::vector<int32_t>(64, 1));
  set_values(*b, std::vector<int32_t>(64, 1));
  constexpr uint64_t kFirstSign = 18, kFull = 49, kDependent = 19, kBeside = 9;
  const BufferRange on_a[] = {whole(*a)}, on_b[] = {whole(*b)};
  ASSERT_OK(queue.launch(**kernel, on_a));
  Result<uint64_t> value = queue.submit();
  ASSERT_OK(value);
  ASSERT_OK(wait_for(**device, *value));
  uint64_t at = kFirstSign;
  const Words full = ring_words(card.fake, at, at + kFull);
  EXPECT_EQ(full[0], 0xc0004600u);
  EXPECT_EQ(full[kFull - 8], 0xc0064900u) << "ends with the release";
  EXPECT_EQ(full[kFull - 13], 0xc0031502u) << "behind the dispatch";
  EXPECT_EQ(ring_words(card.fake, at + kFull, at + kFull + 1)[0], 0u) << "and nothing more";
  at += kFull;
  ASSERT_OK(queue.launch(**kernel, on_a));
  ASSERT_OK(queue.launch(**kernel, on_a));
  ASSERT_OK(queue.launch(**kernel, on_b));
  value = queue.submit();
  ASSERT_OK(value);
  ASSERT_OK(wait_for(**device, *value));
  const Words three = ring_words(card.fake, at, at + kFull + kDependent + kBeside + 1);
  EXPECT_EQ(three[kFull - 8], 0xc0004600u) << "the second waits";
  EXPECT_EQ(three[kFull - 8 + 2 + 7], 0x380u) << "and acquires";
  EXPECT_EQ(three[kFull - 8 + kDependent], 0xc0027602u) << "the third does not";
  EXPECT_EQ(three[kFull - 8 + kDependent + kBeside], 0xc0064900u);
  EXPECT_EQ(three.back(), 0u);
  EXPECT_EQ(card.faults(), "");
}

}  // namespace
}  // namespace leat
