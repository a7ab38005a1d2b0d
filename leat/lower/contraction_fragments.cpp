// The contraction by matrix units whose operands come from where they lie: packed weights from
// memory, in words of as many k as fit, and the rows of A through local memory, where each row of a
// fragment is one vector that the wave copies, or zeros where it is padding. Rows that follow each
// other evenly in memory are read there.
//
// What is copied is multiplied a step later, as a unit that reads local memory by itself waits
// until it is written. The sums come back to lanes through local memory, and the epilogue is that
// of a plain tile with as many rows.
#include <optional>

#include "leat/lower/lower_contraction.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

constexpr uint32_t kStages = 2;

class FragmentTile {
 public:
  FragmentTile(ContractionLowering& lowering, uint32_t local)
      : l_(lowering),
        builder_(lowering.builder),
        local_(local),
        unit_(lowering.params.lane_n),
        storage_(builder_.program().parameters[lowering.a.slot].storage),
        word_(static_cast<uint32_t>(ir::rows_in_word(size_bytes_of(storage_)))) {}

  enum class Rows { in_place, copied, copied_where_inside };

  std::vector<ValueId> run(const std::vector<RowBase>& rows, Rows how) {
    rows_ = &rows;
    how_ = how;
    k_coordinates_.assign(l_.numbers.k.size(), ir::kNone);
    const ValueId zero = builder_.fragment_fill(fragment_of(ir::Role::sum), builder_.f32(0));
    std::vector<ValueId> sums = {zero};
    while (sums.size() < size_t{row_fragments()} * l_.params.reg_n) {
      sums.push_back(builder_.fragment_fill(fragment_of(ir::Role::sum), builder_.f32(0)));
    }
    return nest(0, std::move(sums));
  }

  ir::Fragment fragment_of(ir::Role role) const {
    const auto rows = static_cast<uint16_t>(unit_);
    return {.role = role,
            .element = role == ir::Role::sum ? DType::f32 : storage_,
            .m = rows,
            .n = rows,
            .k = static_cast<uint16_t>(l_.params.k_dot)};
  }
  uint32_t row_fragments() const { return l_.params.reg_m / unit_; }

  /// From a row of A to the next, where that is the same for all of them and none has bounds.
  std::optional<Number> row_step() const {
    if (!l_.a.bounds.empty()) return std::nullopt;
    std::optional<Number> step;
    Number reach = 0;
    for (size_t axis = l_.numbers.m.size(); axis > 0; --axis) {
      const Number& extent = l_.numbers.m[axis - 1];
      const Number& coefficient = l_.a.address.coefficients[l_.m_first + axis - 1];
      if (extent == 1) continue;
      if (step && coefficient != reach) return std::nullopt;
      if (!step) step = coefficient;
      reach = coefficient * extent;
    }
    return step;
  }

 private:
  std::vector<ValueId> nest(size_t axis, std::vector<ValueId> sums) {
    const Numbers& extents = l_.numbers.k;
    if (axis + 1 < extents.size()) {
      return builder_.repeat(builder_.i32(extents[axis]), sums, false,
                             [&](ValueId counter, std::span<const ValueId> carried) {
                               k_coordinates_[axis] = counter;
                               return nest(axis + 1, {carried.begin(), carried.end()});
                             });
    }
    masks_.assign(rows_->size(), ir::kNone);
    k_coordinates_[axis] = builder_.i32(0);
    for (size_t i = 0; how_ == Rows::copied_where_inside && i < rows_->size(); ++i) {
      masks_[i] = l_.inside(l_.a, (*rows_)[i], k_coordinates_);
    }
    return how_ == Rows::in_place ? read_in_place(std::move(sums)) : read_copies(std::move(sums));
  }

  std::vector<ValueId> read_in_place(std::vector<ValueId> sums) {
    return builder_.repeat(builder_.i32(l_.numbers.k.back()), sums, false,
                           [&](ValueId group, std::span<const ValueId> carried) {
                             return multiply(group, {carried.begin(), carried.end()});
                           });
  }

  std::vector<ValueId> read_copies(std::vector<ValueId> sums) {
    copy(builder_.i32(0));
    const Number last = l_.numbers.k.back() - 1;
    sums = builder_.repeat(builder_.i32(last), sums, false,
                           [&](ValueId group, std::span<const ValueId> carried) {
                             copy(builder_.add(group, builder_.i32(1)));
                             return multiply(group, {carried.begin(), carried.end()});
                           });
    return multiply(builder_.i32(last), std::move(sums));
  }

  uint32_t stage_elements() const { return l_.params.reg_m * l_.params.k_dot; }
  ValueId stage_of(ValueId group) {
    const ValueId elements = builder_.i32(stage_elements());
    return builder_.mul(builder_.binary(Opcode::and_i, group, builder_.i32(kStages - 1)), elements);
  }

  /// One word a lane.
  void copy(ValueId group) {
    builder_.barrier();  // what was there before has been read
    k_coordinates_.back() = group;
    const ValueId stage = stage_of(group);
    const ValueId word_elements = builder_.i32(word_);
    const ValueId word = builder_.mul(builder_.lane_id(), word_elements);
    for (uint32_t i = 0; i < rows_->size(); ++i) {
      const LinearForm from = l_.element_address(l_.a, (*rows_)[i], k_coordinates_);
      const ValueId row = builder_.add(stage, builder_.i32(int64_t{i} * l_.params.k_dot));
      const ValueId source = builder_.add(build(builder_, from), word);
      builder_.copy_async(local_, builder_.add(row, word), l_.a.slot, source,
                          static_cast<int>(word_), masks_[i]);
    }
    builder_.copy_commit();
    builder_.copy_wait(0);
    builder_.barrier();
  }

