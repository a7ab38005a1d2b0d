// RaceShadow: who touched each word of a memory, to find accesses whose order nothing fixes. The
// unit is the lane, not the wave: on a GPU a wave is `wave_lanes` invocations that need not run in
// step, so what one lane writes another sees only after a barrier. A uniform access is made by all
// lanes of its wave. Several writes of the same bits are let pass: whichever comes last, the word
// is the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace leat::ir {

/// A lane, or all lanes of a wave; 0 is nobody.
using AccessId = uint32_t;

class RaceShadow {
 public:
  RaceShadow(size_t word_count, uint32_t wave_lanes)
      : cells_(word_count), wave_lanes_(wave_lanes) {}

  AccessId lane_of(uint32_t wave, uint32_t lane) const {
    return wave * (wave_lanes_ + 1) + 1 + lane;
  }
  AccessId whole_wave(uint32_t wave) const {
    return lane_of(wave, wave_lanes_ == 1 ? 0 : wave_lanes_);
  }

  /// All accesses before this one are in order with all that follow: a barrier, or a new workgroup.
  void next_epoch() { ++epoch_; }
  /// False when the read races with an earlier write.
  bool read(size_t word, AccessId id);
  /// False when the write races with an earlier access. `same_bits`: it changes nothing.
  bool write(size_t word, AccessId id, bool same_bits);

 private:
  struct Cell {
    uint32_t epoch = 0;
    AccessId writer = 0;
    AccessId reader = 0;
  };
  Cell& current(size_t word);
  bool is_whole_wave(AccessId id) const {
    return wave_lanes_ > 1 && (id - 1) % (wave_lanes_ + 1) == wave_lanes_;
  }

  std::vector<Cell> cells_;
  uint32_t wave_lanes_;
  uint32_t epoch_ = 1;
};

}  // namespace leat::ir
