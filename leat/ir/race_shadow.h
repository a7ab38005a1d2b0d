// RaceShadow: who touched each word of a memory, to find accesses whose order nothing fixes. The
// unit is the lane, not the wave: on a GPU a wave is `wave_lanes` invocations that need not run in
// step, so what one lane writes another sees only after a barrier. A uniform access is made by all
// lanes of its wave. Several writes of the same bits are let pass: whichever comes last, the word
// is the same. So are several atomic additions.
//
// GroupOrder: what fixes the order of two workgroups. The work of a group falls into stretches that
// end where it meets others at a counter (last_group): the group that comes last there knows that
// the stretches of all others before their meeting are over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace leat::ir {

/// A lane, or all lanes of a wave; 0 is nobody.
using AccessId = uint32_t;

class GroupOrder {
 public:
  /// A counter: a parameter and an element of it.
  using Counter = std::pair<uint32_t, int64_t>;

  void start_group();
  /// The running group has come to `counter`, as the last one or not; a new stretch begins.
  void meet(const Counter& counter, bool is_last);
  uint32_t stretch() const { return stretch_; }
  /// Whether all of that stretch happens before what the running group does now.
  bool is_over(uint32_t stretch) const { return over_.contains(stretch); }

 private:
  uint32_t stretch_ = 0;
  std::unordered_set<uint32_t> over_;
  std::map<Counter, std::unordered_set<uint32_t>> released_;
};

class RaceShadow {
 public:
  /// `order` is null where workgroups share nothing, and lives as long as the shadow.
  RaceShadow(size_t word_count, uint32_t wave_lanes, const GroupOrder* order = nullptr)
      : cells_(word_count), wave_lanes_(wave_lanes), order_(order) {}

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
  /// False when the atomic addition races with an earlier access that is none.
  bool add(size_t word, AccessId id);

 private:
  struct Cell {
    uint32_t epoch = 0;
    AccessId writer = 0;
    AccessId reader = 0;
  };
  /// Stretches in which each word was touched, one after another; only where there is an order.
  using Stretches = std::unordered_map<size_t, std::vector<uint32_t>>;

  Cell& current(size_t word);
  void forget_what_is_over(size_t word, AccessId& id, Stretches& stretches) const;
  void note(size_t word, Stretches& stretches) const;
  bool is_whole_wave(AccessId id) const {
    return wave_lanes_ > 1 && (id - 1) % (wave_lanes_ + 1) == wave_lanes_;
  }

  std::vector<Cell> cells_;
  uint32_t wave_lanes_;
  uint32_t epoch_ = 1;
  const GroupOrder* order_;
  Stretches written_;
  Stretches read_;
};

}  // namespace leat::ir
