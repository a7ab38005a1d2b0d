// The contraction through local memory: all lanes of the workgroup load a slab of k_step rows of A
// and B with vector loads, store it, meet at a barrier, and multiply out of local memory.
//
// With two stages the next slab's loads are in flight while the present one is multiplied, and one
// barrier per slab is enough: a stage is written while the other is read.
#include "leat/lower/slab_source.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

/// One operand's slabs in local memory, in vectors as they are fetched. A lane always stores whole
/// vectors: a store of one component chosen at run time cost a third of the speed on one GPU
/// driver. Where memory does not give a vector in one aligned load, it is gathered from scalar
/// loads.
class SlabLoader {
 public:
  SlabLoader(ContractionLowering& lowering, const OperandMap& map, bool is_a)
      : l_(lowering), builder_(lowering.builder), source_(lowering, map, is_a), is_a_(is_a) {
    const uint32_t rows_width = is_a ? lowering.params.vec_m : lowering.params.vec_n;
    width_ = source_.k_inner() ? widest_divisor(l_.params.k_step) : rows_width;
    local_ =
        builder_.local(is_a ? "a" : "b", l_.whole.type == ScalarType::i32 ? DType::i32 : DType::f32,
                       static_cast<uint8_t>(width_), l_.params.stages * stage_vectors());
  }

  /// Everything that does not move with k.
  void prepare() {
    source_.prepare(width_, width_ == 1 || source_.comes_in(width_));
    for (const SlabSource::Access& access : source_.accesses()) {
      if (!is_turned()) {
        places_.push_back(access.place);
        continue;
      }
      const ValueId vector = builder_.div(access.inner, width_);
      places_.push_back(place_in_row(turned_row(access.outer), vector));
    }
    const uint32_t registers = is_a_ ? l_.params.reg_m : l_.params.reg_n;
    const uint32_t step = source_.k_inner() ? 1 : width_;
    for (uint32_t i = 0; i < registers; i += step) {
      const ValueId row = is_a_ ? l_.row_in_tile(i) : l_.column_in_tile(i);
      if (is_turned()) {
        fragment_rows_.push_back(turned_row(row));
      } else {
        fragment_rows_.push_back(source_.k_inner() ? builder_.mul(row, builder_.i32(row_vectors()))
                                                   : builder_.div(row, width_));
      }
    }
  }

  /// Loads this lane's share of slab `slab` (uniform).
  std::vector<ValueId> load(ValueId slab) {
    std::vector<ValueId> values;
    const ValueId k_first = builder_.mul(slab, builder_.i32(l_.params.k_step));
    for (const SlabSource::Access& access : source_.accesses()) {
      values.push_back(source_.load(access, k_first));
    }
    return values;
  }

  void store(std::span<const ValueId> values, ValueId stage) {
    const ValueId first = builder_.mul(stage, builder_.i32(stage_vectors()));
    for (size_t s = 0; s < values.size(); ++s) {
      builder_.store_local(local_, builder_.add(first, places_[s]), values[s]);
    }
  }

  /// This lane's register rows at k row `kk`, as scalars. A k-inner vector serves several kk in
  /// turn.
  std::vector<ValueId> fragment(ValueId stage, uint32_t kk) {
    const ValueId first = builder_.mul(stage, builder_.i32(stage_vectors()));
    const bool k_inner = source_.k_inner();
    const bool fresh = !k_inner || kk % width_ == 0;
    if (fresh) {
      vectors_.clear();
      const int64_t offset = k_inner ? kk / width_ : int64_t{kk} * source_.tile_rows() / width_;
      for (ValueId row : fragment_rows_) {
        const ValueId vector = builder_.i32(offset);
        const ValueId place = is_turned() ? builder_.add(first, place_in_row(row, vector))
                                          : builder_.add(builder_.add(first, row), vector);
        vectors_.push_back(builder_.load_local(local_, place, static_cast<uint8_t>(width_)));
      }
    }
    std::vector<ValueId> scalars;
    for (ValueId vector : vectors_) {
      if (width_ == 1) {
        scalars.push_back(vector);
      } else if (k_inner) {
        scalars.push_back(builder_.extract(vector, static_cast<int>(kk % width_)));
      } else {
        for (uint32_t v = 0; v < width_; ++v) {
          scalars.push_back(builder_.extract(vector, static_cast<int>(v)));
        }
      }
    }
    return scalars;
  }

 private:
  static uint32_t widest_divisor(uint32_t value) {
    return value % 4 == 0 ? 4 : value % 2 == 0 ? 2 : 1;
  }
  int64_t row_vectors() const { return l_.params.k_step / width_; }

