// The copy engine (SDMA 6.0 and 7.0) as strictly as the packet processor:
// linear copies, writes, fills, fences, traps and waits, in order. Source:
// Linux drivers/gpu/drm/amd/amdgpu/{sdma_v6_0_0_pkt_open.h,sdma_v6_0.c}.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "leat/base/result.h"
#include "tests/amd/amd_emulator_memory.h"

namespace leat::amd_card {

class SdmaProcessor {
 public:
  explicit SdmaProcessor(GpuMemory& memory) : memory_(memory) {}

  /// Runs ring bytes [read, write), counted since the queue was made; `size` is
  /// a power of two. Stops early at a wait that memory does not fulfil yet.
  /// Errors: device_lost, with the packet's words.
  Result<void> run_ring(uint64_t ring_va, uint64_t size, uint64_t& read, uint64_t write);

  bool is_waiting() const { return is_waiting_; }
  /// Linear copies that were made.
  uint64_t copies() const { return copies_; }
  /// Called with the context of a TRAP.
  std::function<void(uint32_t context)> on_interrupt;

 private:
  Result<uint32_t> size_of(std::span<const uint32_t> words) const;
  Result<void> execute(std::span<const uint32_t> words);
  Result<void> copy(std::span<const uint32_t> words);
  Result<void> fill(std::span<const uint32_t> words);
  Result<void> write_words(std::span<const uint32_t> words);
  Result<void> fence(std::span<const uint32_t> words);
  Result<void> poll(std::span<const uint32_t> words);
  Result<uint8_t*> at(std::span<const uint32_t> words, uint64_t va, uint64_t size, uint8_t access);

  GpuMemory& memory_;
  bool is_waiting_ = false;
  uint64_t copies_ = 0;
};

}  // namespace leat::amd_card
