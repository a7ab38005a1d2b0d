// The packet processor: golden words pass, every order that needs a wait or a cache action fails
// without it, and every reserved bit is refused.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "tests/amd/amd_code_object.h"
#include "tests/amd/amd_packets.h"
#include "tests/amd/amd_stream.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

constexpr uint64_t kCode = 0x200000000000, kData = 0x200001000000, kArguments = 0x200002000000,
                   kSignal = 0x200003000000, kRing = 0x200004000000, kBuffer = 0x200005000000;
constexpr uint32_t kRsrc1 = 0x40af0001, kRsrc2 = 2 << 1 | 1 << 7;

/// out[i] = in[i] + 1 for 32 words; arguments: out, in.
constexpr char kAddOne[] = R"(
s_load_b128 s[4:7], s[0:1], null
v_lshlrev_b32 v1, 2, v0
s_waitcnt lgkmcnt(0)
global_load_b32 v2, v1, s[6:7]
s_waitcnt vmcnt(0)
v_add_nc_u32 v2, 1, v2
global_store_b32 v1, v2, s[4:5]
s_endpgm
)";

class PacketsTest : public testing::Test {
 protected:
  PacketsTest() {
    const auto words = assemble("gfx1100", kAddOne);
    CHECK(words.has_value());
    std::memcpy(code_.data(), words->data(), words->size() * 4);
    for (uint32_t k = 0; k < 32; ++k) data_[k] = 100 + k;
    map(kCode, code_, kRead | kRun, "code");
    map(kData, data_, kRead | kWrite, "data");
    map(kArguments, arguments_, kRead, "arguments");
    map(kSignal, signal_, kRead | kWrite, "signal");
    map(kRing, ring_, kRead | kRun, "ring");
    map(kBuffer, buffer_, kRead | kRun, "buffer");
  }

  void map(uint64_t va, std::vector<uint32_t>& words, uint8_t access, const char* name) {
    const bool watched = va == kData;
    CHECK(memory_.map(va, words.size() * 4, reinterpret_cast<uint8_t*>(words.data()), access, name,
                      watched));
  }

  /// A launch of kAddOne from block `from` of kData to block `to`; blocks have 32 words.
  Launch add_one(uint32_t to, uint32_t from) {
    Launch launch;
    launch.entry = kCode;
    launch.rsrc1 = kRsrc1;
    launch.rsrc2 = kRsrc2;
    launch.threads = {32, 1, 1};
    const uint64_t block[2] = {kData + 128 * to, kData + 128 * from};
    std::memcpy(&arguments_[next_arguments_], block, sizeof(block));
    const uint64_t va = kArguments + next_arguments_ * 4;
    next_arguments_ += 4;
    launch.user_data[0] = uint32_t(va);
    launch.user_data[1] = uint32_t(va >> 32);
    return launch;
  }

  /// A fresh queue, and memory that no launch has touched.
  void begin_again() {
    CHECK(memory_.unmap(kData));
    map(kData, data_, kRead | kWrite, "data");
    processor_.emplace(memory_, ProcessorOptions{});
    read_ = write_ = 0;
    signal_.assign(signal_.size(), 0);
  }

  Result<void> run(const Stream& stream) {
    std::copy(stream.words.begin(), stream.words.end(),
              ring_.begin() + long(write_ % ring_.size()));
    write_ += stream.words.size();
    processor_->begin_submission();
    return processor_->run_ring(kRing, ring_.size(), read_, write_);
  }

  void expect_refused(const Stream& stream, const std::string& reason) {
    const auto done = run(stream);
    ASSERT_FALSE(done.has_value()) << reason;
    EXPECT_NE(done.error().message().find(reason), std::string::npos) << done.error().message();
  }

  /// Two launches of which the second reads what the first wrote, with `between` between them.
  template <class F>
  Result<void> run_pair(uint32_t to, uint32_t from, F between) {
    begin_again();
    Stream stream(false);
    stream.system_acquire();
    stream.launch(add_one(1, 0));
    between(stream);
    stream.launch(add_one(to, from));
    stream.release(kSignal, 1);
    return run(stream);
  }

