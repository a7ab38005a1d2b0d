// Which parts of a block of memory are free: routes take large blocks from the driver and divide
// them. Sizes are the caller's to round, so that what is taken is aligned as the block is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace leat {

class HoleList {
 public:
  HoleList() = default;
  /// A block that is free as a whole.
  explicit HoleList(uint64_t size_bytes) : size_bytes_(size_bytes), holes_({{0, size_bytes}}) {}

  /// The offset of `size_bytes` of the block, from the first hole that has them.
  std::optional<uint64_t> take(uint64_t size_bytes) {
    const auto hole =
        std::ranges::find_if(holes_, [&](const Hole& h) { return h.size_bytes >= size_bytes; });
    if (hole == holes_.end()) return std::nullopt;
    const uint64_t offset_bytes = hole->offset_bytes;
    hole->offset_bytes += size_bytes;
    hole->size_bytes -= size_bytes;
    if (hole->size_bytes == 0) holes_.erase(hole);
    return offset_bytes;
  }

  /// Gives back what take() gave, and joins it with its neighbours.
  void give_back(uint64_t offset_bytes, uint64_t size_bytes) {
    const auto next =
        std::ranges::find_if(holes_, [&](const Hole& h) { return h.offset_bytes > offset_bytes; });
    const auto hole = holes_.insert(next, {offset_bytes, size_bytes});
    join_next(hole);
    if (hole != holes_.begin()) join_next(std::prev(hole));
  }

  /// Whether nothing is taken.
  bool is_whole() const { return holes_.size() == 1 && holes_[0].size_bytes == size_bytes_; }

 private:
  struct Hole {
    uint64_t offset_bytes = 0;
    uint64_t size_bytes = 0;
  };

  void join_next(std::vector<Hole>::iterator left) {
    const auto right = std::next(left);
    if (right == holes_.end() || left->offset_bytes + left->size_bytes != right->offset_bytes) {
      return;
    }
    left->size_bytes += right->size_bytes;
    holes_.erase(right);
  }

  uint64_t size_bytes_ = 0;
  std::vector<Hole> holes_;  // by offset
};

}  // namespace leat
