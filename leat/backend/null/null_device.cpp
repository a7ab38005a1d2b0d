// Everything is done inside submit(), in order, so a fence value is reached when submit returns.
// Time is the host's clock: marks are monotonic, and what lies between them took no time.
#include "leat/backend/null/null_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <variant>

#include "leat/device/spin.h"
#include "leat/route/handle_table.h"
#include "leat/route/kernel_limits.h"
#include "leat/route/launch_checks.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"
#include "leat/route/time_slots.h"

namespace leat {

namespace {

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
    const uint64_t start = steady_now_ns();
    while (poll() < value) {
      if (steady_now_ns() - start >= timeout_ns) return false;
      std::this_thread::yield();
    }
    return true;
  }

  void reach(uint64_t value) { reached_.store(value, std::memory_order_release); }

 private:
  std::atomic<uint64_t> reached_ = 0;
};

class NullQueue final : public Queue {
 public:
  NullQueue(const DeviceInfo& info, const Target& target) : frame_(info, target) {}

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override {
    return check_launch(kernel, arguments, groups_x, nullptr);
  }

  Result<void> copy(BufferRange target, BufferRange source) override {
    TRY(check_copy(target, source, nullptr));
    add(Move{target.buffer->host_pointer() + target.offset_bytes,
             source.buffer->host_pointer() + source.offset_bytes, source.size_bytes});
    return {};
  }

  Result<void> mark_time(uint32_t slot) override {
    CHECK(slot < kTimeSlots);
    add(Mark{slot});
    return {};
  }

  Result<uint64_t> submit() override {
    CHECK(!frame_.is_recording());
    run_open();
    return finish(false);
  }

  Result<void> begin_record() override {
    frame_.begin_record();
    return {};
  }

  Result<std::unique_ptr<RecordedList>> end_record() override {
    frame_.end_record();
    return std::unique_ptr<RecordedList>(std::make_unique<NullList>(std::exchange(recorded_, {})));
  }

  Result<uint64_t> replay(RecordedList& list) override {
    CHECK(!frame_.is_recording());
    run_open();
    run(static_cast<NullList&>(list).commands());
    return finish(true);
  }

  Fence& fence() override { return fence_; }
  Counts counts() const override { return frame_.counts(); }
  Result<uint64_t> time_ns(uint32_t slot) override { return times_.at(slot); }

  /// Frees the memory after the next submit; at once when nothing waits for one.
  void keep(std::unique_ptr<std::byte[]> memory) {
    if (fence_.poll() < frame_.last_use()) kept_.add(frame_.last_use(), std::move(memory));
  }

 private:
  void add(Command command) {
    if (frame_.is_recording()) return recorded_.push_back(command);
    frame_.set_open(true);
    open_.push_back(command);
  }

  void run_open() {
    run(open_);
    open_.clear();
    frame_.set_open(false);
  }

  uint64_t finish(bool replay) {
    frame_.set_submitted(frame_.submitted() + 1);
    frame_.count_submit(replay);
    fence_.reach(frame_.submitted());
    kept_.drain(frame_.submitted());
    return frame_.submitted();
  }

  void run(std::span<const Command> commands) {
    for (const Command& command : commands) {
      if (const Move* move = std::get_if<Move>(&command)) {
        std::memcpy(move->target, move->source, move->size_bytes);
      } else {
        times_.set(std::get<Mark>(command).slot, steady_now_ns());
      }
    }
  }

  QueueFrame frame_;
  NullFence fence_;
  std::vector<Command> open_;      // since the last submit
  std::vector<Command> recorded_;  // of the list being recorded
  RetireList<std::unique_ptr<std::byte[]>> kept_;
  TimeSlots times_;
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
    TRY(check_size(size_bytes));
    if (size_bytes > kBytesMax) {
      return Error(ErrorKind::out_of_memory,
                   fmt::format("Allocation of ({}) bytes is larger than the limit ({}) of Device "
                               "\"null\".",
                               size_bytes, kBytesMax));
    }
    auto memory = std::make_unique_for_overwrite<std::byte[]>(size_bytes);
    std::byte* const host = memory.get();
    return Buffer(this, memory_.add(std::move(memory)), size_bytes, host);
  }

  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    const bool text = !binary.code.empty() && std::ranges::all_of(binary.code, [](std::byte byte) {
      return byte == std::byte{'\n'} || (byte >= std::byte{' '} && byte <= std::byte{'~'});
    });
    TRY(check_limits(binary, target_, info_));
    if (!text) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Kernel \"{}\" of ({}) bytes is no wave program in text form.",
                               binary.name, binary.code.size()));
    }
    return std::unique_ptr<Kernel>(std::make_unique<NullKernel>(binary));
  }

  // Commands that wait for a submit may still name the memory, so it stays until that is done.
  void free_buffer(uint64_t handle) override { queue_.keep(memory_.take(handle)); }

 private:
  static constexpr size_t kBytesMax = size_t{4} << 30;

  DeviceInfo info_ = null_info();
  Target target_ = null_target();
  HandleTable<std::unique_ptr<std::byte[]>> memory_;
  NullQueue queue_{info_, target_};
};

}  // namespace

Result<std::unique_ptr<Device>> open_null_device() {
  return std::unique_ptr<Device>(std::make_unique<NullDevice>());
}

}  // namespace leat