  std::vector<uint32_t> code_ = std::vector<uint32_t>(1024), data_ = code_, arguments_ = code_,
                        signal_ = code_, ring_ = code_, buffer_ = code_;
  GpuMemory memory_;
  std::optional<PacketProcessor> processor_{std::in_place, memory_, ProcessorOptions{}};
  size_t next_arguments_ = 0;
  uint64_t read_ = 0, write_ = 0;
};

TEST_F(PacketsTest, GoldenWords) {
  Stream stream(false);
  stream.partial_flush();
  EXPECT_EQ(stream.words, (std::vector<uint32_t>{0xc0004600, 0x407}));
  stream.words.clear();
  stream.system_acquire();
  EXPECT_EQ(stream.words,
            (std::vector<uint32_t>{0xc0065800, 0, 0xffffffff, 0xff, 0, 0, 0xa, 0xc3a1}));
  stream.words.clear();
  stream.set(0x204, {0, 0, 0, 0x80, 1, 1});
  EXPECT_EQ(stream.words, (std::vector<uint32_t>{0xc0067602, 0x204, 0, 0, 0, 0x80, 1, 1}));
  stream.words.clear();
  stream.release(0x12, 7);
  EXPECT_EQ(stream.words,
            (std::vector<uint32_t>{0xc0064900, 0x30e528, 0x23010000, 0x12, 0, 7, 0, 0}));
}

TEST_F(PacketsTest, RunsAndFences) {
  Stream stream(false);
  stream.words.push_back(0xffff1000);
  stream.partial_flush();
  stream.system_acquire();
  stream.launch(add_one(1, 0));
  stream.release(kSignal, 1);
  const auto done = run(stream);
  ASSERT_TRUE(done.has_value()) << done.error().message();
  for (uint32_t k = 0; k < 32; ++k) EXPECT_EQ(data_[32 + k], 101 + k);
  EXPECT_EQ(signal_[0], 1u);
  EXPECT_EQ(read_, write_);
}

TEST_F(PacketsTest, DependentLaunchesNeedFlushAndAcquire) {
  const auto nothing = [](Stream&) {};
  for (const auto& [to, from] : {std::pair{2U, 1U}, {0U, 3U}, {1U, 3U}}) {  // RAW, WAR, WAW
    EXPECT_FALSE(run_pair(to, from, nothing).has_value()) << to << from;
  }
}

TEST_F(PacketsTest, IndependentLaunchesNeedNothing) {
  EXPECT_TRUE(run_pair(3, 2, [](Stream&) {}).has_value());
}

TEST_F(PacketsTest, FlushWithoutAcquireIsStale) {
  EXPECT_FALSE(run_pair(2, 1, [](Stream& s) { s.partial_flush(); }).has_value());
}

TEST_F(PacketsTest, AcquireBeforeTheFlushIsStale) {
  EXPECT_FALSE(run_pair(2, 1, [](Stream& s) { s.light_acquire(), s.partial_flush(); }).has_value());
}

TEST_F(PacketsTest, VectorCacheOnlyIsEnoughForVectorLoads) {
  EXPECT_TRUE(run_pair(2, 1, [](Stream& s) { s.partial_flush(), s.acquire(0x300); }).has_value());
}

TEST_F(PacketsTest, ScalarCacheOnlyIsStale) {
  EXPECT_FALSE(run_pair(2, 1, [](Stream& s) { s.partial_flush(), s.acquire(0x80); }).has_value());
}

TEST_F(PacketsTest, FlushAndAcquireOrderReuse) {
  const auto both = [](Stream& s) { s.partial_flush(), s.light_acquire(); };
  for (const auto& [to, from] : {std::pair{2U, 1U}, {0U, 3U}, {1U, 3U}}) {
    const auto done = run_pair(to, from, both);
    EXPECT_TRUE(done.has_value()) << done.error().message();
  }
}

TEST_F(PacketsTest, AFenceOrdersToo) {
  const auto fence = [](Stream& s) {
    s.release(kSignal, 7), s.wait_equal(kSignal, 7), s.light_acquire();
  };
  EXPECT_TRUE(run_pair(2, 1, fence).has_value());
}

