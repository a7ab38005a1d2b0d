// The state of one wave of 32 lanes, and of the workgroup it belongs to. What was never written is
// poison: reading it ends the run with the instruction's address and word. A register that a load
// will write counts as poison until a wait covers that load, so a missing s_waitcnt is found as
// such.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/amd/amd_emulator_instruction.h"
#include "tests/amd/amd_emulator_memory.h"

namespace leat::amd_card {

inline constexpr uint32_t kLanes = 32;
inline constexpr uint32_t kVgprs = 256;
inline constexpr uint32_t kPoison = 0x7fbadbad;  // a NaN, as f32 and as two f16

/// Counters that s_waitcnt and s_wait_*cnt wait for. On gfx11 `ds` counts what LGKM_CNT counts.
enum class Counter : uint8_t { load, store, ds, scalar };
inline constexpr size_t kCounters = 4;

/// A load under way: the registers that it will write.
struct Pending {
  uint16_t first = 0;  // vector register, or scalar register + 0x8000; kNoRegister: a store
  uint16_t count = 0;
  uint32_t lanes = 0;
  bool unordered = false;  // scalar loads return in any order: only a wait for 0 covers them
};
inline constexpr uint16_t kNoRegister = 0xffff;
inline constexpr uint16_t kScalarRegister = 0x8000;

/// Loads of one counter, oldest first. Hardware stops issuing when the counter is full.
struct PendingQueue {
  static constexpr uint32_t kLimit = 128;
  Pending entries[kLimit];
  uint32_t head = 0;
  uint32_t count = 0;
};

/// A store to local memory that other waves do not see yet.
struct HeldStore {
  uint32_t address = 0;
  uint32_t size = 0;
  uint8_t bytes[16] = {};
};

enum class WaveState : uint8_t { running, at_barrier, ended, failed };

struct Workgroup {
  std::vector<uint8_t> local;          // local memory, as many bytes as the launch allocates
  std::vector<uint8_t> local_defined;  // per byte: written since the workgroup began
  uint32_t waves = 0;
  uint32_t signalled = 0;   // waves that have signalled the barrier of this generation
  uint32_t generation = 0;  // barriers completed
};

/// MODE, "Mode Register" of both guides.
struct Mode {
  uint8_t round_single = 0;  // 0 nearest even, 1 up, 2 down, 3 to zero
  uint8_t round_double = 0;
  uint8_t denormal_single = 3;  // bit 0: inputs are kept, bit 1: outputs are kept
  uint8_t denormal_double = 3;  // f64 and f16
  bool dx10_clamp = true;
  bool ieee = true;
};

struct Wave {
  alignas(64) uint32_t v[kVgprs][kLanes];
  alignas(64) uint32_t dpp[kLanes];
  uint32_t defined[kVgprs];  // lanes that hold a value
  uint8_t busy[kVgprs];      // loads under way that will write it
  uint32_t s[128];
  bool s_defined[128];
  uint8_t s_busy[128];
  bool scc = false;
  Mode mode;
  Generation generation = Generation::gfx11;
  WaveState state = WaveState::running;
  uint32_t vgprs = 0;  // allocated by the launch
  uint32_t index = 0;  // in the workgroup
  uint64_t pc = 0;
  uint32_t waited_generation = 0;  // of the barrier that this wave has signalled
  bool has_signalled = false;
  PendingQueue pending[kCounters];
  std::vector<HeldStore> held;
  std::vector<uint32_t> scratch;         // [word][lane]
  std::vector<uint8_t> scratch_defined;  // per word and lane
  uint32_t scratch_bytes = 0;            // per lane
  Workgroup* group = nullptr;
  GpuMemory* memory = nullptr;
  MemoryRange* last_range = nullptr;
  const Visibility* visibility = nullptr;
  uint64_t cycles = 0;
  std::string error;

  uint32_t exec() const { return s[kExec]; }

  /// Ends the wave with an error; `instruction` gives address and word. The first one is kept.
  void fail(const Instruction& instruction, const std::string& text);

  /// Scalar operands; literals and inline constants too. `defined` is checked.
  uint32_t scalar(const Instruction& instruction, uint16_t code);
  uint64_t scalar64(const Instruction& instruction, uint16_t code, bool is_signed = false);
  void set_scalar(const Instruction& instruction, uint16_t code, uint32_t value);
  void set_scalar64(const Instruction& instruction, uint16_t code, uint64_t value);

  /// Checks that `lanes` of `count` registers from `first` on may be read.
  bool check_read(const Instruction& instruction, uint32_t first, uint32_t count, uint32_t lanes);
  /// The same for writing: they are allocated and no load is still to write them.
  bool check_write(const Instruction& instruction, uint32_t first, uint32_t count);

  void begin_load(const Instruction& instruction, Counter counter, const Pending& pending);
  /// Lets all but the newest `left` entries of a counter finish.
  void wait(Counter counter, uint32_t left);
  /// Makes held stores to local memory visible to the workgroup.
  void release_held();
  void reset(uint32_t vgprs_allocated, uint32_t scratch_bytes_per_lane);
};

/// Sets the host's rounding and denormal mode for f32 (MXCSR) and gives the old one back.
uint32_t set_host_float_mode(uint8_t round, uint8_t denormal);
void restore_host_float_mode(uint32_t saved);

}  // namespace leat::amd_card
