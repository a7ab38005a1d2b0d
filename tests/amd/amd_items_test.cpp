// Ten thousand items through the direct route while everything that can go wrong on the fake card
// does, one thing every few hundred items: each item comes out once and right, and whenever the
// stream stood still it goes on within 200 ms, on a new queue or on the next device (in the median,
// since other programs share the machine).
#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <iostream>
#include <utility>

#include "leat/device/spin.h"
#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

constexpr uint64_t kDeadlineNs = 20'000'000;
constexpr double kRecoveryMsMax = 200;
constexpr uint32_t kItems = 10'000, kInFlightMax = 8, kItemsBetween = 250;

enum class Fault { hang, page_fault, reset, lost_queue, interrupt, no_end, lost_doorbell };
constexpr Fault kFaults[] = {Fault::hang,         Fault::page_fault, Fault::reset,
                             Fault::lost_queue,   Fault::interrupt,  Fault::no_end,
                             Fault::lost_doorbell};
const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::hang: return "hang";
    case Fault::page_fault: return "page fault";
    case Fault::reset: return "reset";
    case Fault::lost_queue: return "lost queue";
    case Fault::interrupt: return "EINTR";
    case Fault::no_end: return "ETIME of a destroy";
    case Fault::lost_doorbell: return "lost doorbell";
  }
  return "";
}

class AmdItems : public testing::TestWithParam<bool> {
 protected:
  /// A card, with what the items need; the one before it is gone.
  void open() {
    step_.reset();
    for (Buffer& buffer : buffers_) buffer = Buffer();
    device_.reset();
    amd_card::FakeCardOptions options;
    options.has_kfd = GetParam();
    card_ = std::make_unique<FakeCard>(options);
    Result<std::unique_ptr<Device>> opened = card_->open();
    ASSERT_OK(opened);
    device_ = std::move(*opened);
    Result<std::unique_ptr<Kernel>> loaded = device_->load(binary_);
    ASSERT_OK(loaded);
    step_ = std::move(*loaded);
    for (Buffer& buffer : buffers_) {
      Result<Buffer> made = device_->allocate(256, MemoryKind::shared);
      ASSERT_OK(made);
      buffer = std::move(*made);
    }
  }
  void SetUp() override {
    const Result<KernelBinary> binary = compile_kernel("gfx1100", step_kernel(1));
    ASSERT_OK(binary);
    binary_ = *binary;
    open();
  }
  void TearDown() override {
    step_.reset();
    for (Buffer& buffer : buffers_) buffer = Buffer();
    device_.reset();
  }

  Result<void> begin(uint32_t item) {
    const Buffer& buffer = buffers_[item % kInFlightMax];
    set_values(buffer, std::vector<int32_t>(64, int32_t(item)));
    const BufferRange arguments[] = {whole(buffer)};
    TRY(device_->queue().launch(*step_, arguments));
    TRY_ASSIGN(const uint64_t value, device_->queue().submit());
    in_flight_.push_back({item, value});
    return {};
  }
  /// Delivers the oldest item.
  Result<void> end() {
    const auto [item, value] = in_flight_.front();
    TRY_ASSIGN(const bool is_done, device_->queue().fence().wait(value, kDeadlineNs));
    if (!is_done) return Error(ErrorKind::device_lost, "The deadline passed.");
    const auto values = values_of<int32_t>(buffers_[item % kInFlightMax]);
    wrong_ += values != std::vector<int32_t>(64, int32_t(2 * item + 1));
    ++delivered_[item];
    in_flight_.pop_front();
    return {};
  }
  void provoke(Fault fault) {
    switch (fault) {
      case Fault::hang: card_->fake.hang(true); break;
      case Fault::page_fault: card_->fake.page_fault(0xdead000); break;
      case Fault::reset: card_->fake.reset(); break;
      case Fault::lost_queue: card_->fake.lose_queue(); break;
      case Fault::interrupt: card_->fake.interrupt_next(5); break;
      case Fault::no_end:
        card_->fake.fail_next_destroy(ETIME);
        card_->fake.page_fault(0xdead000);
        break;
      case Fault::lost_doorbell: card_->fake.lose_doorbells(1); break;
    }
  }
  /// A new queue, or where there is none another card; the items that were in flight once more.
  void recover() {
    if (!device_->queue().abandon()) {
      ++handed_on_;
      open();
    }
    std::deque<std::pair<uint32_t, uint64_t>> again;
    std::swap(again, in_flight_);
    for (const auto& [item, value] : again) ASSERT_OK(begin(item));
  }
  void begin_surely(uint32_t item) {
    if (begin(item)) return;
    recover();
    ASSERT_OK(begin(item));
  }
  /// Ends an item, whatever happens.
  void end_surely() {
    for (int attempt = 0; attempt < 5; ++attempt) {
      if (end()) return;
      recover();
    }
    FAIL() << "an item does not come to its end";
  }

  KernelBinary binary_;
  std::unique_ptr<FakeCard> card_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Kernel> step_;
  std::array<Buffer, kInFlightMax> buffers_;
  std::deque<std::pair<uint32_t, uint64_t>> in_flight_;  // item, fence value
  std::vector<uint32_t> delivered_ = std::vector<uint32_t>(kItems);
  uint32_t wrong_ = 0, handed_on_ = 0;
};

TEST_P(AmdItems, NothingIsLostOrDoubled) {
  std::array<std::vector<double>, std::size(kFaults)> times_ms;
  for (uint32_t item = 0; item < kItems; ++item) {
    if (in_flight_.size() == kInFlightMax) end_surely();
    if (item % kItemsBetween == kItemsBetween - 1) {
      // One item may be done by then or not; the one at hand surely is not.
      const size_t fault = item / kItemsBetween % std::size(kFaults);
      while (in_flight_.size() > 1) end_surely();
      provoke(kFaults[fault]);
      const uint64_t begin_ns = steady_now_ns();
      begin_surely(item);
      while (!in_flight_.empty()) end_surely();
      times_ms[fault].push_back(double(steady_now_ns() - begin_ns) * 1e-6);
      continue;
    }
    begin_surely(item);
  }
  while (!in_flight_.empty()) end_surely();
  EXPECT_EQ(wrong_, 0u);
  EXPECT_EQ(std::ranges::count(delivered_, 1u), kItems);
  EXPECT_GT(handed_on_, 0u);
  for (size_t i = 0; i < std::size(kFaults); ++i) {
    ASSERT_FALSE(times_ms[i].empty());
    std::ranges::sort(times_ms[i]);
    const double median = times_ms[i][times_ms[i].size() / 2];
    std::cout << name_of(kFaults[i]) << ": " << times_ms[i].size() << " times, gone on after "
              << median << " ms in the median, " << times_ms[i].back() << " at most\n";
    EXPECT_LT(median, kRecoveryMsMax) << name_of(kFaults[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, AmdItems, testing::Values(true, false),
                         [](const auto& tested) { return tested.param ? "kfd" : "drm"; });

}  // namespace
}  // namespace leat
