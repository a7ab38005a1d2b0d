// The command processor of an AMD compute queue (PM4) as strictly as its documents allow. Launches
// run as late as packets let them: only what waits for a launch (a partial flush, a wait on its
// fence, the end of the queue) makes it run, and launches that nothing orders run last first. Who
// touched which word last is kept beside memory, so that a launch that may read a stale cache line
// is an error. Reserved bits, unknown packets, registers that a dispatch needs and nobody set:
// errors. Sources: Linux drivers/gpu/drm/amd/amdgpu/{nvd.h,soc15d.h} for opcodes and fields,
// gc_11_0_0_{offset,sh_mask}.h and gc_12_0_0_{offset,sh_mask}.h for registers; ROCm/hrx-system
// docs/reference/amd/gpu/pm4 for what each generation defines.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tests/amd/amd_emulator.h"

namespace leat::amd_card {

struct ProcessorOptions {
  EmulatorOptions emulator;
  bool sets_cu_masks = false;  // the DRM route: packets must enable the CUs of all shader engines
  bool requires_priv = false;  // KFD on gfx11.0: RSRC1.PRIV keeps hardware traps out
  bool is_late = true;         // false: a launch runs when its packet is reached
};

/// What a dispatch packet started, for those who look on.
struct DispatchRecord {
  Launch launch;
  uint32_t number = 0;  // launches count from 1
};

class PacketProcessor {
 public:
  PacketProcessor(GpuMemory& memory, const ProcessorOptions& options);

  /// Marks that the host has written memory: the next launch needs a system-scope acquire.
  void begin_submission();

  /// Runs ring words [read_dw, write_dw), counted since the queue was made; `size_dw` is a power of
  /// two. Stops early, without an error, at a wait that memory does not fulfil yet; then
  /// is_waiting(). Advances `read_dw`. Errors: device_lost, with the packet's position and words.
  Result<void> run_ring(uint64_t ring_va, uint64_t size_dw, uint64_t& read_dw, uint64_t write_dw);

  /// Runs an indirect buffer as the DRM route submits it; a wait must be fulfilled.
  /// `is_last`: no other buffer of the submission follows.
  Result<void> run_buffer(uint64_t va, uint64_t size_dw, bool is_last = true);

  /// Runs what is still held back. Errors: device_lost, also when results were never written back.
  Result<void> finish();

  bool is_waiting() const { return is_waiting_; }
  uint32_t launches() const { return launches_; }
  uint64_t packets() const { return packets_; }
  Emulator& emulator() { return emulator_; }
  GpuMemory& memory() { return memory_; }

  /// Called with the interrupt context of a RELEASE_MEM that asks for an interrupt.
  std::function<void(uint32_t context)> on_interrupt;
  /// Called before and after a launch runs; null: nobody looks.
  std::function<Result<void>(const DispatchRecord&)> before_launch, after_launch;

 private:
  struct Packet {
    uint64_t va = 0;
    uint32_t header = 0;
    std::vector<uint32_t> body;
    bool in_buffer = false;
  };
  struct Pending {
    DispatchRecord record;
    Visibility visibility;
  };
  struct Release {
    uint32_t cache = 0;  // dword 1
    uint32_t select = 0;
    uint64_t va = 0;
    uint64_t value = 0;
    uint32_t context = 0;
    uint32_t launches = 0;  // complete once it is written
  };
  enum class Outcome { done, waits };

  Error refused(const Packet& packet, const std::string& text) const;
  Result<Packet> read_packet(uint64_t va, uint64_t left_dw);
  Result<Outcome> execute(const Packet& packet);
  Result<Outcome> execute_memory(const Packet& packet);

  Result<void> set_registers(const Packet& packet);
  Result<void> dispatch(const Packet& packet, const std::array<uint32_t, 3>& dimensions,
                        uint32_t initiator);
  Result<Launch> launch_from_registers(const Packet& packet,
                                       const std::array<uint32_t, 3>& dimensions,
                                       uint32_t initiator) const;
  Result<void> check_scratch(const Packet& packet, Launch& launch) const;
  Result<void> dispatch_indirect(const Packet& packet);
  Result<void> acquire(const Packet& packet);
  Result<void> release(const Packet& packet);
  Result<Outcome> wait(const Packet& packet);
  Result<void> write_data(const Packet& packet);
  Result<void> copy_data(const Packet& packet);
  Result<void> fill_or_copy(const Packet& packet);
  Result<void> atomic(const Packet& packet);
  Result<Outcome> indirect_buffer(const Packet& packet);
  Result<Outcome> run_words(uint64_t va, uint64_t size_dw);

  Result<void> run_launches();
  Result<void> run_releases();
  Result<uint8_t*> memory_at(const Packet& packet, uint64_t va, uint64_t size, uint8_t access);
  Result<void> apply(const Release& release);

  GpuMemory& memory_;
  ProcessorOptions options_;
  Emulator emulator_;
  std::map<uint32_t, uint32_t> registers_;  // SET_SH_REG offset to value; absent: never set
  std::vector<Pending> pending_;
  std::vector<Release> releases_;
  uint32_t launches_ = 0;
  uint32_t complete_ = 0;        // launches that packets have waited for
  uint32_t visible_vector_ = 0;  // launches whose results vector loads see
  uint32_t visible_scalar_ = 0;
  uint32_t written_back_ = 0;  // launches whose results reached memory
  bool needs_system_acquire_ = true;
  bool is_waiting_ = false;
  bool in_buffer_ = false;
  uint32_t skip_dw_ = 0;  // COND_EXEC
  uint64_t packets_ = 0;
  uint64_t clock_ = 1'000'000;
};

}  // namespace leat::amd_card
