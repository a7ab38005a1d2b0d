// Checks commands on the caller's thread, where an error can still be told for the command that is
// wrong; on the GL thread it would only be a number at the next glGetError.
#include "leat/backend/opengl/opengl_queue.h"

#include <utility>

#include <fmt/format.h>

#include "leat/route/launch_checks.h"

namespace leat {

OpenglKernel::OpenglKernel(const KernelBinary& binary, GLuint program, Release release)
    : Kernel(binary), program_(program), release_(std::move(release)) {}

namespace {

// GL binds no empty range.
Result<void> check_filled(std::span<const BufferRange> ranges) {
  for (const BufferRange& range : ranges) {
    if (range.size_bytes > 0) continue;
    return Error(ErrorKind::invalid_argument, "An argument on the route opengl is empty.");
  }
  return {};
}

}  // namespace

Result<void> OpenglQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                                 uint32_t groups_x) {
  const auto& loaded = static_cast<const OpenglKernel&>(kernel);
  TRY(check_launch(kernel, arguments, groups_x, &owner_,
                   thread_.facts().target.argument_bytes_max));
  TRY(check_filled(arguments));
  TRY(check_room());
  open_list().add_launch(loaded.program(), kernel.grid_with(groups_x), arguments,
                         kernel.arguments());
  if (recording_ != nullptr) {
    ++recording_->launches;
  } else {
    frame_.count_descriptor_updates(1);
  }
  return {};
}

Result<void> OpenglQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_copy(target, source, &owner_));
  if (source.size_bytes == 0) return {};
  TRY(check_room());
  open_list().add_copy(target, source);
  return {};
}

Result<void> OpenglQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  TRY(check_room());
  open_list().add_mark_time(slot);
  return {};
}

Result<uint64_t> OpenglQueue::submit() {
  CHECK(!frame_.is_recording());
  TRY(hand_over(frame_.submitted() + 1));
  return submitted(false);
}

Result<void> OpenglQueue::begin_record() {
  frame_.begin_record();
  recording_ = std::make_unique<OpenglRecordedList>();
  return {};
}

Result<std::unique_ptr<RecordedList>> OpenglQueue::end_record() {
  frame_.end_record();
  return std::unique_ptr<RecordedList>(std::move(recording_));
}

Result<uint64_t> OpenglQueue::replay(RecordedList& list) {
  auto& recorded = static_cast<OpenglRecordedList&>(list);
  TRY(frame_.check_replay(recorded.fence_value, fence_.poll()));
  if (!slots_[slot_].commands.commands.empty()) TRY(hand_over(0));
  TRY(thread_.execute(*recorded.commands, frame_.submitted() + 1, recorded.commands));
  // GL has no command buffers: all is bound again.
  frame_.count_descriptor_updates(recorded.launches);
  recorded.fence_value = submitted(true);
  return recorded.fence_value;
}

/// The value of what the thread was given.
uint64_t OpenglQueue::submitted(bool replay) {
  frame_.set_submitted(frame_.submitted() + 1);
  frame_.count_submit(replay);
  return frame_.submitted();
}

Result<uint64_t> OpenglQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  return thread_.time_ns(slot);
}

Result<void> OpenglQueue::naive_wait(NaiveWait how) {
  TRY(thread_.health());
  const uint64_t timeout_ns = hang_timeout_ns(owner_);
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

Result<void> OpenglQueue::hand_over(uint64_t fence_value) {
  Slot& full = slots_[slot_];
  TRY_ASSIGN(full.job, thread_.execute(full.commands, fence_value));
  slot_ = (slot_ + 1) % kSlots;
  TRY(thread_.await_job(slots_[slot_].job));
  slots_[slot_].commands.clear();
  return {};
}

}  // namespace leat
