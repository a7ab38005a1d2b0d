// Streams of packets for tests of the processor, written from the golden words: no backend needed.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/amd/amd_emulator.h"

namespace leat::amd_card {

class Stream {
 public:
  explicit Stream(bool is_gfx12) : is_gfx12_(is_gfx12) {}

  std::vector<uint32_t> words;

  void packet(uint32_t opcode, const std::vector<uint32_t>& body, bool is_compute = false) {
    words.push_back(3U << 30 | uint32_t(body.size() - 1) << 16 | opcode << 8 |
                    (is_compute ? 2 : 0));
    words.insert(words.end(), body.begin(), body.end());
  }
  void set(uint32_t offset, const std::vector<uint32_t>& values) {
    std::vector<uint32_t> body = {offset};
    body.insert(body.end(), values.begin(), values.end());
    packet(0x76, body, true);
  }
  void partial_flush() { packet(0x46, {0x407}); }
  void acquire(uint32_t gcr) { packet(0x58, {0, 0xffffffff, 0xff, 0, 0, 10, gcr}); }
  void system_acquire() { acquire(is_gfx12_ ? 0xc181 : 0xc3a1); }
  /// Between dependent launches: scalar and vector caches only.
  void light_acquire() { acquire(is_gfx12_ ? 0x180 : 0x380); }
  void release(uint64_t va, uint32_t value) {
    packet(0x49, {is_gfx12_ ? 0x304528U : 0x30e528U, 0x23010000, uint32_t(va), uint32_t(va >> 32),
                  value, 0, 0});
  }
  /// Waits until the 32-bit word at `va` equals `value`.
  void wait_equal(uint64_t va, uint32_t value) {
    packet(0x3c, {0x13, uint32_t(va), uint32_t(va >> 32), value, 0xffffffff, 0x8000000a});
  }
  void write_data(uint64_t va, uint32_t value) {
    packet(0x37, {0x100200, uint32_t(va), uint32_t(va >> 32), value});
  }
  void call(uint64_t va, uint32_t size_dw) {
    packet(0x3f, {uint32_t(va), uint32_t(va >> 32), 0x800000 | size_dw}, true);
  }
  /// All registers of a launch, then its dispatch in workgroups.
  void launch(const Launch& launch) {
    set(0x20c, {uint32_t(launch.entry >> 8), uint32_t(launch.entry >> 40)});
    set(0x212, {launch.rsrc1, launch.rsrc2});
    set(0x228, {launch.rsrc3});
    set(0x215, {0});
    set(0x240, {launch.user_data[0], launch.user_data[1]});
    set(0x204, {0, 0, 0, launch.threads[0], launch.threads[1], launch.threads[2]});
    dispatch(launch);
  }
  void dispatch(const Launch& launch) {
    packet(0x15, {launch.groups[0], launch.groups[1], launch.groups[2], 0x8005}, true);
  }

 private:
  bool is_gfx12_;
};

}  // namespace leat::amd_card