  ValueId load_a(uint32_t i, ValueId group) {
    if (how_ != Rows::in_place) {
      const ValueId above = builder_.i32(int64_t{i} * unit_ * l_.params.k_dot);
      const ValueId first = builder_.add(stage_of(group), above);
      return builder_.fragment_load(fragment_of(ir::Role::a),
                                    {.slot = local_,
                                     .index = first,
                                     .stride = builder_.i32(l_.params.k_dot),
                                     .is_local = true});
    }
    const LinearForm first = l_.element_address(l_.a, (*rows_)[size_t{i} * unit_], k_coordinates_);
    return builder_.fragment_load(
        fragment_of(ir::Role::a),
        {.slot = l_.a.slot, .index = build(builder_, first), .stride = builder_.i32(*row_step())});
  }

  ValueId load_b(uint32_t j) {
    const int64_t row = int64_t{l_.params.tile_n()} * word_;
    LinearForm first = l_.panel_base();
    first.constant += int64_t{j} * unit_ * word_;
    Number stride = int64_t{l_.params.tile_n()} * l_.params.k_dot;
    for (size_t axis = l_.numbers.k.size(); axis > 0; --axis) {
      first.add(stride, k_coordinates_[axis - 1]);
      stride *= l_.numbers.k[axis - 1];
    }
    return builder_.fragment_load(fragment_of(ir::Role::b), {.slot = l_.b.slot,
                                                             .index = build(builder_, first),
                                                             .stride = builder_.i32(row),
                                                             .in_words = true});
  }

  std::vector<ValueId> multiply(ValueId group, std::vector<ValueId> sums) {
    k_coordinates_.back() = group;
    std::vector<ValueId> rows, columns;
    for (uint32_t i = 0; i < row_fragments(); ++i) rows.push_back(load_a(i, group));
    for (uint32_t j = 0; j < l_.params.reg_n; ++j) columns.push_back(load_b(j));
    for (uint32_t i = 0; i < row_fragments(); ++i) {
      for (uint32_t j = 0; j < l_.params.reg_n; ++j) {
        ValueId& sum = sums[size_t{i} * l_.params.reg_n + j];
        sum = builder_.mma(rows[i], columns[j], sum);
      }
    }
    return sums;
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  uint32_t local_;  // the stages of A's rows
  uint32_t unit_;   // rows and columns of a fragment
  DType storage_;
  uint32_t word_;  // k of a word
  const std::vector<RowBase>* rows_ = nullptr;
  Rows how_ = Rows::copied;
  std::vector<ValueId> masks_;
  std::vector<ValueId> k_coordinates_;
};

}  // namespace

void ContractionLowering::emit_fragment_tile() {
  const DType storage = builder.program().parameters[a.slot].storage;
  const uint32_t rows_local =
      builder.local("rows", storage, 1, kStages * params.reg_m * params.k_dot);
  const uint32_t sums_local =
      builder.local("sums", DType::f32, 1, params.tile_m() * params.tile_n());
  FragmentTile tile(*this, rows_local);
  const std::vector<RowBase> rows = rows_of_tile();
  using enum FragmentTile::Rows;
  const auto keep = [&](FragmentTile::Rows how) {
    const std::vector<ValueId> sums = tile.run(rows, how);
    const ValueId stride = builder.i32(params.tile_n());
    for (size_t s = 0; s < sums.size(); ++s) {
      const int64_t row = static_cast<int64_t>(s) / params.reg_n * params.lane_n;
      const int64_t column = static_cast<int64_t>(s) % params.reg_n * params.lane_n;
      builder.fragment_store({.slot = sums_local,
                              .index = builder.i32(row * params.tile_n() + column),
                              .stride = stride,
                              .is_local = true},
                             sums[s]);
    }
  };
  if (!a.bounds.empty()) {
    builder.branch(
        all_inside(rows), [&] { keep(copied); }, [&] { keep(copied_where_inside); });
  } else if (!tile.row_step()) {
    keep(copied);
  } else if (m_tail()) {  // the last tile repeats its last row
    const ValueId is_whole =
        builder.binary(Opcode::lt_i, m_tile, builder.i32(m_count / params.tile_m()));
    builder.branch(
        is_whole, [&] { keep(in_place); }, [&] { keep(copied); });
  } else {
    keep(in_place);
  }
  builder.barrier();
  if (takes_rows_in_turn()) {
    kept_sums = sums_local;
    return store_kept_sums();
  }
  for (uint32_t i = 0; i < params.reg_m; ++i) {
    std::vector<ValueId> row;
    for (uint32_t j = 0; j < params.reg_n; ++j) {
      const int64_t place = int64_t{i} * params.tile_n() + int64_t{j} * params.lane_n;
      const ValueId begun = builder.i32(place);
      row.push_back(builder.load_local(sums_local, builder.add(builder.lane_id(), begun)));
    }
    store_row(i, row);
  }
}

}  // namespace leat
