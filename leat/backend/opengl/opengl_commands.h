// A list of commands as plain data, and the code that plays it into a GL context. OpenGL has no
// command buffers for compute, so a recorded list is one of these, played again on every replay.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "leat/backend/opengl/opengl_api.h"
#include "leat/backend/opengl/opengl_number.h"
#include "leat/device/device.h"
#include "leat/device/memory_hazards.h"

namespace leat {

enum class OpenglCommandKind : uint8_t { launch, copy, mark_time, delete_buffer, delete_program };

struct OpenglCommand {
  OpenglCommandKind kind = OpenglCommandKind::launch;
  GLuint object = 0;           // program, time slot, or the name to delete
  uint32_t first_binding = 0;  // copy: the target, then the source
  uint32_t binding_count = 0;
  bool waits = false;  // for what earlier launches wrote or read
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

  /// `arguments` in the order of `roles`.
  void add_launch(GLuint program, const std::array<uint32_t, 3>& grid,
                  std::span<const BufferRange> arguments, std::span<const KernelArgument> roles);
  void add_copy(const BufferRange& target, const BufferRange& source);
  void add_mark_time(uint32_t slot);
  void add_delete(OpenglCommandKind kind, GLuint name);
  void clear();

 private:
  void add_binding(const BufferRange& range, bool written);

  MemoryHazards hazards;
  std::vector<MemoryAccess> accesses;  // scratch of one command
};

/// What the GL thread knows of time marks; any thread may read it.
struct OpenglTimes {
  static constexpr uint64_t kNone = 0;     // the slot was never marked
  static constexpr uint64_t kPending = 1;  // marked, but the time was not read yet
  std::array<std::atomic<uint64_t>, Queue::kTimeSlots> ns = {};
};

/// Plays command lists in the context that is current. Used on the GL thread only.
class OpenglPlayer {
 public:
  /// `times` outlives the player.
  OpenglPlayer(const GlApi& gl, OpenglTimes& times);
  /// Deletes the queries; the context is still current.
  void close();

  /// Issues all commands; each sees what the earlier ones wrote.
  void play(const OpenglCommands& list);
  /// Raises `number` to `value` once all that was played is done and visible to host pointers.
  void raise(const OpenglNumber& number, uint64_t value);
  /// Reads the times of marks that the device has come to; waits for none.
  void read_times();

 private:
  void play_one(const OpenglCommands& list, const OpenglCommand& command);
  void make_visible();
  void bind(const OpenglCommands& list, const OpenglCommand& command);

  const GlApi& gl_;
  OpenglTimes& times_;
  std::array<GLuint, Queue::kTimeSlots> queries_ = {};
  std::bitset<Queue::kTimeSlots> unread_;  // marked since their time was read
  GLuint program_ = 0;                     // the one in use
  bool is_stale_ = false;                  // shaders have run since the last barrier
  OpenglCommands bound_;                   // what the first bindings hold; without commands
};

}  // namespace leat
