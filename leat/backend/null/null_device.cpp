// Everything is done inside submit(), in order, so a fence value is reached when submit returns.
// Time is the host's clock: marks are monotonic, and what lies between them took no time.
#include "leat/backend/null/null_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <variant>

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

uint64_t now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
          .count());
}

class NullKernel final : public Kernel {
 public:
  explicit NullKernel(const KernelBinary& binary) : Kernel(binary) {}
};

struct Move {
  std::byte* target = nullptr;
  const std::byte* source = nullptr;
  size_t size_bytes = 0;
};
struct Mark {
  uint32_t slot = 0;
};
using Command = std::variant<Move, Mark>;

class NullList final : public RecordedList {
 public:
  explicit NullList(std::vector<Command> commands) : commands_(std::move(commands)) {}
  std::span<const Command> commands() const { return commands_; }

 private:
  std::vector<Command> commands_;
};

class NullFence final : public Fence {
 public:
  uint64_t poll() override { return reached_.load(std::memory_order_acquire); }

  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    const uint64_t start = now_ns();
    while (poll() < value) {
      if (now_ns() - start >= timeout_ns) return false;
      std::this_thread::yield();
    }
    return true;
  }

  uint64_t advance() { return reached_.fetch_add(1, std::memory_order_acq_rel) + 1; }

 private:
  std::atomic<uint64_t> reached_ = 0;
};

class NullQueue final : public Queue {
 public:
  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments) override {
    CHECK(arguments.size() == kernel.arguments().size());
    for (const BufferRange& range : arguments) {
      TRY(check_range(range));
      CHECK(range.offset_bytes % kBufferAlignment == 0);
    }
    return {};
  }

  Result<void> copy(BufferRange target, BufferRange source) override {
    TRY(check_range(target));
    TRY(check_range(source));
    if (target.size_bytes != source.size_bytes) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Copy has a target of ({}) bytes and a source of ({}) bytes.",
                               target.size_bytes, source.size_bytes));
    }
    commands_.push_back(Move{target.buffer->host_pointer() + target.offset_bytes,
                             source.buffer->host_pointer() + source.offset_bytes,
                             source.size_bytes});
    return {};
  }

  Result<void> mark_time(uint32_t slot) override {
    CHECK(slot < kTimeSlots);
    commands_.push_back(Mark{slot});
    return {};
  }

  Result<uint64_t> submit() override {
    CHECK(!recording_);
    run_open();
    return fence_.advance();
  }

  Result<void> begin_record() override {
    CHECK(!recording_);
    recording_ = true;
    commands_.swap(before_);
    return {};
  }

  Result<std::unique_ptr<RecordedList>> end_record() override {
    CHECK(recording_);
    recording_ = false;
    std::unique_ptr<RecordedList> list = std::make_unique<NullList>(std::move(commands_));
    commands_ = std::move(before_);
    before_.clear();
    return list;
  }

  Result<uint64_t> replay(RecordedList& list) override {
    CHECK(!recording_);
    run_open();
    run(static_cast<NullList&>(list).commands());
    return fence_.advance();
  }

  Fence& fence() override { return fence_; }

  /// Frees the memory after the next submit; at once when nothing waits for one.
  void keep(std::unique_ptr<std::byte[]> memory) {
    if (!commands_.empty() || !before_.empty()) kept_.push_back(std::move(memory));
  }

  Result<uint64_t> time_ns(uint32_t slot) override {
    CHECK(slot < kTimeSlots);
    if (times_[slot] != 0) return times_[slot];
    return Error(ErrorKind::invalid_argument, fmt::format("Time slot ({}) holds no time.", slot));
  }

 private:
  void run_open() {
    run(commands_);
    commands_.clear();
    kept_.clear();
  }

  void run(std::span<const Command> commands) {
    for (const Command& command : commands) {
      if (const Move* move = std::get_if<Move>(&command)) {
        std::memcpy(move->target, move->source, move->size_bytes);
      } else {
        times_[std::get<Mark>(command).slot] = now_ns();
      }
    }
  }

  NullFence fence_;
  std::vector<Command> commands_;  // since the last submit, or of the list being recorded
  std::vector<Command> before_;    // while recording: what waits for the next submit
  bool recording_ = false;
  std::vector<std::unique_ptr<std::byte[]>> kept_;
  std::array<uint64_t, kTimeSlots> times_ = {};
};

DeviceInfo null_info() {
  DeviceInfo info;
  info.name = "null";
  info.chip = "null";
  info.vendor = "leat";
  info.driver = "none";
  info.route = Route::null;
  info.software = true;
  info.unified_memory = true;
  return info;
}

Target null_target() {
  Target target;
  target.name = "null";
  target.format = CodeFormat::interpreted;
  target.software = true;
  target.storage_f16 = false;
  target.waves_hide_latency = false;
  target.local_memory_is_fast = false;
  target.wave_lanes = 8;
  return target;
}

class NullDevice final : public Device {
 public:
  const DeviceInfo& info() const override { return info_; }
  const Target& target() const override { return target_; }
  Queue& queue() override { return queue_; }

  Result<Buffer> allocate(size_t size_bytes, MemoryKind) override {
    if (size_bytes == 0) {
      return Error(ErrorKind::invalid_argument, "Buffer size (0) is not positive.");
    }
    if (size_bytes > kBytesMax) {
      return Error(ErrorKind::out_of_memory,
                   fmt::format("Allocation of ({}) bytes is larger than the limit ({}) of Device "
                               "\"null\".",
                               size_bytes, kBytesMax));
    }
    const uint64_t handle = memory_.size();
    memory_.push_back(std::make_unique_for_overwrite<std::byte[]>(size_bytes));
    return Buffer(this, handle, size_bytes, memory_.back().get());
  }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    const bool text = !binary.code.empty() && std::ranges::all_of(binary.code, [](std::byte byte) {
      return byte == std::byte{'\n'} || (byte >= std::byte{' '} && byte <= std::byte{'~'});
    });
    if (binary.format != target_.format || !text) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Kernel \"{}\" of ({}) bytes is no wave program in text form.",
                               binary.name, binary.code.size()));
    }
    return std::unique_ptr<Kernel>(std::make_unique<NullKernel>(binary));
  }

  // Commands that wait for a submit may still name the memory, so it stays until that is done.
  void free_buffer(uint64_t handle) override {
    CHECK(handle < memory_.size() && memory_[handle] != nullptr);
    queue_.keep(std::move(memory_[handle]));
  }

 private:
  static constexpr size_t kBytesMax = size_t{4} << 30;

  DeviceInfo info_ = null_info();
  Target target_ = null_target();
  std::vector<std::unique_ptr<std::byte[]>> memory_;  // by handle; null once freed
  NullQueue queue_;
};

}  // namespace

Result<std::unique_ptr<Device>> open_null_device() {
  return std::unique_ptr<Device>(std::make_unique<NullDevice>());
}

}  // namespace leat
