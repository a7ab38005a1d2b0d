// Memory of what goes from run to run on the device: an output whose value an input of the next run
// has, such as the hidden state of a recurrent layer, or a transformer's keys and values. Each has
// two buffers. A run reads one and writes the other, and the next run the other way round, so that
// nothing is copied, and a run that is lost can be run again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

/// By their numbers among a model's outputs and inputs.
struct StatePair {
  size_t output = 0;
  size_t input = 0;
};

class StateMemory {
 public:
  using Sides = std::array<std::shared_ptr<const Buffer>, 2>;

  /// The state's buffers have at least so many bytes; a value in use goes along. No run is in
  /// flight. Errors: those of Device::allocate and of copying.
  Result<void> reserve(Device& device, size_t state, size_t size_bytes);
  /// Of a state that memory was reserved for.
  const Sides& sides(size_t state) const { return states_[state]; }
  /// Which side the next run reads, of all states.
  size_t side() const { return side_; }
  void flip() { side_ ^= 1; }
  /// Changes when buffers become others.
  uint64_t version() const { return version_; }

 private:
  std::vector<Sides> states_;
  size_t side_ = 0;
  uint64_t version_ = 0;
};

}  // namespace leat
