// Runs launches of RDNA3 and RDNA4 code objects on the host, wave by wave: what stands in for a
// card. Functional only: no time, no caches within a launch. It is stricter than hardware:
// undefined registers and memory, missing waits, accesses outside of mapped ranges, unknown words
// and undefined fields end a launch with an error that names the instruction's address and words.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "leat/base/result.h"
#include "tests/amd/amd_emulator_memory.h"
#include "tests/amd/amd_emulator_wave.h"

namespace leat::amd_card {

/// In which order waves of a workgroup and workgroups of a launch run. `mixed` draws it from a seed
/// and changes the wave every few instructions.
enum class WaveOrder { forward, backward, mixed };

struct Launch {
  uint64_t entry = 0;
  uint32_t rsrc1 = 0;
  uint32_t rsrc2 = 0;
  uint32_t rsrc3 = 0;
  std::array<uint32_t, 16> user_data = {};
  uint32_t user_data_set = 0;  // bit k: user_data[k] was written
  std::array<uint32_t, 3> start = {};
  std::array<uint32_t, 3> groups = {1, 1, 1};   // workgroups
  std::array<uint32_t, 3> threads = {1, 1, 1};  // work-items of a whole workgroup
  std::array<uint32_t, 3> partial = {};         // work-items of the last workgroup; 0: whole
  uint32_t scratch_bytes = 0;                   // private memory of one work-item
};

struct EmulatorOptions {
  Generation generation = Generation::gfx11;
  WaveOrder order = WaveOrder::forward;
  uint64_t seed = 1;
  uint64_t instructions_max = uint64_t{1} << 33;  // of one launch: beyond it, it hangs
  uint64_t groups_max = uint64_t{1} << 24;        // of one launch
};

class Emulator {
 public:
  Emulator(GpuMemory& memory, const EmulatorOptions& options);
  ~Emulator();

  /// Runs all workgroups. Errors: device_lost, with the instruction at fault, or the register
  /// field.
  Result<void> run(const Launch& launch, const Visibility* visibility = nullptr);

  /// Forgets decoded code; until then changed code runs as it was (ACQUIRE_MEM with GLI_INV).
  void invalidate_instructions();

  /// Instructions executed so far; a vector instruction counts once.
  uint64_t instructions() const { return instructions_; }
  EmulatorOptions& options() { return options_; }

 private:
  struct Code;
  Result<void> check(const Launch& launch) const;
  Result<void> run_group(const Launch& launch, const std::array<uint32_t, 3>& group,
                         const Visibility* visibility);
  void begin_group(const Launch& launch, uint32_t work_items);
  void begin_wave(Wave& wave, const Launch& launch, const std::array<uint32_t, 3>& group,
                  const std::array<uint32_t, 3>& size, uint32_t index);
  void step(Wave& wave, uint64_t budget);
  const Instruction* fetch(Wave& wave);
  std::vector<uint32_t> shuffled(uint32_t count);
  uint64_t draw();

  GpuMemory& memory_;
  EmulatorOptions options_;
  std::vector<std::unique_ptr<Wave>> waves_;
  Workgroup group_;
  std::vector<std::unique_ptr<Code>> codes_;
  Code* last_code_ = nullptr;
  uint64_t instructions_ = 0;
  uint64_t instructions_left_ = 0;
  uint64_t random_ = 1;
};

}  // namespace leat::amd_card
