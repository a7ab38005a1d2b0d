// What the parts of the lowering of a product of matrices share: the loop axes with their sizes,
// the two operands as addresses and bounds, and the tile of the workgroup. lower_contraction.cpp
// has the plain form (operands straight from global memory, the CPU's microkernel);
// contraction_staged.cpp passes tiles through local memory, contraction_units.cpp on to matrix
// units, contraction_fragments.cpp has units whose operands come from where they lie;
// contraction_store.cpp is the epilogue of all. Where k_dot k are multiplied at once, numbers.k
// counts groups of them.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "leat/base/target.h"
#include "leat/lower/address.h"
#include "leat/lower/expr_lowering.h"
#include "leat/schedule/byte_product.h"

namespace leat {

/// One factor: its element address and bounds as affine forms over (batch, m, n, k) axes.
struct OperandMap {
  uint32_t slot = 0;
  NumberForm address;
  struct Bound {
    NumberForm coordinate;
    Number extent;
  };
  std::vector<Bound> bounds;
  bool packed = false;    // b only: pack_b's order, no bounds, no column tail
  bool in_words = false;  // a only: a dot product's k are one word of the parameter
  // Where the factor is more than the load: the expressions of the node (ContractionOperand).
  bool is_plain = true;
  ExprId load = kNoExpr, value = kNoExpr, inside = kNoExpr;
};

/// A row of A or a column of B that a lane works on: what its coordinates add to address and
/// bounds.
struct RowBase {
  LinearForm address;
  std::vector<LinearForm> coordinates;  // one per bound
  std::vector<ir::ValueId> axes;        // the node's, those of k left out; empty for a plain factor
};

struct ContractionLowering {
  /// `contraction` is the node's, or that of its parts of k.
  ContractionLowering(const StepSource& source, const Contraction& contraction);

  const Node& node;
  const NodeNumbers& node_numbers;
  Number k_inner = 1;                // the innermost k; of the next it is how many groups of k_dot
  const ContractionNumbers numbers;  // of `contraction`
  const Contraction& contraction;
  const Contraction whole;  // the node's
  const ContractionParams& params;
  const std::vector<NumberForm> out_index;  // the whole's
  const Target& target;
  KernelBuilder builder;
  KernelSlots slots;
  OperandMap a, b;
  const std::optional<ByteProduct> bytes;  // where params.by_bytes()
  Number batch_count, m_count, n_count, k_count;
  Number m_tiles, n_tiles;
  bool vector_rows;                  // several k of a row may be loaded at once
  int64_t grid_limit, batch_limit;   // workgroups along x and z
  size_t m_first, n_first, k_first;  // number of the first m, n, k axis

  // Set up in emit(): uniform values of this workgroup.
  std::vector<ir::ValueId> batch_coordinates;
  ir::ValueId batch = ir::kNone, m_tile = ir::kNone, n_tile = ir::kNone;
  ir::ValueId lane_m = ir::kNone, lane_n = ir::kNone, wave_m = ir::kNone, wave_n = ir::kNone;
  std::optional<uint32_t> kept_sums;  // local memory

  /// Row (column) number within the tile of register row i of this lane.
  ir::ValueId row_in_tile(uint32_t i);
  ir::ValueId column_in_tile(uint32_t j);
  /// Of an axis as the contraction numbers them.
  Number extent_of(size_t axis) const;
  bool m_tail() const { return has_rest(m_count, params.tile_m()); }
  bool n_tail() const { return has_rest(n_count, params.tile_n()); }

  /// Of a group of k, as `map` counts them.
  uint32_t group_elements() const { return params.by_fragments() ? params.k_dot : 1; }
  /// The parameter of `map` as words, each of which holds a group of k.
  void read_words(OperandMap& map);
  /// Whether the k of each group of A are one word.
  bool comes_in_words(const NumberForm& address) const;
  /// Makes k of A's address count groups; of words its elements as well.
  void count_groups(NumberForm& address);
  /// Of B's tile, packed.
  LinearForm panel_base();
  /// Of A's tile.
  std::vector<RowBase> rows_of_tile();
  /// Uniform b1: no k of any row leaves A's bounds.
  ir::ValueId all_inside(const std::vector<RowBase>& rows);

