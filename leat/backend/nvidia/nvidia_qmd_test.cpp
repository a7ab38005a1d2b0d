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

/// One whose code is fetched ahead: 11 blocks of 256 bytes.
Qmd next_launch(QmdVersion version) {
  Qmd next(version);
  next.set_prefetch(0x112233445500, 0xa01);
  return next;
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
  qmd.set_dependent(0x1234500, next_launch(QmdVersion::v4_0));
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
  EXPECT_EQ(dwords[42], 0x22334455u);                     // 1375:1344
  EXPECT_EQ(dwords[43], 0x11u | 11u << 17 | 1u << 26);    // 1392:1376, 1401:1393, 1403:1402
}

/// A launch with every kind of field that a kernel of ours sets, the same for each version.
Qmd sample_launch(QmdVersion version, uint64_t major) {
  using enum QmdField;
  Qmd qmd(version);
  qmd.set(version_major, major);
  qmd.set(group_id, 0x1f);
  qmd.set(api_visible_call_limit, 1);
  qmd.set(sampler_index, 1);
  qmd.set(sass_version, 0x86);
  qmd.set(cwd_membar_type, 1);
  qmd.set(invalidate_shader_data_cache, 1);
  qmd.set(grid_width, 0x12345);
  qmd.set(grid_height, 7);
  qmd.set(grid_depth, 9);
  qmd.set(cta_width, 256);
  qmd.set(cta_height, 3);
  qmd.set(cta_depth, 2);
  qmd.set(register_count, 40);
  qmd.set(barrier_count, 5);
  qmd.set(shared_memory_size, 0x4c00);
  qmd.set(min_sm_config, 0x09);
  qmd.set(max_sm_config, 0x1a);
  qmd.set(target_sm_config, 0x11);
  qmd.set(local_memory_high, 0x640);
  qmd.set_program(0x1123456780);
  qmd.set_bank0(0x1212345600, 0x220);
  qmd.set(bank0_prefetch, 1);
  qmd.set(bank0_invalidate, 1);
  qmd.set_release(0x1300000008, 0x100000002);
  qmd.set_dependent(0x1401234500, next_launch(version));
  return qmd;
}

void expect_dwords(const Qmd& qmd, const std::map<size_t, uint32_t>& wanted) {
  const std::span<const uint32_t> dwords = qmd.dwords();
  for (size_t i = 0; i < dwords.size(); ++i) {
    const auto entry = wanted.find(i);
    EXPECT_EQ(dwords[i], entry == wanted.end() ? 0u : entry->second) << "dword " << i;
  }
}

// Worked out by hand from clc6c0qmd.h, apart from the table: the numbers behind each line are the
// bits of the whole descriptor. Bank and program addresses are not shifted in this version.
TEST(NvidiaQmd, DwordsOfAmpere) {
  Qmd qmd = sample_launch(QmdVersion::v3_0, 3);
  qmd.set(QmdField::sm_global_caching_enable, 1);
  ASSERT_EQ(qmd.dwords().size(), 64u);
  expect_dwords(
      qmd, {
               {4, 0x1f | 1u << 6},                              // 133:128, 134
               {5, 1u << 29},                                    // 189
               {8, 0x22334455},                                  // 287:256
               {11, 1u << 26 | 1u << 30 | 1u << 16},             // 378, 382, 369:368
               {12, 0x12345},                                    // 415:384
               {13, 7},                                          // 431:416
               {14, 9},                                          // 463:448
               {15, 0x14012345},                                 // 511:480, >> 8
               {16, 1u | 1u << 1 | 1u << 4},                     // 512, 515:513, 516
               {17, 0x4c00u | 0x09u << 18 | 0x1au << 25},        // 561:544, 567:562, 574:569
               {18, 3u << 4 | 256u << 16},                       // 583:580, 607:592
               {19, 3u | 2u << 16},                              // 623:608, 639:624
               {20, 1u | 40u << 8 | 0x11u << 17},                // 640, 656:648, 662:657
               {23, 5u << 27},                                   // 767:763
               {24, 0x00000008},                                 // 799:768
               {25, 0x13u | 1u << 23 | 1u << 29 | 2u << 30},     // 807:800, 823, 829, 831:830
               {26, 2},                                          // 863:832
               {27, 1},                                          // 895:864
               {32, 0x12345600},                                 // 1055:1024
               {33, 0x12u | 1u << 17 | 1u << 18 | 0x22u << 19},  // 1072:1056, 1073, 1074, 1087:1075
               {48, 0x23456780},                                 // 1567:1536
               {49, 0x11},                                       // 1584:1568
               {50, 0x640},                                      // 1623:1600
               // 1640:1632, 1649:1641, 1651:1650, 1663:1656
               {51, 0x11u | 11u << 9 | 1u << 18 | 0x86u << 24},
           });
}

