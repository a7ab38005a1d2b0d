// The frames of a direct route around the shortest one: its memory is the host's, and its GPU
// copies when a submit is handed over, unless it hangs.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "leat/route/direct_device.h"
#include "leat/route/retire_list.h"
#include "leat/route/route_fence.h"

namespace leat {
namespace {

enum class PaperPlace : uint8_t { device, shared };
struct PaperBytes {
  std::unique_ptr<std::byte[]> bytes;
};

/// What the test does to the GPU, and sees of it.
struct PaperGpu {
  bool hangs = false;
  bool has_no_channel = false;  // open_channel() is refused
  uint32_t blocks = 0;
  uint32_t channels = 0;
  uint32_t copies = 0;
};

class PaperMemory {
 public:
  explicit PaperMemory(PaperGpu& gpu) : gpu_(gpu), blocks_(*this, kSizes) {}
  ~PaperMemory() { blocks_.give_back_all(); }
  PaperMemory(const PaperMemory&) = delete;
  PaperMemory& operator=(const PaperMemory&) = delete;

  Result<DirectRange> allocate(uint64_t size_bytes, PaperPlace place) {
    return blocks_.allocate(size_bytes, place);
  }
  Result<DirectRange> import(std::span<std::byte> pages) {
    Block block;
    block.host = pages.data();
    block.size_bytes = pages.size();
    return blocks_.add_whole(std::move(block));
  }
  void free(const DirectRange& range) { blocks_.free(range); }
  bool has(uint64_t address) const { return blocks_.find(address, 1) != nullptr; }

  static constexpr uint64_t kBlockBytes = 1u << 21;

 private:
  using Block = DirectBlock<PaperPlace, PaperBytes>;
  friend class DirectBlocks<Block, PaperMemory>;
  static constexpr uint64_t kUsual[] = {kBlockBytes, kBlockBytes};
  static constexpr DirectSizes kSizes = {kUsual, 256, uint64_t{1} << 30};

  Result<void> fill(Block& block) {
    ++gpu_.blocks;
    if (block.host == nullptr) {
      block.driver.bytes = std::make_unique<std::byte[]>(block.size_bytes);
      block.host = block.driver.bytes.get();
    }
    block.address = reinterpret_cast<uint64_t>(block.host);
    return {};
  }
  void give_back(Block& block) {
    --gpu_.blocks;
    block = {};
  }

  PaperGpu& gpu_;
  DirectBlocks<Block, PaperMemory> blocks_;
};

struct PaperCard {
  DeviceInfo info;
  Target target;
};
struct PaperFaults {
  Result<void> operator()(bool) const { return {}; }
};

struct PaperContext {
  using Place = PaperPlace;
  static constexpr size_t kPage = 4096;

  explicit PaperContext(PaperGpu& of) : gpu(of), memory(of) {}
  Result<void> open(size_t index) { return check_found(Route::direct, index, 1); }
  void retire(const DirectRange& range) { retired.add(frame.last_use(), range); }
  void drain_retired() {
    retired.drain(fence.poll(), [&](const DirectRange& range) { memory.free(range); });
  }

  PaperGpu& gpu;
  PaperCard card;
  PaperMemory memory;
  RouteFence<PaperFaults> fence;
  QueueFrame frame{card.info, card.target};
  RetireList<DirectRange> retired;
};

class PaperKernel final : public Kernel {
 public:
  explicit PaperKernel(const KernelBinary& binary) : Kernel(binary) {}
  static Result<std::unique_ptr<Kernel>> load(PaperContext&, const KernelBinary& binary) {
    return std::unique_ptr<Kernel>(std::make_unique<PaperKernel>(binary));
  }
};

/// Copies; a launch copies its first argument to its second.
class PaperCommands final : public RecordedList {
 public:
  explicit PaperCommands(PaperContext&) {}
  Result<void> reserve() { return {}; }
  bool is_full() const { return copies_.size() >= 4; }
  void clear() { copies_.clear(); }
  void launch(const PaperKernel&, std::span<const MemoryAccess> arguments, const Grid&) {
    copy(arguments[1].address, arguments[0].address, arguments[0].size_bytes);
  }
  void copy(uint64_t target, uint64_t source, uint64_t size_bytes) {
    copies_.push_back({target, source, size_bytes});
  }
  static constexpr uint64_t kCopyBytesMax = 16;
  void mark_time(uint64_t address) { *reinterpret_cast<uint64_t*>(address) = 7; }
  uint64_t submitted_value() const { return submitted_value_; }
  void set_submitted(uint64_t value) { submitted_value_ = value; }

