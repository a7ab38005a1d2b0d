// Large copies of the route go through the copy engine's queue, in order with launches before and
// behind them: the words, the results, and what happens without such a queue or when it is lost.
#include <gtest/gtest.h>

#include <numeric>

#include "leat/backend/amd/amd_sdma_words.h"
#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

constexpr size_t kLarge = size_t{3} << 20;  // beyond what the compute queue copies itself

TEST(AmdSdma, GoldenWords) {
  CommandWords words;
  sdma::wait_equal(words, 0x3456789abc00, 7);
  sdma::copy(words, 0x3456789abc00, 0x100002000, 64);
  sdma::fence(words, 0x3456789abc00, 7);
  // By their fields: POLL_REGMEM of memory that is equal, COPY linear, FENCE uncached.
  const std::vector<uint32_t> golden = {
      0xb0000008, 0x789abc00, 0x3456,     7,      0xffffffff, 0x0fff000a, 1,      63, 0,
      0x2000,     1,          0x789abc00, 0x3456, 0x30005,    0x789abc00, 0x3456, 7};
  ASSERT_EQ(words.size(), golden.size());
  for (uint32_t i = 0; i < words.size(); ++i) EXPECT_EQ(words[i], golden[i]) << i;
}

class AmdCopyTest : public testing::Test {
 protected:
  void open(const amd_card::FakeCardOptions& options = {}) {
    setenv("LEAT_AMD_CHECK", "1", 1);
    card_ = std::make_unique<FakeCard>(options);
    Result<std::unique_ptr<Device>> opened = card_->open();
    ASSERT_OK(opened);
    device_ = std::move(*opened);
    const Result<KernelBinary> binary = compile_kernel(card_->target, step_kernel(1));
    ASSERT_OK(binary);
    Result<std::unique_ptr<Kernel>> loaded = device_->load(*binary);
    ASSERT_OK(loaded);
    step_ = std::move(*loaded);
  }
  void TearDown() override {
    step_.reset();
    device_.reset();
  }
  Buffer buffer(MemoryKind kind) {
    Result<Buffer> made = device_->allocate(kLarge, kind);
    EXPECT_TRUE(made.has_value());
    return made ? std::move(*made) : Buffer();
  }
  /// A launch on the first 64 numbers, a copy, and so on, four times there and back.
  void copy_between_launches() {
    const Buffer host = buffer(MemoryKind::shared), card = buffer(MemoryKind::device);
    std::vector<int32_t> values(kLarge / sizeof(int32_t));
    std::iota(values.begin(), values.end(), 0);
    set_values(host, values);
    const BufferRange in_host[] = {{&host, 0, 256}}, in_card[] = {{&card, 0, 256}};
    for (int k = 0; k < 4; ++k) {
      ASSERT_OK(queue().launch(*step_, in_host));
      ASSERT_OK(queue().copy(whole(card), whole(host)));
      ASSERT_OK(queue().launch(*step_, in_card));
      ASSERT_OK(queue().copy(whole(host), whole(card)));
    }
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    const Result<bool> done = wait_for(*device_, *value);
    ASSERT_OK(done);
    ASSERT_TRUE(*done) << card_->faults();
    const auto copied = values_of<int32_t>(host);
    for (int32_t i = 0; i < 64; ++i) EXPECT_EQ(copied[size_t(i)], (i + 1) * 256 - 1);
    values.erase(values.begin(), values.begin() + 64);
    EXPECT_TRUE(std::equal(values.begin(), values.end(), copied.begin() + 64));
  }
  Queue& queue() { return device_->queue(); }

  std::unique_ptr<FakeCard> card_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Kernel> step_;
};

TEST_F(AmdCopyTest, LargeCopiesKeepTheirPlace) {
  open();
  EXPECT_EQ(card_->fake.live_queues(), 2u);
  copy_between_launches();
  EXPECT_EQ(card_->fake.copies(), 8u) << "by the engine";
  EXPECT_EQ(card_->faults(), "");
}

TEST_F(AmdCopyTest, WithoutAQueueTheComputeQueueCopies) {
  open({.has_copy_queues = false});
  EXPECT_EQ(card_->fake.live_queues(), 1u);
  copy_between_launches();
  EXPECT_EQ(card_->fake.copies(), 0u);
  EXPECT_EQ(card_->faults(), "");
}

// More copies than a block has room for, and rings that wrap.
TEST_F(AmdCopyTest, ManyCopies) {
  open();
  const Buffer host = buffer(MemoryKind::shared), card = buffer(MemoryKind::device);
  constexpr size_t kPart = size_t{1} << 20;
  for (int k = 0; k < 4500; ++k) {
    const size_t offset = kPart * (size_t(k) % 3);
    ASSERT_OK(queue().copy({&card, offset, kPart}, {&host, offset, kPart}));
  }
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  const Result<bool> done = wait_for(*device_, *value);
  ASSERT_OK(done);
  EXPECT_TRUE(*done);
  EXPECT_EQ(card_->fake.copies(), 4500u);
  EXPECT_EQ(card_->faults(), "");
}

TEST_F(AmdCopyTest, ADoorbellOfEitherQueueThatWasLostIsRungAgain) {
  open();
  card_->fake.lose_doorbells(2);
  copy_between_launches();
  EXPECT_EQ(card_->faults(), "");
}

TEST_F(AmdCopyTest, QueuesThatWereLostAreMadeAgain) {
  open();
  for (int k = 0; k < 3; ++k) {
    copy_between_launches();
    ASSERT_OK(queue().abandon());
  }
  EXPECT_EQ(card_->fake.live_queues(), 2u);
  EXPECT_EQ(card_->faults(), "");
}

// The fence says nothing of a copy that did not end.
TEST_F(AmdCopyTest, AHangOfTheCopyEngineIsAHang) {
  open();
  const Buffer host = buffer(MemoryKind::shared), card = buffer(MemoryKind::device);
  card_->fake.hang(true);
  ASSERT_OK(queue().copy(whole(card), whole(host)));
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  const Result<bool> done = queue().fence().wait(*value, 20'000'000);
  ASSERT_OK(done);
  EXPECT_FALSE(*done);
  EXPECT_EQ(queue().abandon().error().kind(), ErrorKind::device_lost);
}

}  // namespace
}  // namespace leat
