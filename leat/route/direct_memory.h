// Memory of a direct route: ranges are divided from large blocks that the driver gives and maps
// once. Freed ranges return to their block; an empty block larger than the usual size goes back to
// the driver. What a block is to the driver, and how it is filled and given back, is the route's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "leat/base/numbers.h"
#include "leat/base/result.h"
#include "leat/route/hole_list.h"

namespace leat {

/// A range of a block. Plain: who allocates frees.
struct DirectRange {
  uint64_t address = 0;       // for the GPU
  std::byte* host = nullptr;  // null: not seen
  uint64_t size_bytes = 0;
  uint32_t block = 0;
  explicit operator bool() const { return size_bytes != 0; }
};

/// `Place` is the route's enum of places, `Driver` what its driver calls the block.
template <typename Place, typename Driver>
struct DirectBlock {
  using Places = Place;

  Place place = {};
  uint64_t address = 0;
  std::byte* host = nullptr;  // null: not seen. Before fill(): imported pages, or null
  uint64_t size_bytes = 0;    // 0: given back
  bool is_divided = false;    // false: one range, which is given back with it
  HoleList holes;
  Driver driver = {};
};

/// Sizes of a route's ranges and blocks.
struct DirectSizes {
  std::span<const uint64_t> block_bytes;  // by place; larger requests get a block of their own
  uint64_t alignment = 0;                 // of ranges
  uint64_t bytes_max = 0;                 // of one range
};

/// Errors: out_of_memory, naming size or count and limit.
Error range_too_large(uint64_t size_bytes, uint64_t bytes_max);
Error blocks_are_used_up(uint32_t count);

/// `Memory` is the route's: fill(block) asks the driver for what `block` says and returns a
/// Result<void>; give_back(block) takes back as much as there is of it, and empties it.
template <typename Block, typename Memory>
class DirectBlocks {
 public:
  /// `memory` outlives the list, and calls give_back_all() at its end.
  DirectBlocks(Memory& memory, const DirectSizes& sizes) : memory_(memory), sizes_(sizes) {}

  /// size_bytes > 0. Errors: out_of_memory; those of fill().
  Result<DirectRange> allocate(uint64_t size_bytes, typename Block::Places place) {
    CHECK(size_bytes > 0);
    if (size_bytes > sizes_.bytes_max) return range_too_large(size_bytes, sizes_.bytes_max);
    size_bytes = round_up(size_bytes, sizes_.alignment);
    for (uint32_t i = 0; i < blocks_.size(); ++i) {
      if (!blocks_[i].is_divided || blocks_[i].place != place) continue;
      const std::optional<uint64_t> offset_bytes = blocks_[i].holes.take(size_bytes);
      if (offset_bytes) return range_of(i, *offset_bytes, size_bytes);
    }
    Block block;
    block.place = place;
    block.is_divided = true;
    block.size_bytes = round_up(std::max(size_bytes, usual_bytes(place)), kHugePage);
    block.holes = HoleList(block.size_bytes);
    TRY_ASSIGN(const uint32_t index, add(std::move(block)));
    return range_of(index, *blocks_[index].holes.take(size_bytes), size_bytes);
  }
  /// A block that is one range. Errors: as allocate.
  Result<DirectRange> add_whole(Block block) {
    const uint64_t size_bytes = block.size_bytes;
    TRY_ASSIGN(const uint32_t index, add(std::move(block)));
    return range_of(index, 0, size_bytes);
  }
  /// What is empty is ignored.
  void free(const DirectRange& range) {
    if (!range) return;
    Block& block = blocks_[range.block];
    if (!block.is_divided) return memory_.give_back(block);
    block.holes.give_back(range.address - block.address, range.size_bytes);
    const bool is_large = block.size_bytes > usual_bytes(block.place);
    if (is_large && block.holes.is_whole()) memory_.give_back(block);
  }
  void give_back_all() {
    for (Block& block : blocks_) {
      if (block.size_bytes != 0) memory_.give_back(block);
    }
  }

  Block& of(const DirectRange& range) { return blocks_[range.block]; }
  const Block& of(const DirectRange& range) const { return blocks_[range.block]; }
  /// The block that has [address, address + size_bytes); or null. For the check of packets.
  const Block* find(uint64_t address, uint64_t size_bytes) const {
    const auto block = std::ranges::find_if(blocks_, [&](const Block& b) {
      return size_bytes <= b.size_bytes && address >= b.address &&
             address - b.address <= b.size_bytes - size_bytes;
    });
    return block == blocks_.end() ? nullptr : &*block;
  }

 private:
  static constexpr uint64_t kHugePage = uint64_t{2} << 20;  // that GPUs map by
  static constexpr uint32_t kBlocksMax = 4096;

  Result<uint32_t> add(Block block) {
    const auto given_back = std::ranges::find(blocks_, 0u, &Block::size_bytes);
    const auto index = static_cast<uint32_t>(given_back - blocks_.begin());
    if (index >= kBlocksMax) return blocks_are_used_up(kBlocksMax);
    const Result<void> filled = memory_.fill(block);
    if (!filled) memory_.give_back(block);
    TRY(filled);
    if (index == blocks_.size()) blocks_.emplace_back();
    blocks_[index] = std::move(block);
    return index;
  }
  DirectRange range_of(uint32_t index, uint64_t offset_bytes, uint64_t size_bytes) const {
    const Block& block = blocks_[index];
    std::byte* host = block.host == nullptr ? nullptr : block.host + offset_bytes;
    return {block.address + offset_bytes, host, size_bytes, index};
  }
  uint64_t usual_bytes(typename Block::Places place) const {
    return sizes_.block_bytes[static_cast<size_t>(place)];
  }

  Memory& memory_;
  DirectSizes sizes_;
  std::vector<Block> blocks_;
};

}  // namespace leat