  /// Columns of B that are fetched in vectors along k. Lanes read the same k of columns that are
  /// vec_n apart, vectors of 16 bytes of which eight reach all banks: so the columns that lanes
  /// read at once stand side by side, and the vectors of each in an order of its own. Of 8 lanes
  /// all had one bank without it; of those that store, which are fewer, some still share one.
  bool is_turned() const {
    const bool is_power = (row_vectors() & (row_vectors() - 1)) == 0;
    return !is_a_ && source_.k_inner() && width_ == kBankVector && is_power &&
           row_vectors() <= kVectorsOfBanks && source_.tile_rows() % l_.params.vec_n == 0;
  }
  /// The number of a column in local memory.
  ValueId turned_row(ValueId column) {
    const uint32_t vec_n = l_.params.vec_n;
    const ValueId apart = builder_.i32(source_.tile_rows() / vec_n);
    const ValueId first = builder_.mul(builder_.rem(column, vec_n), apart);
    return builder_.add(first, builder_.div(column, vec_n));
  }
  ValueId place_in_row(ValueId row, ValueId vector) {
    const ValueId turn =
        builder_.rem(builder_.div(row, kVectorsOfBanks / row_vectors()), row_vectors());
    const ValueId in_row = builder_.binary(Opcode::xor_i, vector, turn);
    return builder_.add(builder_.mul(row, builder_.i32(row_vectors())), in_row);
  }

  static constexpr uint32_t kBankVector = 4;     // elements of 32 bits
  static constexpr int64_t kVectorsOfBanks = 8;  // 32 banks of 32 bits

  uint32_t stage_vectors() const { return source_.tile_rows() * l_.params.k_step / width_; }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  SlabSource source_;
  bool is_a_;
  uint32_t width_ = 1;
  uint32_t local_ = 0;
  std::vector<ValueId> places_;         // of each access in a stage
  std::vector<ValueId> fragment_rows_;  // of each register row: its first vector; turned its number
  std::vector<ValueId> vectors_;        // last loaded fragment
};

std::vector<ValueId> multiply(ContractionLowering& l, SlabLoader& a, SlabLoader& b, ValueId stage,
                              std::vector<ValueId> accumulators) {
  for (uint32_t kk = 0; kk < l.params.k_step; ++kk) {
    const std::vector<ValueId> rows = a.fragment(stage, kk);
    const std::vector<ValueId> columns = b.fragment(stage, kk);
    for (uint32_t i = 0; i < l.params.reg_m; ++i) {
      for (uint32_t j = 0; j < l.params.reg_n; ++j) {
        ValueId& accumulator = accumulators[size_t{i} * l.params.reg_n + j];
        accumulator = l.multiply_add(rows[i], columns[j], accumulator);
      }
    }
  }
  return accumulators;
}

}  // namespace

void ContractionLowering::emit_staged_tile() {
  CHECK(params.stages == 1 || params.stages == 2);
  prefetch_weights(*this);
  SlabLoader slab_a(*this, a, true);
  SlabLoader slab_b(*this, b, false);
  slab_a.prepare();
  slab_b.prepare();
  const Number slabs = divided_up(k_count, params.k_step);
  std::vector<ValueId> zeros(size_t{params.reg_m} * params.reg_n, zero());

  auto load_and_store = [&](ValueId slab, ValueId stage) {
    const std::vector<ValueId> from_a = slab_a.load(slab);
    const std::vector<ValueId> from_b = slab_b.load(slab);
    slab_a.store(from_a, stage);
    slab_b.store(from_b, stage);
    builder.barrier();
  };
  auto one_stage = [&](ValueId slab, std::span<const ValueId> carried) {
    load_and_store(slab, builder.i32(0));
    std::vector<ValueId> next =
        multiply(*this, slab_a, slab_b, builder.i32(0), {carried.begin(), carried.end()});
    builder.barrier();
    return next;
  };
  auto two_stages = [&](ValueId slab, std::span<const ValueId> carried) {
    const ValueId stage = builder.binary(Opcode::and_i, slab, builder.i32(1));
    const ValueId last = builder.i32(slabs - 1);
    const ValueId following =
        builder.binary(Opcode::min_i, builder.add(slab, builder.i32(1)), last);
    const std::vector<ValueId> from_a = slab_a.load(following);
    const std::vector<ValueId> from_b = slab_b.load(following);
    std::vector<ValueId> next =
        multiply(*this, slab_a, slab_b, stage, {carried.begin(), carried.end()});
    const ValueId other = builder.sub(builder.i32(1), stage);
    slab_a.store(from_a, other);
    slab_b.store(from_b, other);
    builder.barrier();
    return next;
  };
  if (params.stages == 2) {
    const ValueId none = builder.i32(0);
    load_and_store(none, none);
    end_tile(builder.repeat(builder.i32(slabs), zeros, true, two_stages));
  } else {
    end_tile(builder.repeat(builder.i32(slabs), zeros, true, one_stage));
  }
}

}  // namespace leat
