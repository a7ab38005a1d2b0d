// The check of packets: what the direct route sends passes, and each kind of mistake is named.
#include "leat/backend/nvidia/nvidia_check.h"

#include <array>
#include <cstring>

#include "leat/backend/nvidia/nvidia_methods.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

/// A context on the mock, without a queue, and a descriptor that is right.
class WireCheck : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(context_.rm.open_control());
    const Result<std::vector<rm::CardInfo>> cards = context_.rm.cards();
    ASSERT_OK(cards);
    ASSERT_OK(context_.rm.open_card((*cards)[0]));
    Result<NvidiaCard> card = inspect_nvidia_card(context_.rm);
    ASSERT_OK(card);
    context_.card = std::move(*card);
    ASSERT_OK(context_.memory.open());
    const Result<DirectRange> range = context_.memory.allocate(65536, NvidiaPlace::window);
    ASSERT_OK(range);
    range_ = *range;
    fill_good();
  }

  void fill_good() {
    using enum QmdField;
    qmd_ = Qmd(QmdVersion::v4_0);
    for (const QmdField one :
         {api_visible_call_limit, grid_height, grid_depth, cta_height, cta_depth, barrier_count}) {
      qmd_.set(one, 1);
    }
    qmd_.set(version_major, 4);
    qmd_.set(type, 2);
    qmd_.set(grid_width, 100);
    qmd_.set(cta_width, 128);
    qmd_.set(register_count, 32);
    qmd_.set(shared_memory_size, 1024);
    qmd_.set(min_sm_config, 3);
    qmd_.set(target_sm_config, 9);
    qmd_.set(max_sm_config, 0x3a);
    qmd_.set_program(range_.address);
    qmd_.set_bank0(range_.address + 4096, 0x220);
    qmd_.set_release(range_.address + 8192, 1);
  }

  void expect_refusal(QmdField field, uint64_t value, const char* word) {
    fill_good();
    ASSERT_OK(check_qmd(context_, qmd_));
    qmd_.set(field, value);
    const Result<void> refused = check_qmd(context_, qmd_);
    ASSERT_FALSE(refused.has_value()) << name_of(field) << " " << value;
    EXPECT_NE(refused.error().message().find(word), std::string::npos) << refused.error().message();
  }

  std::string check(std::span<const uint32_t> words, PushEngine engine = PushEngine::compute) {
    const Result<void> result = check_segment(context_, engine, words);
    return result ? "" : result.error().message();
  }

  mock::Nvidia nvidia_;
  NvidiaContext context_{nvidia_.os()};
  DirectRange range_;
  Qmd qmd_{QmdVersion::v4_0};
};

TEST_F(WireCheck, DescriptorsThatTheSchedulerRefuses) {
  using enum QmdField;
  expect_refusal(version_major, 3, "version_major");
  expect_refusal(api_visible_call_limit, 0, "api_visible_call_limit");
  expect_refusal(grid_width, 0, "grid_width");
  expect_refusal(cta_depth, 65, "cta_depth");
  expect_refusal(cta_width, 0, "cta_width");
  expect_refusal(cta_height, 9, "threads");
  expect_refusal(register_count, 0, "register_count");
  expect_refusal(register_count, 256, "register_count");
  expect_refusal(barrier_count, 17, "barrier_count");
  expect_refusal(shared_memory_size, 9000, "shared_memory_size");
  expect_refusal(min_sm_config, 0x3b, "min_sm_config");
  expect_refusal(target_sm_config, 2, "target_sm_config");
  expect_refusal(local_memory_high, 0x400, "local_memory_high");
  expect_refusal(bank0_size, 0, "bank0_size");
  expect_refusal(bank0_valid, 0, "Constant bank");
  expect_refusal(bank0_address_upper, 7, "Constant bank");
  expect_refusal(program_address_upper, 7, "Program address");
  expect_refusal(release0_address_upper, 7, "Release address");
}

TEST_F(WireCheck, RegistersOfAWorkgroup) {
  qmd_.set(QmdField::cta_width, 1024);
  qmd_.set(QmdField::register_count, 64);
  EXPECT_TRUE(check_qmd(context_, qmd_).has_value());
  qmd_.set(QmdField::register_count, 65);
  EXPECT_FALSE(check_qmd(context_, qmd_).has_value());
}