TEST_F(PacketsTest, EverySubmissionBeginsWithASystemAcquire) {
  Stream stream(false);
  stream.light_acquire();
  stream.launch(add_one(1, 0));
  stream.release(kSignal, 1);
  expect_refused(stream, "GLI_INV and GL2_INV");
}

TEST_F(PacketsTest, ResultsMustBeWrittenBack) {
  Stream stream(false);
  stream.system_acquire();
  stream.launch(add_one(1, 0));
  expect_refused(stream, "never written back");
}

TEST_F(PacketsTest, AFenceWithoutWriteBackLies) {
  Stream stream(false);
  stream.system_acquire();
  stream.launch(add_one(1, 0));
  stream.packet(0x49, {0x528, 0x23010000, uint32_t(kSignal), uint32_t(kSignal >> 32), 1, 0, 0});
  expect_refused(stream, "still in L2");
}

TEST_F(PacketsTest, ChangedCodeNeedsItsCacheInvalidated) {
  Stream stream(false);
  stream.system_acquire();
  stream.launch(add_one(1, 0));
  stream.release(kSignal, 1);
  ASSERT_TRUE(run(stream).has_value());
  code_[5] = code_[5];  // the decoded code of the first submission is dropped by the next acquire
  const auto other = assemble("gfx1100", "s_endpgm\n");
  code_[0] = other->at(0);
  Stream again(false);
  again.system_acquire();
  again.launch(add_one(2, 0));
  again.release(kSignal, 2);
  ASSERT_TRUE(run(again).has_value());
  EXPECT_EQ(data_[64], 0u) << "the new code does nothing";
}

TEST_F(PacketsTest, WaitsForTheHost) {
  Stream stream(false);
  stream.wait_equal(kSignal + 64, 5);
  stream.system_acquire();
  stream.launch(add_one(1, 0));
  stream.release(kSignal, 1);
  ASSERT_TRUE(run(stream).has_value());
  EXPECT_TRUE(processor_->is_waiting());
  EXPECT_EQ(signal_[0], 0u);
  signal_[16] = 5;
  ASSERT_TRUE(processor_->run_ring(kRing, ring_.size(), read_, write_).has_value());
  EXPECT_FALSE(processor_->is_waiting());
  EXPECT_EQ(signal_[0], 1u);
}

TEST_F(PacketsTest, IndirectBuffersCallAndChain) {
  Stream list(false);
  list.system_acquire();
  list.launch(add_one(1, 0));
  Stream tail(false);
  tail.release(kSignal, 3);
  const uint32_t tail_at = 512;
  list.packet(0x3f,
              {uint32_t(kBuffer + 4 * tail_at), uint32_t(kBuffer >> 32),
               0x900000U | uint32_t(tail.words.size())},
              true);
  std::copy(list.words.begin(), list.words.end(), buffer_.begin());
  std::copy(tail.words.begin(), tail.words.end(), buffer_.begin() + tail_at);
  Stream stream(false);
  stream.call(kBuffer, uint32_t(list.words.size()));
  const auto done = run(stream);
  ASSERT_TRUE(done.has_value()) << done.error().message();
  EXPECT_EQ(signal_[0], 3u);
  // A call inside of a buffer is not known to the compute engine.
  buffer_[list.words.size() - 1] &= ~0x100000U;
  Stream again(false);
  again.call(kBuffer, uint32_t(list.words.size()));
  expect_refused(again, "only a chain");
}

