// What one operand of a product contributes to a slab, k_step of k of a workgroup's tile, and how
// lanes share its fetching: each takes vectors along k ("k inner", for operands whose k is
// contiguous in memory) or along the rows (packed weights and all others). Who keeps slabs in local
// memory (contraction_staged.cpp, contraction_units.cpp) says how wide the vectors are and where
// they go.
#pragma once

#include "leat/lower/lower_contraction.h"

namespace leat {

class SlabSource {
 public:
  /// One vector that a lane fetches.
  struct Access {
    ir::ValueId place = ir::kNone;  // number of the vector in the slab
    ir::ValueId outer = ir::kNone;  // where it starts: row and k, or k and row, of the slab
    ir::ValueId inner = ir::kNone;
    ir::ValueId k = ir::kNone;   // first k within the slab
    std::vector<RowBase> bases;  // of the row, or of each component's row when gathered
  };

  SlabSource(ContractionLowering& lowering, const OperandMap& map, bool is_a);

  bool k_inner() const { return k_inner_; }
  uint32_t tile_rows() const { return tile_rows_; }
  uint32_t outer_count() const;
  uint32_t inner_count() const;
  /// True when so many neighbours are always one aligned vector in memory.
  bool comes_in(uint32_t width) const;

  /// Everything that does not move with k. Without `one_load` vectors are gathered.
  void prepare(uint32_t width, bool one_load);
  std::span<const Access> accesses() const { return accesses_; }

  /// The vector of an access in the slab that begins at k_first (uniform); what stands there is the
  /// factor.
  ir::ValueId load(const Access& access, ir::ValueId k_first);
  /// The same, of a plain factor that comes in one load, straight to element `place` of local
  /// memory.
  void copy(const Access& access, ir::ValueId k_first, uint32_t local, ir::ValueId place);

 private:
  struct Element {
    LinearForm address;
    ir::ValueId mask = ir::kNone;
  };

  Number inner_k_extent() const { return l_.numbers.k.empty() ? 1 : l_.numbers.k.back(); }
  size_t k_last() const { return l_.k_first + l_.numbers.k.size() - 1; }
  size_t row_axis() const;
  RowBase base_of(ir::ValueId first_in_tile, uint32_t component = 0);
  Element element_at(const RowBase& base, ir::ValueId k_first, ir::ValueId k_in_slab);
  ir::ValueId load_at(std::span<const RowBase> rows, ir::ValueId k_first, ir::ValueId k_in_slab,
                      uint32_t width);

  ContractionLowering& l_;
  KernelBuilder& builder_;
  const OperandMap& map_;
  bool is_a_;
  uint32_t tile_rows_;
  bool k_inner_;
  uint32_t width_ = 1;
  bool one_load_ = true;
  std::vector<Access> accesses_;
};

/// Fetches what the workgroup's columns read of packed weights into the cache, where the target has
/// an instruction for that: with few workgroups a slab's way from memory would not be hidden by
/// those that are on their way. Workgroups on the same columns share it.
void prefetch_weights(ContractionLowering& lowering);

}  // namespace leat
