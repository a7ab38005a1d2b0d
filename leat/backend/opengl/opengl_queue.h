// Queue and fence of an OpenGL device. Commands are written into a list on the caller's thread and
// handed to the GL thread by submit; lists are used in turn, so a submit allocates nothing once
// they have grown.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "leat/backend/opengl/opengl_thread.h"
#include "leat/device/device.h"
#include "leat/route/queue_frame.h"

namespace leat {

/// A linked program and what launch has to know of its binary.
class OpenglKernel final : public Kernel {
 public:
  using Release = std::function<void(GLuint)>;
  /// `release` is called with the program when the kernel dies; the device lives longer.
  OpenglKernel(const KernelBinary& binary, GLuint program, Release release);
  ~OpenglKernel() override { release_(program_); }

  GLuint program() const { return program_; }

 private:
  GLuint program_;
  Release release_;
};

class OpenglFence final : public Fence {
 public:
  explicit OpenglFence(OpenglThread& thread) : thread_(thread) {}
  uint64_t poll() override { return thread_.reached(); }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    return thread_.wait_reached(value, timeout_ns);
  }

 private:
  OpenglThread& thread_;
};

class OpenglRecordedList final : public RecordedList {
 public:
  /// Shared with the job that plays it, so that a list may die while it is in flight.
  std::shared_ptr<OpenglCommands> commands = std::make_shared<OpenglCommands>();
  uint64_t launches = 0;
  uint64_t fence_value = 0;  // of its last replay
};

class OpenglQueue final : public Queue {
 public:
  /// `thread` and `owner` outlive the queue; `owner` is only compared with.
  OpenglQueue(OpenglThread& thread, const Device& owner, const DeviceInfo& info)
      : thread_(thread), owner_(owner), fence_(thread), frame_(info, thread.facts().target) {}

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override;
  Result<void> copy(BufferRange target, BufferRange source) override;
  Result<void> mark_time(uint32_t slot) override;
  Result<uint64_t> submit() override;
  Result<void> begin_record() override;
  Result<std::unique_ptr<RecordedList>> end_record() override;
  Result<uint64_t> replay(RecordedList& list) override;
  Fence& fence() override { return fence_; }
  Result<uint64_t> time_ns(uint32_t slot) override;
  Counts counts() const override { return frame_.counts(); }
  Result<void> naive_wait(NaiveWait how) override;

  /// Deletes a buffer or program after all commands written so far.
  void delete_later(OpenglCommandKind kind, GLuint name);
  /// Gives deletions to the GL thread if nothing else waits for a submit, so that memory comes back
  /// to a caller who allocates and frees without ever submitting.
  Result<void> flush_deletions();

 private:
  struct Slot {
    OpenglCommands commands;
    uint64_t job = 0;  // the last one that used it
  };
  static constexpr size_t kSlots = 16;              // lists between us and the GL thread
  static constexpr size_t kCommandsMax = 1u << 20;  // in one list

  OpenglCommands& open_list();
  Result<void> check_room();
  Result<void> hand_over(uint64_t fence_value);
  uint64_t submitted(bool replay);

  OpenglThread& thread_;
  const Device& owner_;
  OpenglFence fence_;
  QueueFrame frame_;
  std::array<Slot, kSlots> slots_;
  size_t slot_ = 0;  // the one being written
  std::unique_ptr<OpenglRecordedList> recording_;
};

}  // namespace leat
