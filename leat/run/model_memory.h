// What the networks of one model on a device share of its memory. Made ready for several shapes of
// its inputs, a model has most weights in the same order in all of them: they are packed, written
// and kept once. (On a GPU weights that are multiplied by one row have another order than those by
// many, and a model that is run with both has them twice.) And since one of the networks runs at a
// time, all have one arena of activations.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "leat/device/device.h"
#include "leat/lower/lower.h"
#include "leat/schedule/plan.h"

namespace leat {

class ModelMemory {
 public:
  /// Bytes that stay as long as somebody holds their place.
  struct Place {
    std::shared_ptr<const Buffer> arena;
    size_t offset = 0;
  };
  /// A constant as a network wants it.
  struct Wish {
    std::shared_ptr<const HostTensor> constant;
    Placement placement;               // storage, strides, size; where it lies is not asked
    std::optional<PackedOrder> order;  // of a packed one
  };
  struct Placed {
    std::vector<Place> places;  // one for each wish
    size_t written_bytes = 0;
    size_t used_bytes = 0;  // by all of them
  };

  /// Finds what is there and writes the rest. A constant is known by its object, not by its values.
  /// Errors: out_of_memory, and what a driver says.
  Result<Placed> place(Device& device, std::vector<Wish> wishes);

  /// At least so many bytes, of which nobody relies on what a run before left. Errors: those of
  /// Device::allocate.
  Result<std::shared_ptr<const Buffer>> arena(Device& device, size_t size_bytes);

 private:
  /// What is there for as long as its arena is.
  struct Kept {
    std::weak_ptr<const HostTensor> constant;
    DType storage = DType::f32;
    std::vector<int64_t> strides;
    DType words_of = DType::f32;
    std::optional<PackedOrder> order;
    std::weak_ptr<const Buffer> arena;
    size_t offset = 0;
  };
  std::optional<Place> find(const Wish& wish) const;

  std::unordered_multimap<const HostTensor*, Kept> kept_;
  std::weak_ptr<const Buffer> arena_;  // the largest
};

}  // namespace leat
