// Checks commands on the caller's thread, where an error can still be told for the command that is
// wrong; on the GL thread it would only be a number at the next glGetError.
#include "leat/backend/opengl/opengl_queue.h"

#include <utility>

#include <fmt/format.h>

namespace leat {

OpenglKernel::OpenglKernel(const KernelBinary& binary, GLuint program, Release release)
    : Kernel(binary),
      program_(program),
      grid_{binary.grid[0], binary.grid[1], binary.grid[2]},
      release_(std::move(release)) {}

OpenglQueue::OpenglQueue(OpenglThread& thread, const Device& device)
    : thread_(thread), device_(device), fence_(thread) {}

Result<void> OpenglQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  const auto& loaded = static_cast<const OpenglKernel&>(kernel);
  if (arguments.size() != kernel.arguments().size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Kernel \"{}\" takes ({}) buffers and is given ({}).", kernel.name(),
                             kernel.arguments().size(), arguments.size()));
  }
  TRY(check_room());
  const uint64_t bytes_max = thread_.facts().target.argument_bytes_max;
  for (const BufferRange& range : arguments) {
    TRY(check_filled(range, kernel.name()));
    if (range.offset_bytes % kBufferAlignment != 0) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("Offset ({}) of an argument of kernel \"{}\" is no multiple of ({}).",
                      range.offset_bytes, kernel.name(), kBufferAlignment));
    }
    if (range.size_bytes > bytes_max) {
      return Error(ErrorKind::unsupported,
                   fmt::format("An argument of kernel \"{}\" is larger ({} bytes) than the limit "
                               "({}) of Device \"{}\".",
                               kernel.name(), range.size_bytes, bytes_max, device_.info().name));
    }
  }
  open_list().add_launch(loaded.program(), loaded.grid(), arguments, kernel.arguments());
  ++(recording_ != nullptr ? recording_->launches : counts_.descriptor_updates);
  return {};
}

Result<void> OpenglQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_filled(target, "copy"));
  TRY(check_filled(source, "copy"));
  if (target.size_bytes != source.size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Sizes of a copy's target ({}) and source ({}) differ.",
                             target.size_bytes, source.size_bytes));
  }
  TRY(check_room());
  open_list().add_copy(target, source);
  return {};
}

Result<void> OpenglQueue::mark_time(uint32_t slot) {
  if (slot >= kTimeSlots) {
    return Error(ErrorKind::invalid_argument, fmt::format("Time slot ({}) is not below the limit "
                                                          "({}).",
                                                          slot, kTimeSlots));
  }
  TRY(check_room());
  open_list().add_mark_time(slot);
  return {};
}

Result<uint64_t> OpenglQueue::submit() {
  CHECK(recording_ == nullptr);
  TRY(hand_over(submitted_ + 1));
  ++counts_.submits;
  return ++submitted_;
}

Result<void> OpenglQueue::begin_record() {
  CHECK(recording_ == nullptr);
  recording_ = std::make_unique<OpenglRecordedList>();
  return {};
}

Result<std::unique_ptr<RecordedList>> OpenglQueue::end_record() {
  CHECK(recording_ != nullptr);
  return std::unique_ptr<RecordedList>(std::move(recording_));
}

Result<uint64_t> OpenglQueue::replay(RecordedList& list) {
  CHECK(recording_ == nullptr);
  if (!slots_[slot_].commands.commands.empty()) TRY(hand_over(0));
  const auto& recorded = static_cast<OpenglRecordedList&>(list);
  TRY(thread_.execute(*recorded.commands, submitted_ + 1, recorded.commands));
  ++counts_.submits;
  ++counts_.replays;
  counts_.descriptor_updates += recorded.launches;  // GL has no command buffers: bound again
  return ++submitted_;
}

Result<uint64_t> OpenglQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  return thread_.time_ns(slot);
}

Result<void> OpenglQueue::naive_wait(NaiveWait how) {
  TRY(thread_.health());
  const uint64_t timeout_ns = hang_timeout_ns(device_);
  return thread_.call([how, timeout_ns](OpenglSide& side) {
    if (how == NaiveWait::idle) return side.finish();
    const GLsync sync = side.gl.fence_sync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
    side.gl.client_wait_sync(sync, GL_SYNC_FLUSH_COMMANDS_BIT, timeout_ns);
    side.gl.delete_sync(sync);
  });
}

void OpenglQueue::delete_later(OpenglCommandKind kind, GLuint name) {
  slots_[slot_].commands.add_delete(kind, name);
}

Result<void> OpenglQueue::flush_deletions() {
  const OpenglCommands& open = slots_[slot_].commands;
  if (open.deletes == 0 || open.deletes != open.commands.size()) return {};
  return hand_over(0);
}

OpenglCommands& OpenglQueue::open_list() {
  return recording_ != nullptr ? *recording_->commands : slots_[slot_].commands;
}

Result<void> OpenglQueue::check_room() {
  if (open_list().commands.size() < kCommandsMax) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("A list of commands is at its limit ({}).", kCommandsMax));
}

Result<void> OpenglQueue::check_filled(const BufferRange& range, const std::string& what) const {
  TRY(check_range(range, &device_));
  if (range.size_bytes > 0) return {};
  return Error(ErrorKind::invalid_argument, fmt::format("A range given to \"{}\" is empty.", what));
}

Result<void> OpenglQueue::hand_over(uint64_t fence_value) {
  Slot& full = slots_[slot_];
  TRY_ASSIGN(full.job, thread_.execute(full.commands, fence_value));
  slot_ = (slot_ + 1) % kSlots;
  TRY(thread_.await_job(slots_[slot_].job));
  slots_[slot_].commands.clear();
  return {};
}

}  // namespace leat