TEST_F(WireCheck, ReservedBits) {
  qmd_.dwords()[95] = 0x100;
  const Result<void> refused = check_qmd(context_, qmd_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("dword (95)"), std::string::npos);
}

TEST_F(WireCheck, MethodsAndSubchannels) {
  using namespace method;
  EXPECT_EQ(check(std::array{immediate(kComputeSubchannel, kWaitForIdle, 0)}), "");
  EXPECT_NE(check(std::array{immediate(kComputeSubchannel, 0x168, 9)}), "");  // faults on GH100
  EXPECT_NE(check(std::array{immediate(kCopySubchannel, kWaitForIdle, 0)}), "");
  EXPECT_NE(check(std::array{header(kComputeSubchannel, kSetObject, 1), 0xC6C0u}), "");
  EXPECT_EQ(check(std::array{header(kComputeSubchannel, kSetObject, 1), 0xCBC0u}), "");
  EXPECT_EQ(check(std::array{header(kCopySubchannel, kSetObject, 1), 0xC8B5u}, PushEngine::copy),
            "");
}

TEST_F(WireCheck, Semaphores) {
  using namespace method;
  const auto release = [&](uint64_t address, uint32_t flags) {
    return check(std::array{header(0, kSemAddrLo, 5), static_cast<uint32_t>(address),
                            static_cast<uint32_t>(address >> 32), 1u, 0u, kSemRelease | flags});
  };
  EXPECT_EQ(release(range_.address, kSemPayload64), "");
  EXPECT_EQ(release(range_.address + 4, 0), "");
  EXPECT_NE(release(range_.address + 4, kSemPayload64), "");
  EXPECT_NE(release(range_.address + 8, kSemPayload64 | kSemTimestamp), "");
  EXPECT_NE(release(0x1000, 0), "");
}

TEST_F(WireCheck, Copies) {
  using namespace method;
  const auto copy = [&](uint64_t target, uint32_t size_bytes, uint32_t mode) {
    return check(
        std::array{header(kCopySubchannel, kOffsetInUpper, 4),
                   static_cast<uint32_t>(range_.address >> 32),
                   static_cast<uint32_t>(range_.address), static_cast<uint32_t>(target >> 32),
                   static_cast<uint32_t>(target), header(kCopySubchannel, kLineLengthIn, 2),
                   size_bytes, 1u, header(kCopySubchannel, kLaunchDma, 1), mode},
        PushEngine::copy);
  };
  EXPECT_EQ(copy(range_.address + 4096, 4096, kLinearCopy), "");
  EXPECT_NE(copy(range_.address + 4096, 64 << 20, kLinearCopy), "");
  EXPECT_NE(copy(0x1000, 4096, kLinearCopy), "");
  EXPECT_NE(copy(range_.address + 4096, 4096, kLinearCopy | 1u << 12), "");  // physical
}

TEST_F(WireCheck, LaunchesAreFollowedThroughTheirChain) {
  using namespace method;
  const uint64_t first = range_.address + 16384, second = first + 512;
  const auto place = [&](uint64_t address) {
    std::memcpy(range_.host + (address - range_.address), qmd_.dwords().data(),
                qmd_.dwords().size_bytes());
  };
  const auto launch = [&](uint64_t address) {
    return check(
        std::array{header(kComputeSubchannel, kSendPcasA, 1), static_cast<uint32_t>(address >> 8),
                   immediate(kComputeSubchannel, kSendSignalingPcas2B, kPcasPrefetchSchedule)});
  };
  place(second);
  qmd_.set_dependent(second, qmd_);
  place(first);
  EXPECT_EQ(launch(first), "");
  fill_good();
  qmd_.set(QmdField::register_count, 0);
  place(second);
  EXPECT_NE(launch(first).find("register_count"), std::string::npos);
  fill_good();
  qmd_.set_prefetch(0x1000, 512);
  place(second);
  EXPECT_NE(launch(first).find("Code to prefetch"), std::string::npos);
  EXPECT_NE(launch(0x1000), "");
}

}  // namespace
}  // namespace leat
