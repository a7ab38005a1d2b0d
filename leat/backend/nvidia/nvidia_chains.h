// Which launches wait for which. Launches form chains: one whose arguments overlap with those of
// one chain, one of them written, is made dependent on that chain's last launch by its descriptor,
// so that the GPU goes on without its front end. A launch that overlaps with no chain starts a
// chain of its own and runs beside the others; one that overlaps with several waits for the engine
// to fall idle.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "leat/device/memory_hazards.h"

namespace leat {

/// How a launch is started.
struct NvidiaStart {
  enum class Kind : uint8_t {
    follows,  // by the descriptor of launch `before`
    beside,   // by the front end, at once
    behind,   // by the front end, once the engine is idle
  };
  Kind kind = Kind::beside;
  uint32_t before = 0;
};

class NvidiaChains {
 public:
  /// So that no launch allocates: `accesses_max` is how many are compared with, beyond which a
  /// launch waits for the engine; `arguments_max` of one launch.
  void reserve(size_t launches_max, size_t accesses_max, size_t arguments_max);
  /// Without reserve() a recorded list's limit holds.
  NvidiaStart add(uint32_t launch, std::span<const MemoryAccess> arguments);
  /// The front end waits here for all before.
  void clear() {
    tails_.clear();
    accesses_.clear();
  }
  /// Whether all launches since then are one chain, which ends with tail().
  bool is_single() const { return tails_.size() == 1; }
  uint32_t tail() const { return tails_[0]; }

 private:
  struct ChainAccess {
    MemoryAccess access;
    uint32_t chain = 0;
  };
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kEvery = 0xfffffffe;

  uint32_t conflicting_chain(std::span<const MemoryAccess> arguments) const;
  void remember(std::span<const MemoryAccess> arguments, uint32_t chain);

  size_t accesses_max_ = 4096;
  std::vector<uint32_t> tails_;  // the last launch of each chain
  std::vector<ChainAccess> accesses_;
};

}  // namespace leat