  uint32_t run() const {
    for (const auto& [target, source, size_bytes] : copies_) {
      std::memcpy(reinterpret_cast<void*>(target), reinterpret_cast<const void*>(source),
                  size_bytes);
    }
    return static_cast<uint32_t>(copies_.size());
  }

 private:
  std::vector<std::array<uint64_t, 3>> copies_;
  uint64_t submitted_value_ = 0;
};

template <bool reopens>
class PaperSubmitter {
 public:
  using Context = PaperContext;
  using Commands = PaperCommands;
  using Kernel = PaperKernel;

  explicit PaperSubmitter(PaperContext& context) : context_(context) {}
  static constexpr uint64_t kInFlightMax = 4;
  static constexpr uint64_t kNsPerTick = 10;
  static constexpr bool kReopens = reopens;

  Result<void> open() {
    TRY_ASSIGN(words_, context_.memory.allocate(8 + 8 * Queue::kTimeSlots, PaperPlace::shared));
    context_.fence.open(words_.host, words_.address, {});
    return {};
  }
  Result<void> open_channel() {
    if (context_.gpu.has_no_channel) return Error(ErrorKind::io, "There is no channel.");
    ++context_.gpu.channels;
    is_open_ = true;
    return {};
  }
  Result<void> close_channel() {
    is_open_ = false;
    return {};
  }
  bool has_channel() const { return is_open_; }
  Result<void> write(PaperCommands&) { return {}; }
  Result<void> write_replay(PaperCommands&, uint64_t, bool) { return {}; }
  void hand_over(PaperCommands& commands) {
    if (context_.gpu.hangs) return;
    context_.gpu.copies += commands.run();
    context_.fence.give_up(context_.frame.submitted());
  }
  Result<void> finish_list(PaperCommands&) const { return {}; }
  uint64_t time_address(uint32_t slot) const { return words_.address + 8 + 8 * uint64_t{slot}; }
  uint64_t* time_word(uint32_t slot) const {
    return reinterpret_cast<uint64_t*>(words_.host + 8) + slot;
  }
  void fire() {}

 private:
  PaperContext& context_;
  DirectRange words_;
  bool is_open_ = false;
};

TEST(DirectMemory, RangesShareABlockAndALargeOneGoesBack) {
  PaperGpu gpu;
  PaperMemory memory(gpu);
  const DirectRange a = *memory.allocate(1, PaperPlace::device);
  const DirectRange b = *memory.allocate(300, PaperPlace::device);
  EXPECT_EQ(b.address, a.address + 256);
  EXPECT_EQ(b.size_bytes, 512u);
  EXPECT_EQ(gpu.blocks, 1u);
  const DirectRange other = *memory.allocate(1, PaperPlace::shared);
  EXPECT_NE(other.block, a.block);
  const DirectRange large = *memory.allocate(2 * PaperMemory::kBlockBytes, PaperPlace::device);
  EXPECT_EQ(gpu.blocks, 3u);
  memory.free(large);
  EXPECT_EQ(gpu.blocks, 2u);
  EXPECT_FALSE(memory.has(large.address));
  memory.free(a);
  EXPECT_EQ(memory.allocate(256, PaperPlace::device)->address, a.address);
  memory.free({});
  const Result<DirectRange> refused = memory.allocate(uint64_t{1} << 40, PaperPlace::device);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::out_of_memory);
}

TEST(DirectMemory, ImportedPagesAreABlockOfTheirOwn) {
  PaperGpu gpu;
  PaperMemory memory(gpu);
  std::vector<std::byte> pages(4096);
  const DirectRange range = *memory.import(pages);
  EXPECT_EQ(range.host, pages.data());
  EXPECT_NE(memory.allocate(16, PaperPlace::device)->block, range.block);
  memory.free(range);
  EXPECT_EQ(gpu.blocks, 1u);
}

template <typename Submitter>
struct OpenPaper {
  PaperGpu gpu;
  DirectDevice<Submitter> device{gpu};
  Buffer source, target;

