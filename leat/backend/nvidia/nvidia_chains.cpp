// See nvidia_chains.h.
#include "leat/backend/nvidia/nvidia_chains.h"

#include <algorithm>

namespace leat {

void NvidiaChains::reserve(size_t launches_max, size_t accesses_max, size_t arguments_max) {
  accesses_max_ = accesses_max;
  tails_.reserve(launches_max);
  accesses_.reserve(accesses_max + arguments_max);
}

/// The one chain that conflicts, kNone, or kEvery when several do.
uint32_t NvidiaChains::conflicting_chain(std::span<const MemoryAccess> arguments) const {
  uint32_t found = kNone;
  for (const ChainAccess& earlier : accesses_) {
    if (earlier.chain == found) continue;
    for (const MemoryAccess& access : arguments) {
      if (!conflict(earlier.access, access)) continue;
      if (found != kNone) return kEvery;
      found = earlier.chain;
      break;
    }
  }
  return found;
}

void NvidiaChains::remember(std::span<const MemoryAccess> arguments, uint32_t chain) {
  for (const MemoryAccess& access : arguments) {
    const auto same = std::ranges::find_if(accesses_, [&](const ChainAccess& known) {
      return known.chain == chain && known.access.address == access.address &&
             known.access.size_bytes == access.size_bytes;
    });
    if (same == accesses_.end()) {
      accesses_.push_back({access, chain});
    } else {
      same->access.written |= access.written;
    }
  }
}

NvidiaStart NvidiaChains::add(uint32_t launch, std::span<const MemoryAccess> arguments) {
  const bool is_too_much = accesses_.size() + arguments.size() > accesses_max_;
  uint32_t chain = is_too_much ? kEvery : conflicting_chain(arguments);
  NvidiaStart start;
  if (chain < kEvery) {
    start = {NvidiaStart::Kind::follows, tails_[chain]};
    tails_[chain] = launch;
  } else {
    if (chain == kEvery) {
      start.kind = NvidiaStart::Kind::behind;
      clear();
    }
    chain = static_cast<uint32_t>(tails_.size());
    tails_.push_back(launch);
  }
  remember(arguments, chain);
  return start;
}

}  // namespace leat
