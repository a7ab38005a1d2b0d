// A list of commands as plain data, and the code that plays it into a GL context. OpenGL has no
// command buffers for compute, so a recorded list is one of these, played again on every replay.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "leat/backend/opengl/opengl_api.h"
#include "leat/backend/opengl/opengl_number.h"
#include "leat/device/device.h"

namespace leat {

enum class OpenglCommandKind : uint8_t { launch, copy, mark_time, delete_buffer, delete_program };

struct OpenglCommand {
  OpenglCommandKind kind = OpenglCommandKind::launch;
  GLuint object = 0;           // program, time slot, or the name to delete
  uint32_t first_binding = 0;  // copy: the target, then the source
  uint32_t binding_count = 0;
  std::array<uint32_t, 3> grid = {};
};

/// Commands and their bindings; the bindings lie as glBindBuffersRange takes them. Grows on first
/// use and keeps its memory when cleared.
struct OpenglCommands {
  std::vector<OpenglCommand> commands;
  std::vector<GLuint> buffers;
  std::vector<GLintptr> offsets;
  std::vector<GLsizeiptr> sizes;
  uint32_t deletes = 0;  // commands that delete something

  void add_launch(GLuint program, const std::array<uint32_t, 3>& grid,
                  std::span<const BufferRange> arguments);
  void add_copy(const BufferRange& target, const BufferRange& source);
  void add_mark_time(uint32_t slot);
  void add_delete(OpenglCommandKind kind, GLuint name);
  void clear();

 private:
  void add_binding(const BufferRange& range);
};

/// Plays command lists in the context that is current. Used on the GL thread only.
class OpenglPlayer {
 public:
  explicit OpenglPlayer(const GlApi& gl);
  /// Deletes the queries; the context is still current.
  void close();

  /// Issues all commands; each sees what the earlier ones wrote.
  void play(const OpenglCommands& list);
  /// Raises `number` to `value` once all that was played is done and visible to host pointers.
  void raise(const OpenglNumber& number, uint64_t value);
  /// Nanoseconds taken by the last mark_time of `slot`; waits for it.
  uint64_t time_ns(uint32_t slot) const;

 private:
  void play_one(const OpenglCommands& list, const OpenglCommand& command);
  void make_visible(GLbitfield to);
  void bind(const OpenglCommands& list, const OpenglCommand& command);

  const GlApi& gl_;
  std::array<GLuint, Queue::kTimeSlots> queries_ = {};
  GLuint program_ = 0;    // the one in use
  GLbitfield stale_ = 0;  // ways to read that may miss what shaders wrote
  OpenglCommands bound_;  // what the first bindings hold; without commands
};

}  // namespace leat