  /// Base of a row of A: `row` is m's flat index, already below m_count.
  RowBase row_base(const OperandMap& map, ir::ValueId row, size_t first_axis,
                   const Numbers& extents);
  /// Adds k coordinates to a row and gives the element's address.
  LinearForm element_address(const OperandMap& map, const RowBase& row,
                             std::span<const ir::ValueId> k_coordinates);
  /// What the bytes of a row (column) are less, in the kind of sign that the product takes.
  ir::ValueId byte_shift(const ByteProduct::Factor& factor, const RowBase& row, int64_t offset);
  /// The factor, of what was loaded under `mask`; 0 where that is false.
  ir::ValueId factor(const OperandMap& map, const RowBase& row, ir::ValueId loaded,
                     ir::ValueId mask);
  /// The same of the components of a vector, each of the row in `rows` or all of the only one.
  ir::ValueId factors(const OperandMap& map, std::span<const RowBase> rows, ir::ValueId loaded,
                      ir::ValueId mask);
  /// The node's axes of row (column) `coordinates` of m (n).
  std::vector<ir::ValueId> axes_of_row(size_t first_axis, std::span<const ir::ValueId> coordinates);
  std::vector<ir::ValueId> packed_column_axes(ir::ValueId column_in_tile);
  /// True where all bounds hold; kNone when the operand has none.
  ir::ValueId inside(const OperandMap& map, const RowBase& row,
                     std::span<const ir::ValueId> k_coordinates);

  /// Of the type of the sums.
  ir::ValueId zero();
  ir::ValueId multiply_add(ir::ValueId a_value, ir::ValueId b_value, ir::ValueId sum);

  StepProgram emit();
  void set_lane_grid();
  void emit_tile();
  void emit_plain_tile();
  void emit_staged_tile();
  void emit_fragment_tile();
  void emit_units_tile();
  /// What becomes of `accumulators[i * reg_n + j]`: stored, or of a part of k left for the last
  /// workgroup of the tile, which adds the parts in order and stores the sum.
  void end_tile(std::span<const ir::ValueId> accumulators);
  void join_parts(std::span<const ir::ValueId> accumulators);
  /// The epilogue.
  void store_tile(std::span<const ir::ValueId> accumulators);
  /// Whether the epilogue is a loop over the rows of the tile, with sums from local memory.
  bool takes_rows_in_turn() const;
  void keep_sums(std::span<const ir::ValueId> accumulators);
  void store_kept_sums();
  void store_row(uint32_t i, std::span<const ir::ValueId> accumulators);

  struct OutputRow {
    ir::ValueId mask = ir::kNone;  // whether there is such a row
    std::vector<ir::ValueId> coordinates;
  };
  OutputRow output_row(ir::ValueId row_in_tile);
  /// True when groups of so many columns are one aligned vector of the output.
  bool columns_vectorise(int64_t width) const;
  /// Of sums of one row that stand side by side: `column_in_tile` of each.
  using ColumnInTile = std::function<ir::ValueId(uint32_t)>;
  struct OutputColumns {
    ir::ValueId mask = ir::kNone;  // whether there are such a row and such columns
    LinearForm address;            // of the first
    std::vector<ir::ValueId> values;
  };
  /// The epilogue; with no sums, where `count` values go.
  OutputColumns output_columns(const OutputRow& row, std::span<const ir::ValueId> sums,
                               uint32_t count, const ColumnInTile& column_in_tile);
  /// As vectors of vec_n where memory takes them.
  void store_columns(const OutputRow& row, std::span<const ir::ValueId> sums,
                     const ColumnInTile& column_in_tile);
  void store_columns(const OutputColumns& columns);
};

}  // namespace leat
