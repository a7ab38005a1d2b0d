// The contraction through local memory: all lanes of the workgroup load a slab of k_step rows of A
// and B with vector loads, store it, meet at a barrier, and multiply out of local memory.
//
// With two stages the next slab's loads are in flight while the present one is multiplied, and one
// barrier per slab is enough: a stage is written while the other is read. Rows past the end are
// read from the last row (their results are never stored); only bounds and the end of k need masks.
#include <algorithm>

#include "leat/lower/lower_contraction.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

/// The part of a slab that one operand contributes, and how lanes share its loading.
///
/// Local memory holds it in vectors, along k ("k inner", for operands whose k is contiguous in
/// memory) or along the rows (packed weights and all others). A lane always stores whole vectors: a
/// store of one component chosen at run time cost a third of the speed on one GPU driver. Where
/// memory does not give a vector in one aligned load, it is gathered from scalar loads.
class SlabLoader {
 public:
  SlabLoader(ContractionLowering& lowering, const OperandMap& map, bool is_a)
      : l_(lowering),
        builder_(lowering.builder),
        map_(map),
        is_a_(is_a),
        tile_rows_(is_a ? lowering.params.tile_m() : lowering.params.tile_n()),
        fragment_rows_width_(is_a ? lowering.params.vec_m : lowering.params.vec_n) {
    k_inner_ = choose_k_inner();
    width_ = k_inner_ ? widest_divisor(l_.params.k_step) : fragment_rows_width_;
    one_load_ = width_ == 1 || loads_as_vector();
    local_ =
        builder_.local(is_a ? "a" : "b", l_.whole.type == ScalarType::i32 ? DType::i32 : DType::f32,
                       static_cast<uint8_t>(width_), l_.params.stages * stage_vectors());
    access_count_ = (stage_vectors() + lanes() - 1) / lanes();
  }

  /// Everything that does not move with k.
  void prepare() {
    const ValueId thread =
        builder_.add(builder_.mul(builder_.wave_id(), builder_.i32(builder_.program().wave_lanes)),
                     builder_.lane_id());
    const uint32_t inner_vectors = (k_inner_ ? l_.params.k_step : tile_rows_) / width_;
    for (uint32_t s = 0; s < access_count_; ++s) {
      Access access;
      access.place = builder_.add(thread, builder_.i32(int64_t{s} * lanes()));
      if (stage_vectors() % lanes() != 0) {
        // Surplus lanes repeat the last access: the same value to the same place.
        access.place =
            builder_.binary(Opcode::min_i, access.place, builder_.i32(stage_vectors() - 1));
      }
      const ValueId inner =
          builder_.mul(builder_.rem(access.place, inner_vectors), builder_.i32(width_));
      const ValueId outer = builder_.div(access.place, inner_vectors);
      access.k = k_inner_ ? inner : outer;
      const ValueId row = k_inner_ ? outer : inner;
      access.bases.push_back(base_of(row));
      for (uint32_t v = 1; v < width_ && !k_inner_ && !(one_load_ && map_.is_plain); ++v) {
        access.bases.push_back(base_of(row, v));
      }
      accesses_.push_back(std::move(access));
    }
    const uint32_t registers = is_a_ ? l_.params.reg_m : l_.params.reg_n;
    const uint32_t step = k_inner_ ? 1 : width_;
    for (uint32_t i = 0; i < registers; i += step) {
      const ValueId row = is_a_ ? l_.row_in_tile(i) : l_.column_in_tile(i);
      const int64_t row_vectors = l_.params.k_step / width_;
      fragment_rows_.push_back(k_inner_ ? builder_.mul(row, builder_.i32(row_vectors))
                                        : builder_.div(row, width_));
    }
  }

  /// Loads this lane's share of slab `slab` (uniform).
  std::vector<ValueId> load(ValueId slab) {
    std::vector<ValueId> values;
    const ValueId k_first = builder_.mul(slab, builder_.i32(l_.params.k_step));
    for (const Access& access : accesses_) values.push_back(load_one(access, k_first));
    return values;
  }