// The same from clcdc0qmd.h. Program and local memory are shifted by 4, the bank by 6, shared
// memory by 7.
TEST(NvidiaQmd, DwordsOfBlackwell) {
  Qmd qmd = sample_launch(QmdVersion::v5_0, 5);
  qmd.set(QmdField::type, 2);
  ASSERT_EQ(qmd.dwords().size(), 96u);
  expect_dwords(qmd, {
                         {4, 0x1fu << 16 | 2u << 23},           // 149:144, 153:151
                         {9, 1u | 2u << 1 | 1u << 12},          // 288, 290:289, 300
                         {10, 1u << 16 | 1u << 17 | 1u << 20},  // 336, 339:337, 340
                         {12, 0x14012345},                      // 415:384, >> 8
                         {14, 0x86u | 1u << 8 | 1u << 9 | 5u << 20 |
                                  1u << 27},               // 455:448, 456, 457, 471:468, 475
                         {15, 0x00000008},                 // 511:480
                         {16, 0x13},                       // 536:512
                         {17, 2},                          // 575:544
                         {18, 1},                          // 607:576
                         {19, 1u << 16},                   // 625:624
                         {32, 0x12345678},                 // 1055:1024, >> 4
                         {33, 1u | 11u << 21 | 1u << 30},  // 1076:1056, 1085:1077, 1087:1086
                         {34, 256u | 3u << 16},            // 1103:1088, 1119:1104
                         {35, 2u | 40u << 8 | 5u << 17},   // 1127:1120, 1136:1128, 1141:1137
                         {36, 0x98u | 0x09u << 11 | 0x1au << 17 |
                                  0x11u << 23},  // 1162:1152, >> 7; 1168:1163, 1174:1169, 1180:1175
                         {37, 0x64u << 16},      // 1215:1200, >> 4
                         {39, 0x12345},          // 1279:1248
                         {40, 7},                // 1295:1280
                         {41, 9},                // 1327:1312
                         {42, 0x4848d158},       // 1375:1344, >> 6
                         {43, 0x22u << 19},      // 1394:1376, 1407:1395
                         {58, 1u | 1u << 1 | 1u << 3},  // 1856, 1858:1857, 1859
                         {59, 0x22334455},              // 1919:1888
                         {60, 0x11},                    // 1936:1920
                     });
}

TEST(NvidiaQmd, AddressesComeBack) {
  for (const QmdVersion version : kVersions) {
    Qmd qmd(version);
    qmd.set_program(0x1ff12345680);
    qmd.set_bank0(0x1ff12345600, 0x1000);
    qmd.set_release(0xff12345678, 0x123456789abcdef0);
    qmd.set_prefetch(0x1ff12345600, 1 << 20);
    EXPECT_EQ(qmd.prefetch_address(), 0x1ff12345600u);
    EXPECT_EQ(qmd.prefetch_size_bytes(), 0x1ffu * 256);  // as much as the field can say
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