  OpenPaper() {
    EXPECT_TRUE(device.open(0, "paper").has_value());
    source = device.allocate(64, MemoryKind::shared).value();
    target = device.allocate(64, MemoryKind::device).value();
    for (int i = 0; i < 64; ++i) source.host_pointer()[i] = std::byte(i);
    std::memset(target.host_pointer(), 0, 64);
  }
  Queue& queue() { return device.queue(); }
  Result<void> copy() { return queue().copy({&target, 0, 64}, {&source, 0, 64}); }
  bool is_copied() const {
    return std::memcmp(target.host_pointer(), source.host_pointer(), 64) == 0;
  }
};
using Paper = OpenPaper<PaperSubmitter<true>>;

TEST(DirectQueue, CopiesGoInPartsAndTimesInTicks) {
  Paper paper;
  EXPECT_EQ(paper.device.info().name, "paper");
  ASSERT_TRUE(paper.copy());
  ASSERT_TRUE(paper.queue().mark_time(3));
  const Result<uint64_t> value = paper.queue().submit();
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(*paper.queue().fence().wait(*value, 0));
  EXPECT_TRUE(paper.is_copied());
  EXPECT_EQ(paper.gpu.copies, 4u);
  EXPECT_EQ(*paper.queue().time_ns(3), 70u);
  EXPECT_FALSE(paper.queue().time_ns(4).has_value());
}

TEST(DirectQueue, AListIsReplayedOnceItsLastReplayIsDone) {
  Paper paper;
  KernelBinary binary;
  binary.arguments = {{DType::f32, false}, {DType::f32, true}};
  const std::unique_ptr<Kernel> kernel = paper.device.load(binary).value();
  ASSERT_TRUE(paper.queue().begin_record());
  const BufferRange arguments[] = {{&paper.source, 0, 64}, {&paper.target, 0, 64}};
  ASSERT_TRUE(paper.queue().launch(*kernel, arguments));
  const std::unique_ptr<RecordedList> list = paper.queue().end_record().value();
  EXPECT_FALSE(paper.is_copied());
  ASSERT_TRUE(paper.queue().replay(*list).has_value());
  EXPECT_TRUE(paper.is_copied());
  paper.gpu.hangs = true;
  const Result<uint64_t> lost = paper.queue().replay(*list);
  ASSERT_TRUE(lost.has_value());
  EXPECT_FALSE(*paper.queue().fence().wait(*lost, 0));
  EXPECT_EQ(paper.queue().replay(*list).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(paper.queue().counts().replays, 2u);
}

TEST(DirectQueue, WhatIsGivenUpStaysLost) {
  Paper paper;
  paper.gpu.hangs = true;
  ASSERT_TRUE(paper.copy());
  const Result<uint64_t> lost = paper.queue().submit();
  ASSERT_TRUE(lost.has_value());
  paper.gpu.hangs = false;
  ASSERT_TRUE(paper.queue().abandon());
  EXPECT_EQ(paper.gpu.channels, 2u);
  EXPECT_EQ(paper.queue().fence().wait(*lost, 0).error().kind(), ErrorKind::device_lost);
  ASSERT_TRUE(paper.copy());
  const Result<uint64_t> value = paper.queue().submit();
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(*paper.queue().fence().wait(*value, 0));
  EXPECT_TRUE(paper.is_copied());
}

TEST(DirectQueue, AChannelThatCannotBeMadeAnewIsAskedForAgainWhereTheRouteSaysSo) {
  Paper paper;
  paper.gpu.has_no_channel = true;
  EXPECT_EQ(paper.queue().abandon().error().kind(), ErrorKind::io);
  paper.gpu.has_no_channel = false;
  EXPECT_TRUE(paper.queue().submit().has_value());

  OpenPaper<PaperSubmitter<false>> once;
  once.gpu.has_no_channel = true;
  EXPECT_EQ(once.queue().abandon().error().kind(), ErrorKind::device_lost);
  once.gpu.has_no_channel = false;
  EXPECT_EQ(once.queue().submit().error().kind(), ErrorKind::device_lost);
  EXPECT_EQ(once.queue().abandon().error().kind(), ErrorKind::device_lost);
}

TEST(DirectDevice, MemoryIsFreedOnceTheWorkThatUsesItIsDone) {
  Paper paper;
  Buffer large = paper.device.allocate(2 * PaperMemory::kBlockBytes, MemoryKind::device).value();
  const uint32_t blocks = paper.gpu.blocks;
  paper.gpu.hangs = true;
  ASSERT_TRUE(paper.queue().copy({&large, 0, 16}, {&paper.source, 0, 16}));
  large = Buffer();
  const Buffer first = paper.device.allocate(16, MemoryKind::device).value();
  EXPECT_EQ(paper.gpu.blocks, blocks);
  ASSERT_TRUE(paper.queue().submit().has_value());
  paper.gpu.hangs = false;
  ASSERT_TRUE(paper.queue().abandon());
  const Buffer second = paper.device.allocate(16, MemoryKind::device).value();
  EXPECT_EQ(paper.gpu.blocks, blocks - 1);
  EXPECT_EQ(paper.device.allocate(0, MemoryKind::device).error().kind(),
            ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace leat