  void store(std::span<const ValueId> values, ValueId stage) {
    const ValueId first = builder_.mul(stage, builder_.i32(stage_vectors()));
    for (size_t s = 0; s < values.size(); ++s) {
      builder_.store_local(local_, builder_.add(first, accesses_[s].place), values[s]);
    }
  }

  /// This lane's register rows at k row `kk`, as scalars. A k-inner vector serves several kk in
  /// turn.
  std::vector<ValueId> fragment(ValueId stage, uint32_t kk) {
    const ValueId first = builder_.mul(stage, builder_.i32(stage_vectors()));
    const bool fresh = !k_inner_ || kk % width_ == 0;
    if (fresh) {
      vectors_.clear();
      const int64_t offset = k_inner_ ? kk / width_ : int64_t{kk} * tile_rows_ / width_;
      for (ValueId row : fragment_rows_) {
        const ValueId index = builder_.add(builder_.add(first, row), builder_.i32(offset));
        vectors_.push_back(builder_.load_local(local_, index, static_cast<uint8_t>(width_)));
      }
    }
    std::vector<ValueId> scalars;
    for (ValueId vector : vectors_) {
      if (width_ == 1) {
        scalars.push_back(vector);
      } else if (k_inner_) {
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
  struct Access {
    ValueId place = ir::kNone;   // vector of the stage that it fills
    ValueId k = ir::kNone;       // first k within the slab
    std::vector<RowBase> bases;  // of the row, or of each component's row when gathered
  };

  static uint32_t widest_divisor(uint32_t value) {
    return value % 4 == 0 ? 4 : value % 2 == 0 ? 2 : 1;
  }
  uint32_t lanes() const {
    return builder_.program().wave_lanes * builder_.program().waves_per_workgroup;
  }
  uint32_t stage_vectors() const { return tile_rows_ * l_.params.k_step / width_; }
  Number inner_k_extent() const { return l_.numbers.k.empty() ? 1 : l_.numbers.k.back(); }
  size_t k_last() const { return l_.k_first + l_.numbers.k.size() - 1; }
  bool slab_in_one_run() const { return !has_rest(inner_k_extent(), l_.params.k_step); }

  bool choose_k_inner() const {
    if (map_.packed || l_.numbers.k.empty()) return false;
    return map_.address.coefficients[k_last()] == 1;
  }

  /// True when `width_` neighbours are always one aligned vector in memory.
  bool loads_as_vector() const {
    if (map_.packed) return l_.params.tile_n() % width_ == 0;
    const size_t moving = k_inner_ ? k_last() : row_axis();
    if (moving == SIZE_MAX || map_.address.coefficients[moving] != 1) return false;
    const Numbers& rows = is_a_ ? l_.numbers.m : l_.numbers.n;
    const Number run = k_inner_ ? inner_k_extent() : rows.back();
    if (run % width_ != 0 || map_.address.constant % width_ != 0) return false;
    for (size_t axis = 0; axis < map_.address.coefficients.size(); ++axis) {
      if (axis != moving && map_.address.coefficients[axis] % width_ != 0) return false;
    }
    for (const OperandMap::Bound& bound : map_.bounds) {
      if (bound.coordinate.coefficients[moving] != 0) return false;
    }
    return true;
  }

  size_t row_axis() const {
    const Shape& extents = is_a_ ? l_.contraction.m : l_.contraction.n;
    if (extents.empty()) return SIZE_MAX;
    return (is_a_ ? l_.m_first : l_.n_first) + extents.size() - 1;
  }

  /// Of the vector's component: a vector that would end behind the last row starts earlier.
  RowBase base_of(ValueId first_in_tile, uint32_t component = 0) {
    const bool whole_vector = !k_inner_ && one_load_;
    const ValueId row_in_tile = builder_.add(first_in_tile, builder_.i32(component));
    const ValueId tile = is_a_ ? l_.m_tile : l_.n_tile;
    if (map_.packed) {
      RowBase base;
      base.address.add(l_.n_tiles * l_.k_count * l_.params.tile_n(), l_.batch);
      base.address.add(l_.k_count * l_.params.tile_n(), tile);
      base.address.add(1, row_in_tile);
      if (!map_.is_plain) base.axes = l_.packed_column_axes(row_in_tile);
      return base;
    }
    const Number& count = is_a_ ? l_.m_count : l_.n_count;
    ValueId row = builder_.add(builder_.mul(tile, builder_.i32(tile_rows_)), row_in_tile);
    if (has_rest(count, tile_rows_)) {
      const Number last = whole_vector ? count - width_ + component : count - 1;
      row = builder_.binary(Opcode::min_i, row, builder_.i32(last));
    }
    return l_.row_base(map_, row, is_a_ ? l_.m_first : l_.n_first,
                       is_a_ ? l_.numbers.m : l_.numbers.n);
  }

  ValueId load_one(const Access& access, ValueId k_first) {
    if (one_load_) return load_at(access.bases, k_first, access.k, width_);
    std::vector<ValueId> components;
    for (uint32_t v = 0; v < width_; ++v) {
      const auto base = std::span(access.bases).subspan(k_inner_ ? 0 : v, 1);
      const ValueId k = k_inner_ ? builder_.add(access.k, builder_.i32(v)) : access.k;
      components.push_back(load_at(base, k_first, k, 1));
    }
    return builder_.vector(components);
  }

  /// What lies at the first of `rows`, from where on a vector goes along k or along the rows.
  ValueId load_at(std::span<const RowBase> rows, ValueId k_first, ValueId k_in_slab,
                  uint32_t width) {
    const RowBase& base = rows[0];
    const ValueId k = builder_.add(k_first, k_in_slab);
    ValueId mask = ir::kNone;
    if (has_rest(l_.k_count, l_.params.k_step)) {
      mask = builder_.binary(Opcode::lt_i, k, builder_.i32(l_.k_count));
    }
    LinearForm address;
    if (map_.packed) {
      address = base.address;
      address.add(l_.params.tile_n(), k);
    } else {
      std::vector<ValueId> coordinates;
      if (slab_in_one_run()) {
        coordinates = decompose(builder_, k_first, l_.numbers.k);
        if (!coordinates.empty()) coordinates.back() = builder_.add(coordinates.back(), k_in_slab);
      } else {
        coordinates = decompose(builder_, k, l_.numbers.k);
      }
      const ValueId inside = l_.inside(map_, base, coordinates);
      if (inside != ir::kNone) {
        mask = mask == ir::kNone ? inside : builder_.logical_and(mask, inside);
      }
      address = l_.element_address(map_, base, coordinates);
    }
    const ValueId loaded = builder_.load(map_.slot, builder_.div(build(builder_, address), width),
                                         static_cast<uint8_t>(width), mask);
    return l_.factors(map_, rows, loaded, mask);
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  const OperandMap& map_;
  bool is_a_;
  uint32_t tile_rows_;
  uint32_t fragment_rows_width_;
  bool k_inner_ = false;
  bool one_load_ = true;
  uint32_t width_ = 1;
  uint32_t local_ = 0;
  uint32_t access_count_ = 0;
  std::vector<Access> accesses_;
  std::vector<ValueId> fragment_rows_;  // vector index of each register row within a stage
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
    const ValueId following =
        builder.binary(Opcode::min_i, builder.add(slab, builder.i32(1)), builder.i32(slabs - 1));
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
  if (params.stages == 2) load_and_store(builder.i32(0), builder.i32(0));
  std::vector<ValueId> accumulators;
  if (params.stages == 2) {
    accumulators = builder.loop(builder.i32(0), builder.i32(slabs), 1, zeros, true, two_stages);
  } else {
    accumulators = builder.loop(builder.i32(0), builder.i32(slabs), 1, zeros, true, one_stage);
  }
  end_tile(accumulators);
}

}  // namespace leat
