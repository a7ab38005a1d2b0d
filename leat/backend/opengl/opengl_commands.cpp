// Writes and plays command lists.
// Odd: GL orders its own copies by itself, but what a compute shader wrote is only visible to later
// commands after glMemoryBarrier with the bits of *how they will read it*, and to a persistent
// mapping only after the client-mapped bit and a sync object, even if the mapping is coherent.
// Source: OpenGL 4.6 core, sections 7.13.2 (memory barriers) and 6.3.2 (mapping).
#include "leat/backend/opengl/opengl_commands.h"

#include <algorithm>

namespace leat {

namespace {

// Launches, copies and the host: all that ever reads a buffer here.
constexpr GLbitfield kEveryReader = GL_SHADER_STORAGE_BARRIER_BIT | GL_BUFFER_UPDATE_BARRIER_BIT |
                                    GL_CLIENT_MAPPED_BUFFER_BARRIER_BIT;

}  // namespace

void OpenglCommands::add_binding(const BufferRange& range, bool written) {
  accesses.push_back({range.offset_bytes, range.size_bytes, written, range.buffer->handle()});
  buffers.push_back(static_cast<GLuint>(range.buffer->handle()));
  offsets.push_back(static_cast<GLintptr>(range.offset_bytes));
  sizes.push_back(static_cast<GLsizeiptr>(range.size_bytes));
}

void OpenglCommands::add_launch(GLuint program, const std::array<uint32_t, 3>& grid,
                                std::span<const BufferRange> arguments,
                                std::span<const KernelArgument> roles) {
  commands.push_back({.kind = OpenglCommandKind::launch,
                      .object = program,
                      .first_binding = static_cast<uint32_t>(buffers.size()),
                      .binding_count = static_cast<uint32_t>(arguments.size()),
                      .grid = grid});
  accesses.clear();
  for (size_t i = 0; i < arguments.size(); ++i) add_binding(arguments[i], roles[i].written);
  commands.back().waits = hazards.add(accesses);
}

void OpenglCommands::add_copy(const BufferRange& target, const BufferRange& source) {
  commands.push_back({.kind = OpenglCommandKind::copy,
                      .first_binding = static_cast<uint32_t>(buffers.size()),
                      .binding_count = 2});
  hazards.close();  // a copy tells that what stands before it is done
  accesses.clear();
  add_binding(target, true);
  add_binding(source, false);
  commands.back().waits = hazards.add(accesses);
}

void OpenglCommands::add_mark_time(uint32_t slot) {
  commands.push_back({.kind = OpenglCommandKind::mark_time, .object = slot});
  hazards.close();  // what follows is not to run within the time that is marked
}

void OpenglCommands::add_delete(OpenglCommandKind kind, GLuint name) {
  commands.push_back({.kind = kind, .object = name});
  ++deletes;
}

void OpenglCommands::clear() {
  commands.clear();
  buffers.clear();
  offsets.clear();
  sizes.clear();
  deletes = 0;
  hazards.clear();
}

OpenglPlayer::OpenglPlayer(const GlApi& gl, OpenglTimes& times) : gl_(gl), times_(times) {
  gl_.create_queries(GL_TIMESTAMP, static_cast<GLsizei>(queries_.size()), queries_.data());
}

void OpenglPlayer::close() {
  gl_.use_program(0);
  gl_.delete_queries(static_cast<GLsizei>(queries_.size()), queries_.data());
}

// A list knows nothing of those before it.
void OpenglPlayer::play(const OpenglCommands& list) {
  make_visible();
  for (const OpenglCommand& command : list.commands) play_one(list, command);
}

// The barrier puts the work's writes in front of the number, and shows them to what comes next,
// which so starts without a barrier: none stands between the host's submit and the work.
void OpenglPlayer::raise(const OpenglNumber& number, uint64_t value) {
  gl_.memory_barrier(kEveryReader);
  is_stale_ = false;
  if (number.program() != 0) {
    if (program_ != number.program()) gl_.use_program(number.program());
    program_ = number.program();
    bound_.clear();
  }
  number.raise(gl_, value);
}

void OpenglPlayer::read_times() {
  for (size_t slot = 0; unread_.any() && slot < unread_.size(); ++slot) {
    if (!unread_.test(slot)) continue;
    GLuint64 is_there = 0;
    gl_.get_query_result(queries_[slot], GL_QUERY_RESULT_AVAILABLE, &is_there);
    if (is_there == 0) continue;
    GLuint64 nanoseconds = 0;
    gl_.get_query_result(queries_[slot], GL_QUERY_RESULT, &nanoseconds);
    unread_.reset(slot);
    times_.ns[slot].store(std::max<uint64_t>(nanoseconds, OpenglTimes::kPending + 1),
                          std::memory_order_release);
  }
}

void OpenglPlayer::play_one(const OpenglCommands& list, const OpenglCommand& command) {
  const uint32_t first = command.first_binding;
  if (command.waits) make_visible();
  switch (command.kind) {
    case OpenglCommandKind::launch:
      if (program_ != command.object) gl_.use_program(command.object);
      program_ = command.object;
      bind(list, command);
      gl_.dispatch_compute(command.grid[0], command.grid[1], command.grid[2]);
      is_stale_ = true;
      return;
    case OpenglCommandKind::copy:
      gl_.copy_buffer(list.buffers[first + 1], list.buffers[first], list.offsets[first + 1],
                      list.offsets[first], list.sizes[first]);
      return;
    case OpenglCommandKind::mark_time:
      gl_.query_counter(queries_[command.object], GL_TIMESTAMP);
      unread_.set(command.object);
      times_.ns[command.object].store(OpenglTimes::kPending, std::memory_order_relaxed);
      return;
    case OpenglCommandKind::delete_buffer:
      bound_.clear();  // its name may be given to another
      gl_.delete_buffers(1, &command.object);
      return;
    case OpenglCommandKind::delete_program:
      if (program_ == command.object) gl_.use_program(0);
      if (program_ == command.object) program_ = 0;
      gl_.delete_program(command.object);
      return;
  }
}

// Binding costs the driver more than the launch itself, so what is bound already is left.
void OpenglPlayer::bind(const OpenglCommands& list, const OpenglCommand& command) {
  const size_t first = command.first_binding, count = command.binding_count;
  const auto is_bound = [&](const auto& bound, const auto& wanted) {
    const auto part = std::span(wanted).subspan(first, count);
    return std::equal(part.begin(), part.end(), bound.begin());
  };
  if (count <= bound_.buffers.size() && is_bound(bound_.buffers, list.buffers) &&
      is_bound(bound_.offsets, list.offsets) && is_bound(bound_.sizes, list.sizes)) {
    return;
  }
  const auto replace = [&](auto& bound, const auto& wanted) {
    if (bound.size() < count) bound.resize(count);
    std::ranges::copy(std::span(wanted).subspan(first, count), bound.begin());
  };
  replace(bound_.buffers, list.buffers);
  replace(bound_.offsets, list.offsets);
  replace(bound_.sizes, list.sizes);
  gl_.bind_buffers_range(GL_SHADER_STORAGE_BUFFER, 0, static_cast<GLsizei>(count),
                         list.buffers.data() + first, list.offsets.data() + first,
                         list.sizes.data() + first);
}

void OpenglPlayer::make_visible() {
  if (is_stale_) gl_.memory_barrier(kEveryReader);
  is_stale_ = false;
}

}  // namespace leat