TEST_F(PacketsTest, CopiesAndWrites) {
  Stream stream(false);
  stream.write_data(kSignal + 8, 77);
  stream.packet(0x40, {0x100202, uint32_t(kSignal + 8), uint32_t(kSignal >> 32),
                       uint32_t(kSignal + 12), uint32_t(kSignal >> 32)});
  stream.packet(0x50, {0x60300000, uint32_t(kSignal + 8), uint32_t(kSignal >> 32),
                       uint32_t(kSignal + 32), uint32_t(kSignal >> 32), 0x40000008});
  stream.packet(0x1e, {7, uint32_t(kSignal + 16), uint32_t(kSignal >> 32), 9, 0, 0, 0, 0});
  stream.packet(0x22, {uint32_t(kSignal + 20), uint32_t(kSignal >> 32), 0, 5});
  stream.write_data(kSignal + 24, 1);  // skipped: the word is 0
  ASSERT_TRUE(run(stream).has_value());
  EXPECT_EQ(signal_[3], 77u);
  EXPECT_EQ(signal_[8], 77u);
  EXPECT_EQ(signal_[4], 9u);
  EXPECT_EQ(signal_[6], 0u);
}

TEST_F(PacketsTest, UnsetRegistersAreErrors) {
  const Launch launch = add_one(1, 0);
  Stream whole(false);
  whole.system_acquire();
  whole.launch(launch);
  // Leave out one SET_SH_REG after the other.
  for (size_t skip = 8; skip + 5 < whole.words.size();) {
    const size_t size = (whole.words[skip] >> 16 & 0x3fff) + 2;
    Stream partial(false);
    partial.words = whole.words;
    partial.words.erase(partial.words.begin() + long(skip),
                        partial.words.begin() + long(skip + size));
    PacketProcessor fresh(memory_, {});
    std::copy(partial.words.begin(), partial.words.end(), ring_.begin());
    uint64_t read = 0;
    fresh.begin_submission();
    EXPECT_FALSE(fresh.run_ring(kRing, ring_.size(), read, partial.words.size()).has_value())
        << "without the packet at word " << skip;
    skip += size;
  }
}

TEST_F(PacketsTest, WhatALaunchDoesNotHaveIsRefused) {
  Stream partial(false);
  partial.system_acquire();
  partial.launch(add_one(1, 0));
  partial.words.back() |= 2;
  expect_refused(partial, "PARTIAL_TG_EN");
  begin_again();
  Stream spread(false);
  spread.system_acquire();
  spread.launch(add_one(1, 0));
  spread.set(0x215, {1U << 22});
  spread.dispatch(add_one(2, 0));
  expect_refused(spread, "SIMD_DEST_CNTL");
  begin_again();
  Stream lossy(false);
  lossy.acquire(0x43a1);
  expect_refused(lossy, "without GL2_WB");
}

TEST_F(PacketsTest, ReservedBitsAreRefused) {
  const auto refuses = [&](const std::vector<uint32_t>& words) {
    PacketProcessor fresh(memory_, {});
    std::copy(words.begin(), words.end(), ring_.begin());
    uint64_t read = 0;
    return !fresh.run_ring(kRing, ring_.size(), read, words.size()).has_value();
  };
  EXPECT_TRUE(refuses({0x80000000}));                                      // type 2
  EXPECT_TRUE(refuses({0xc0017900, 0, 0}));                                // SET_UCONFIG_REG
  EXPECT_TRUE(refuses({0xc0004600, 0x406}));                               // another event
  EXPECT_TRUE(refuses({0xc0004680, 0x407}));                               // header bit 7
  EXPECT_TRUE(refuses({0xc0065800, 0, ~0U, 0xffffff, 0, 0, 10, 0xc3a1}));  // 24 bits of size
  EXPECT_TRUE(refuses({0xc0065800, 0, ~0U, 0xff, 0, 0, 10, 0x4c3a1}));     // GCR bit 18
  EXPECT_TRUE(refuses({0xc0017600, 0x228, 0}));                            // no compute bit
  EXPECT_TRUE(refuses({0xc0017602, 0x223, 0}));                            // RSRC3's wrong place
  EXPECT_TRUE(refuses({0xc0017602, 0x212, 1 << 24}));                      // RSRC1.BULKY
  EXPECT_TRUE(refuses({0xc0017602, 0x215, 4}));                            // LIMITS.WAVES_PER_SH
  EXPECT_TRUE(refuses({0xc0004600}));                                      // cut short
  EXPECT_FALSE(refuses({0xc0004600, 0x407}));
}

}  // namespace
}  // namespace leat::amd_card
