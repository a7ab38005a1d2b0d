#include "leat/backend/nvidia/nvidia_qmd.h"

#include <gtest/gtest.h>

#include <map>

#include "leat/backend/nvidia/nvidia_decode.h"

namespace leat {
namespace {

constexpr QmdVersion kVersions[] = {QmdVersion::v3_0, QmdVersion::v4_0, QmdVersion::v5_0};

TEST(NvidiaQmd, FieldsLieInOneDwordAndNotOnEachOther) {
  for (const QmdVersion version : kVersions) {
    std::map<int, const char*> taken;
    for (size_t i = 0; i < static_cast<size_t>(QmdField::count); ++i) {
      const auto field = static_cast<QmdField>(i);
      const QmdBits bits = bits_of(version, field);
      if (bits.low < 0) continue;
      EXPECT_LE(bits.low, bits.high) << name_of(field);
      EXPECT_EQ(bits.low / 32, bits.high / 32) << name_of(field);
      EXPECT_LT(static_cast<uint32_t>(bits.high), 32 * qmd_dwords(version)) << name_of(field);
      for (int bit = bits.low; bit <= bits.high; ++bit) {
        EXPECT_TRUE(taken.emplace(bit, name_of(field)).second)
            << name_of(field) << " and " << taken[bit] << " share bit " << bit;
      }
    }
  }
}

TEST(NvidiaQmd, KeepsWhatItIsGiven) {
  for (const QmdVersion version : kVersions) {
    for (size_t i = 0; i < static_cast<size_t>(QmdField::count); ++i) {
      const auto field = static_cast<QmdField>(i);
      const QmdBits bits = bits_of(version, field);
      if (bits.low < 0) continue;
      const uint64_t most = ((uint64_t{1} << (bits.high - bits.low + 1)) - 1) << bits.shift;
      Qmd qmd(version);
      qmd.set(field, most);
      EXPECT_EQ(qmd.get(field), most);
      EXPECT_EQ(
          decode_qmd(qmd), std::string(name_of(field)) + " 0x" + [&] {
            char text[32];
            std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(most));
            return std::string(text);
          }() + "\n");
      qmd.set(field, 0);
      EXPECT_EQ(decode_qmd(qmd), "");
    }
  }
}

// Dwords worked out by hand from the class headers, apart from the table.
TEST(NvidiaQmd, DwordsOfHopper) {
  Qmd qmd(QmdVersion::v4_0);
  qmd.set(QmdField::version_major, 4);
  qmd.set(QmdField::type, 2);
  qmd.set(QmdField::api_visible_call_limit, 1);
  qmd.set(QmdField::grid_width, 0x12345);
  qmd.set(QmdField::cta_width, 256);
  qmd.set(QmdField::cta_height, 3);
  qmd.set(QmdField::register_count, 40);
  qmd.set(QmdField::barrier_count, 1);
  qmd.set_program(0x123456780);
  qmd.set_bank0(0x12345600, 0x220);
  qmd.set_release(0x1200000008, 0x100000002);
  qmd.set_dependent(0x1234500);
  const std::span<const uint32_t> dwords = qmd.dwords();
  EXPECT_EQ(dwords[0], 2u << 23);
  EXPECT_EQ(dwords[18], 4u << 4);                         // MAJOR 583:580
  EXPECT_EQ(dwords[17], 1u << 24);                        // 568
  EXPECT_EQ(dwords[32], 0x12345u);                        // 1055:1024
  EXPECT_EQ(dwords[36], 3u << 16 | 256u);                 // 1183:1168, 1167:1152
  EXPECT_EQ(dwords[37], 1u << 27 | 40u << 16);            // 1215:1211, 1208:1200
  EXPECT_EQ(dwords[38], 0x23456780u);                     // 1247:1216
  EXPECT_EQ(dwords[39], 1u);                              // 1272:1248
  EXPECT_EQ(dwords[48], 0x12345600u >> 6);                // 1567:1536
  EXPECT_EQ(dwords[49], (0x220u >> 4) << 19);             // 1599:1587
  EXPECT_EQ(dwords[13], 1u);                              // 416
  EXPECT_EQ(dwords[10], 1u | 2u << 1 | 1u << 12);         // 320, 322:321, 332
  EXPECT_EQ(dwords[20], 0x00000008u);                     // 671:640
  EXPECT_EQ(dwords[21], 0x12u);                           // 696:672
  EXPECT_EQ(dwords[22], 2u);                              // 735:704
  EXPECT_EQ(dwords[23], 1u);                              // 767:736
  EXPECT_EQ(dwords[14], 0x12345u);                        // 479:448
  EXPECT_EQ(dwords[11], 1u << 16 | 1u << 17 | 1u << 20);  // 368, 371:369, 372
}

TEST(NvidiaQmd, AddressesComeBack) {
  for (const QmdVersion version : kVersions) {
    Qmd qmd(version);
    qmd.set_program(0x1ff12345680);
    qmd.set_bank0(0x1ff12345600, 0x1000);
    qmd.set_release(0xff12345678, 0x123456789abcdef0);
    EXPECT_EQ(qmd.program(), 0x1ff12345680u);
    EXPECT_EQ(qmd.bank0(), 0x1ff12345600u);
    EXPECT_EQ(qmd.release_address(), 0xff12345678u);
    EXPECT_EQ(qmd.release_payload(), 0x123456789abcdef0u);
  }
}

TEST(NvidiaDecode, ReadsEachFormOfHeader) {
  const uint32_t words[] = {1u << 29 | 2u << 16 | 1u << 13 | 0x2B4 / 4, 5, 6,     // incrementing
                            3u << 29 | 2u << 16 | 1u << 13 | 0x1B4 / 4, 7, 8,     // not
                            5u << 29 | 3u << 16 | 4u << 13 | 0x400 / 4, 1, 2, 3,  // once
                            4u << 29 | 9u << 16 | 1u << 13 | 0x2C0 / 4};          // immediate
  const Result<std::vector<PushMethod>> methods = read_segment(words);
  ASSERT_TRUE(methods.has_value());
  std::string text;
  for (const PushMethod& method : *methods) {
    text += std::to_string(method.subchannel) + ":" + std::to_string(method.method) + "=" +
            std::to_string(method.data) + " ";
  }
  EXPECT_EQ(text, "1:692=5 1:696=6 1:436=7 1:436=8 4:1024=1 4:1028=2 4:1028=3 1:704=9 ");
}

TEST(NvidiaDecode, RefusesBrokenSegments) {
  const uint32_t too_long[] = {1u << 29 | 2u << 16 | 0x2B4 / 4, 5};
  const uint32_t no_form[] = {2u << 29 | 1u << 16 | 0x2B4 / 4, 5};
  const uint32_t reserved[] = {4u << 29 | 0x1000};
  EXPECT_FALSE(read_segment(too_long).has_value());
  EXPECT_FALSE(read_segment(no_form).has_value());
  EXPECT_FALSE(read_segment(reserved).has_value());
  EXPECT_TRUE(read_segment({}).has_value());
}

TEST(NvidiaDecode, RingEntries) {
  EXPECT_EQ(decode_ring_entry(0x120000000 | uint64_t{17} << 42),
            "segment at 0x120000000, 17 dwords");
}

}  // namespace
}  // namespace leat
