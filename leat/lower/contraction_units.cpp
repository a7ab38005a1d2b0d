// The contraction by matrix units: slabs of both operands pass through local memory as they are
// stored, a wave multiplies reg_m x reg_n fragments out of it, and the sums come back to lanes
// through local memory once more, some fragments of a row at a time, since only the unit knows
// which lane has which.
//
// While a slab is multiplied the copies of the next stages - 1 are on their way; one barrier a slab
// is enough, as the stage that is written was read a round before. Rows in local memory are 16
// bytes longer than what they hold, so that eight rows of 16 bytes lie in different banks. Where
// several waves share a product, the unit reads local memory by itself, in panels of rows of 128
// bytes whose pieces of 16 bytes are swizzled; copies are then issued while it multiplies.
#include "leat/base/target_facts.h"
#include "leat/lower/slab_source.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

constexpr uint32_t kCopyBytes = 16;  // at most

/// One operand's stages in local memory, and its fragments.
class UnitSlab {
 public:
  UnitSlab(ContractionLowering& lowering, const OperandMap& map, bool is_a)
      : l_(lowering),
        builder_(lowering.builder),
        source_(lowering, map, is_a),
        is_a_(is_a),
        storage_(builder_.program().parameters[map.slot].storage) {
    const auto element_bytes = static_cast<uint32_t>(size_bytes_of(storage_));
    width_ = source_.inner_count() % 4 == 0 ? 4 : 1;
    const bool may_copy = map.is_plain && facts_of(lowering.target).has_async_copy;
    for (uint32_t bytes = kCopyBytes; may_copy && !copies_ && bytes >= 4; bytes /= 2) {
      const uint32_t chunk = bytes / element_bytes;
      copies_ = can_copy(chunk);
      if (copies_) width_ = chunk;
    }
    panel_ = l_.params.unit_waves > 1 ? kUnitPanelBytes / element_bytes : 0;
    stride_ = source_.inner_count() + (panel_ > 0 ? 0 : kUnitRowPadBytes / element_bytes);
    access_width_ = copies_ ? 4 : width_;  // as the results pass through it
    local_ = builder_.local(is_a ? "a" : "b", storage_, static_cast<uint8_t>(access_width_),
                            l_.params.stages * stage_elements() / access_width_);
  }

  void prepare() {
    source_.prepare(width_, copies_ || source_.comes_in(width_));
    for (const SlabSource::Access& access : source_.accesses()) {
      places_.push_back(panel_ > 0 ? in_panel(access) : in_row(access));
    }
    const uint32_t rows =
        is_a_ ? l_.params.reg_m * l_.params.unit_m : l_.params.reg_n * l_.params.unit_n;
    const ValueId wave = is_a_ ? l_.wave_m : l_.wave_n;
    first_row_ = builder_.mul(wave, builder_.i32(offset_of(rows, 0)));
  }

  bool copies() const { return copies_; }
  uint32_t local() const { return local_; }
  DType storage() const { return storage_; }
  uint32_t access_width() const { return access_width_; }
  uint32_t elements() const { return l_.params.stages * stage_elements(); }

  void copy(ValueId slab, ValueId stage) {
    const ValueId k_first = builder_.mul(slab, builder_.i32(l_.params.k_step));
    const ValueId first = builder_.mul(stage, builder_.i32(stage_elements()));
    for (size_t s = 0; s < places_.size(); ++s) {
      const auto copy = [&] {
        source_.copy(source_.accesses()[s], k_first, local_, builder_.add(first, places_[s]));
      };
      const int64_t begun = static_cast<int64_t>(s) * builder_.lanes();
      const int64_t left = int64_t{source_.outer_count()} * source_.inner_count() / width_ - begun;
      if (left >= builder_.lanes()) {
        copy();
        continue;
      }
      const ValueId waves = builder_.i32(left / builder_.program().wave_lanes);
      builder_.branch(builder_.binary(Opcode::lt_i, builder_.wave_id(), waves), copy);
    }
  }

  std::vector<ValueId> load(ValueId slab) {
    const ValueId k_first = builder_.mul(slab, builder_.i32(l_.params.k_step));
    std::vector<ValueId> values;
    for (const SlabSource::Access& access : source_.accesses()) {
      values.push_back(source_.load(access, k_first));
    }
    return values;
  }

  void store(std::span<const ValueId> values, ValueId stage) {
    const ValueId first = builder_.mul(stage, builder_.i32(stage_elements()));
    for (size_t s = 0; s < values.size(); ++s) {
      const ValueId place = builder_.add(first, places_[s]);
      builder_.store_local(local_, builder_.div(place, access_width_), values[s]);
    }
  }

  /// The wave's fragments at the kk-th product of a slab.
  std::vector<ValueId> fragments(ValueId stage, uint32_t kk) {
    const ContractionParams& p = l_.params;
    const ir::Fragment fragment = {.role = is_a_ ? ir::Role::a : ir::Role::b,
                                   .element = storage_,
                                   .tf32 = storage_ == DType::f32,
                                   .m = static_cast<uint16_t>(p.unit_m),
                                   .n = static_cast<uint16_t>(p.unit_n),
                                   .k = static_cast<uint16_t>(p.unit_k),
                                   .waves = static_cast<uint8_t>(p.unit_waves)};
    const uint32_t unit_rows = is_a_ ? p.unit_m : p.unit_n;
    const ValueId first =
        builder_.add(builder_.mul(stage, builder_.i32(stage_elements())), first_row_);
    std::vector<ValueId> found;
    for (uint32_t i = 0; i < (is_a_ ? p.reg_m : p.reg_n); ++i) {
      const int64_t offset = offset_of(int64_t{unit_rows} * i, int64_t{p.unit_k} * kk);
      found.push_back(builder_.fragment_load(
          fragment, {.slot = local_,
                     .index = builder_.add(first, builder_.i32(offset)),
                     .stride = builder_.i32(panel_ > 0 ? panel_elements() : stride_),
                     .by_columns = source_.k_inner() != is_a_,
                     .is_local = true,
                     .swizzled = panel_ > 0}));
    }
    return found;
  }

 private:
  /// None may be made twice: of the last ones whole waves have one, or none.
  bool can_copy(uint32_t chunk) const {
    const uint32_t elements = source_.outer_count() * source_.inner_count();
    return source_.inner_count() % chunk == 0 && elements / chunk % l_.target.wave_lanes == 0 &&
           source_.comes_in(chunk);
  }
  uint32_t stage_elements() const { return source_.outer_count() * stride_; }
  uint32_t panel_elements() const { return source_.outer_count() * panel_; }

  ValueId in_row(const SlabSource::Access& access) {
    return builder_.add(builder_.mul(access.outer, builder_.i32(stride_)), access.inner);
  }
  ValueId in_panel(const SlabSource::Access& access) {
    const ValueId panel = builder_.div(access.inner, panel_);
    const ValueId row = builder_.binary(Opcode::and_i, access.outer, builder_.i32(7));
    const ValueId piece = builder_.mul(row, builder_.i32(panel_ / 8));
    const ValueId in_row =
        builder_.binary(Opcode::xor_i, builder_.rem(access.inner, panel_), piece);
    LinearForm place;
    place.add(panel_elements(), panel);
    place.add(panel_, access.outer);
    place.add(1, in_row);
    return build(builder_, place);
  }
  /// Of a row and a k of a stage, multiples of the unit's.
  int64_t offset_of(int64_t row, int64_t k) const {
    const int64_t outer = source_.k_inner() ? row : k, inner = source_.k_inner() ? k : row;
    if (panel_ == 0) return outer * stride_ + inner;
    return inner / panel_ * panel_elements() + outer * panel_ + inner % panel_;
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  SlabSource source_;
  bool is_a_;
  DType storage_;
  bool copies_ = false;  // straight from memory to local memory
  uint32_t width_ = 1, access_width_ = 1;
  uint32_t stride_ = 0;  // of rows in local memory, elements
  uint32_t panel_ = 0;   // elements of a row of a panel; 0: rows are padded
  uint32_t local_ = 0;
  std::vector<ValueId> places_;    // of each access, elements
  ValueId first_row_ = ir::kNone;  // of the wave, elements
};

std::vector<ValueId> multiply(ContractionLowering& l, UnitSlab& a, UnitSlab& b, ValueId stage,
                              std::vector<ValueId> sums) {
  for (uint32_t kk = 0; kk < l.params.k_step / l.params.unit_k; ++kk) {
    const std::vector<ValueId> rows = a.fragments(stage, kk);
    const std::vector<ValueId> columns = b.fragments(stage, kk);
    for (uint32_t i = 0; i < l.params.reg_m; ++i) {
      for (uint32_t j = 0; j < l.params.reg_n; ++j) {
        ValueId& sum = sums[size_t{i} * l.params.reg_n + j];
        sum = l.builder.mma(rows[i], columns[j], sum);
      }
    }
  }
  return sums;
}

/// The rounds over the slabs, of operands that are copied or gathered.
class UnitRounds {
 public:
  UnitRounds(ContractionLowering& l, UnitSlab& a, UnitSlab& b)
      : l_(l),
        builder_(l.builder),
        slabs_{&a, &b},
        count_(divided_up(l.k_count, l.params.k_step)) {}

  std::vector<ValueId> run(std::vector<ValueId> sums) {
    for (int s = 0; s < ahead(); ++s) fill(builder_.i32(s));
    sums = builder_.repeat(builder_.i32(count_), sums, false,
                           [&](ValueId slab, std::span<const ValueId> carried) {
                             return round(slab, {carried.begin(), carried.end()});
                           });
    for (ValueId& sum : sums) sum = goes_on() ? builder_.mma_wait(sum, 0) : sum;
    builder_.copy_wait(0);
    return sums;
  }

 private:
  /// The unit multiplies by itself: while the next slab is fetched, and into the next round.
  bool goes_on() const { return l_.params.unit_waves > 1; }
  /// Slabs that are fetched before they are multiplied. A stage is written when its products are
  /// over, a round later where they go on.
  int ahead() const { return static_cast<int>(l_.params.stages) - (goes_on() ? 2 : 1); }
  ValueId stage_of(ValueId slab) { return builder_.rem(slab, l_.params.stages); }
  /// Slabs behind the last are the last once more, and are not read.
  ValueId existing(ValueId slab) {
    return builder_.binary(Opcode::min_i, slab, builder_.i32(count_ - 1));
  }

  void fill(ValueId slab) {
    for (UnitSlab* operand : slabs_) {
      const ValueId stage = stage_of(slab);
      if (operand->copies()) {
        operand->copy(existing(slab), stage);
      } else {
        operand->store(operand->load(existing(slab)), stage);
      }
    }
    builder_.copy_commit();
  }

  std::vector<ValueId> round(ValueId slab, std::vector<ValueId> sums) {
    builder_.copy_wait(ahead() - 1);
    builder_.barrier();
    const ValueId next = builder_.add(slab, builder_.i32(ahead()));
    if (!goes_on()) fetch(next);
    sums = multiply(l_, *slabs_[0], *slabs_[1], stage_of(slab), std::move(sums));
    if (goes_on()) {
      fetch(next);
      for (ValueId& sum : sums) sum = builder_.mma_wait(sum, 1);
    }
    for (size_t i = 0; i < 2; ++i) {
      if (!slabs_[i]->copies()) slabs_[i]->store(gathered_[i], stage_of(next));
    }
    return sums;
  }

  void fetch(ValueId slab) {
    builder_.branch(builder_.binary(Opcode::lt_i, slab, builder_.i32(count_)), [&] {
      for (UnitSlab* operand : slabs_) {
        if (operand->copies()) operand->copy(slab, stage_of(slab));
      }
    });
    builder_.copy_commit();
    for (size_t i = 0; i < 2; ++i) {
      if (!slabs_[i]->copies()) gathered_[i] = slabs_[i]->load(existing(slab));
    }
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  UnitSlab* slabs_[2];
  Number count_;
  std::vector<ValueId> gathered_[2];  // on their way to local memory
};

/// Stores what each lane has of the fragments, pairs of neighbours, where it is known which that
/// is. Results of 16 bits would go out in pieces of half a sector: they pass through `stages`, the
/// memory of an operand that is over, so that lanes have them side by side along a row.
class ElementStore {
 public:
  ElementStore(ContractionLowering& lowering, const UnitSlab& stages)
      : l_(lowering),
        builder_(lowering.builder),
        columns_(lowering.params.reg_n * lowering.params.unit_n),
        stride_(columns_ + kUnitPatchPad),
        local_(stages.local()),
        element_count_(
            int64_t{lowering.params.unit_m} * lowering.params.unit_n /
            (int64_t{lowering.builder.program().wave_lanes} * lowering.params.unit_waves)) {
    const ContractionParams& p = l_.params;
    const uint32_t units = p.waves_m * p.waves_n / p.unit_waves;
    passes_ = l_.columns_vectorise(p.vec_n) && p.vec_n % kPair == 0 &&
              l_.slots.result_storage[0] == stages.storage() &&
              stages.access_width() % p.vec_n == 0 &&
              units * p.unit_m * stride_ <= stages.elements();
    if (!passes_) return;
    const ValueId unit = builder_.div(builder_.wave_id(), p.unit_waves);
    first_ = builder_.mul(unit, builder_.i32(int64_t{p.unit_m} * stride_));
  }

  void run(std::span<const ValueId> sums) {
    const uint32_t reg_n = l_.params.reg_n;
    for (uint32_t i = 0; i < l_.params.reg_m; ++i) {
      if (passes_) builder_.barrier();
      for (uint32_t j = 0; j < reg_n; ++j) {
        for (int64_t number = 0; number < element_count_; number += kPair) {
          take_pair(sums[size_t{i} * reg_n + j], i, j, number);
        }
      }
      if (!passes_) continue;
      builder_.barrier();
      store_rows(i);
    }
  }

 private:
  static constexpr uint32_t kPair = 2;

  LinearForm row_in_tile(uint32_t i, ValueId row) const {
    LinearForm form;
    form.constant = int64_t{i} * l_.params.unit_m;
    form.add(int64_t{l_.params.reg_m} * l_.params.unit_m, l_.wave_m);
    form.add(1, row);
    return form;
  }
  ContractionLowering::ColumnInTile column_in_tile(ValueId column, int64_t first) const {
    return [this, column, first](uint32_t v) {
      LinearForm form;
      form.constant = first + v;
      form.add(columns_, l_.wave_n);
      form.add(1, column);
      return build(builder_, form);
    };
  }

  void take_pair(ValueId sum, uint32_t i, uint32_t j, int64_t number) {
    const auto element = [&](Opcode op, int64_t at) {
      return builder_.fragment_element(op, sum, at);
    };
    const ValueId row = element(Opcode::fragment_row, number);
    const ValueId column = element(Opcode::fragment_column, number);
    const ValueId pair[] = {element(Opcode::fragment_part, number),
                            element(Opcode::fragment_part, number + 1)};
    const int64_t first = int64_t{j} * l_.params.unit_n;
    const auto out_row = l_.output_row(build(builder_, row_in_tile(i, row)));
    if (!passes_) {
      l_.store_columns(out_row, pair, column_in_tile(column, first));
      return;
    }
    const auto out = l_.output_columns(out_row, pair, kPair, column_in_tile(column, first));
    LinearForm place;
    place.constant = first;
    place.add(1, first_);
    place.add(stride_, row);
    place.add(1, column);
    const ValueId values = builder_.vector(out.values);
    builder_.store_local(local_, builder_.div(build(builder_, place), kPair), values);
  }

  /// The unit's rows by the lanes of its waves.
  void store_rows(uint32_t i) {
    const ContractionParams& p = l_.params;
    const uint32_t lanes = builder_.program().wave_lanes * p.unit_waves;
    const uint32_t vectors = columns_ / p.vec_n;
    const ValueId wave = builder_.rem(builder_.wave_id(), p.unit_waves);
    const ValueId in_wave = builder_.lane_id();
    const ValueId lane =
        builder_.add(builder_.mul(wave, builder_.i32(builder_.program().wave_lanes)), in_wave);
    for (uint32_t begun = 0; begun < p.unit_m * vectors; begun += lanes) {
      ValueId at = builder_.add(lane, builder_.i32(begun));
      if (begun + lanes > p.unit_m * vectors) {  // surplus lanes store the last once more
        at = builder_.binary(Opcode::min_i, at, builder_.i32(p.unit_m * vectors - 1));
      }
      const ValueId row = builder_.div(at, vectors);
      const ValueId width = builder_.i32(p.vec_n);
      const ValueId column = builder_.mul(builder_.rem(at, vectors), width);
      LinearForm place;
      place.add(1, first_);
      place.add(stride_, row);
      place.add(1, column);
      const ValueId loaded = builder_.load_local(
          local_, builder_.div(build(builder_, place), p.vec_n), static_cast<uint8_t>(p.vec_n));
      const auto out_row = l_.output_row(build(builder_, row_in_tile(i, row)));
      auto out = l_.output_columns(out_row, {}, p.vec_n, column_in_tile(column, 0));
      for (uint32_t v = 0; v < p.vec_n; ++v) {
        out.values.push_back(builder_.extract(loaded, static_cast<int>(v)));
      }
      l_.store_columns(out);
    }
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  uint32_t columns_;  // of a unit
  uint32_t stride_;   // of its rows in local memory, elements
  uint32_t local_;
  int64_t element_count_;  // that a lane has of a fragment
  bool passes_ = false;    // through local memory
  ValueId first_ = ir::kNone;
};

/// Brings fragments to the lanes, some of a row at once: vectors of vec_n columns, lanes side by
/// side along a row.
class UnitStore {
 public:
  UnitStore(ContractionLowering& lowering, DType storage)
      : l_(lowering),
        builder_(lowering.builder),
        fragments_(unit_patch_fragments(lowering.params, size_bytes_of(storage))),
        columns_(fragments_ * lowering.params.unit_n),
        stride_(columns_ + kUnitPatchPad) {
    const ContractionParams& p = l_.params;
    patch_ = builder_.local("sums", DType::f32, static_cast<uint8_t>(p.vec_n),
                            p.waves_m * p.waves_n * patch_elements() / p.vec_n);
    const ValueId elements = builder_.i32(patch_elements());
    first_ = builder_.mul(builder_.wave_id(), elements);
  }

  void run(std::span<const ValueId> sums) {
    const uint32_t reg_n = l_.params.reg_n;
    for (uint32_t i = 0; i < l_.params.reg_m; ++i) {
      for (uint32_t j = 0; j < reg_n; j += fragments_) {
        if (i + j > 0) builder_.barrier();
        store_fragments(sums.subspan(size_t{i} * reg_n + j, fragments_));
        builder_.barrier();
        store_rows(i, j);
      }
    }
  }

 private:
  uint32_t patch_elements() const { return l_.params.unit_m * stride_; }

  void store_fragments(std::span<const ValueId> sums) {
    for (size_t j = 0; j < sums.size(); ++j) {
      const auto column = static_cast<int64_t>(j * l_.params.unit_n);
      builder_.fragment_store({.slot = patch_,
                               .index = builder_.add(first_, builder_.i32(column)),
                               .stride = builder_.i32(stride_),
                               .is_local = true},
                              sums[j]);
    }
  }

  void store_rows(uint32_t i, uint32_t j) {
    const ContractionParams& p = l_.params;
    const uint32_t vectors = p.unit_m * columns_ / p.vec_n, lanes = builder_.program().wave_lanes;
    for (uint32_t first = 0; first < vectors; first += lanes) {
      const ValueId begun = builder_.i32(first);
      ValueId vector = builder_.add(builder_.lane_id(), begun);
      if (first + lanes > vectors) {  // surplus lanes store the last once more
        vector = builder_.binary(Opcode::min_i, vector, builder_.i32(vectors - 1));
      }
      const ValueId row = builder_.div(vector, columns_ / p.vec_n);
      const ValueId width = builder_.i32(p.vec_n);
      const ValueId column = builder_.mul(builder_.rem(vector, columns_ / p.vec_n), width);
      store_vector(i, j, row, column);
    }
  }

  void store_vector(uint32_t i, uint32_t j, ValueId row, ValueId column) {
    const ContractionParams& p = l_.params;
    const ValueId place =
        builder_.add(builder_.add(first_, builder_.mul(row, builder_.i32(stride_))), column);
    const ValueId loaded =
        builder_.load_local(patch_, builder_.div(place, p.vec_n), static_cast<uint8_t>(p.vec_n));
    std::vector<ValueId> sums;
    for (uint32_t v = 0; v < p.vec_n; ++v) {
      sums.push_back(p.vec_n == 1 ? loaded : builder_.extract(loaded, static_cast<int>(v)));
    }
    LinearForm row_in_tile, column_in_tile;
    row_in_tile.constant = int64_t{i} * p.unit_m;
    row_in_tile.add(int64_t{p.reg_m} * p.unit_m, l_.wave_m);
    row_in_tile.add(1, row);
    column_in_tile.constant = int64_t{j} * p.unit_n;
    column_in_tile.add(int64_t{p.reg_n} * p.unit_n, l_.wave_n);
    column_in_tile.add(1, column);
    l_.store_columns(l_.output_row(build(builder_, row_in_tile)), sums, [&](uint32_t v) {
      LinearForm at = column_in_tile;
      at.constant += v;
      return build(builder_, at);
    });
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  uint32_t fragments_;  // side by side, at once
  uint32_t columns_;    // of these
  uint32_t stride_;     // of their rows, elements
  uint32_t patch_ = 0;
  ValueId first_ = ir::kNone;
};

}  // namespace

void ContractionLowering::emit_units_tile() {
  CHECK(params.stages >= 2 && whole.type == ScalarType::f32);
  prefetch_weights(*this);
  UnitSlab slab_a(*this, a, true);
  UnitSlab slab_b(*this, b, false);
  slab_a.prepare();
  slab_b.prepare();
  const ir::Fragment sum = {.role = ir::Role::sum,
                            .element = DType::f32,
                            .m = static_cast<uint16_t>(params.unit_m),
                            .n = static_cast<uint16_t>(params.unit_n),
                            .k = static_cast<uint16_t>(params.unit_k),
                            .waves = static_cast<uint8_t>(params.unit_waves)};
  std::vector<ValueId> zeros(size_t{params.reg_m} * params.reg_n);
  for (ValueId& zero : zeros) zero = builder.fragment_fill(sum, builder.f32(0));
  const std::vector<ValueId> sums = UnitRounds(*this, slab_a, slab_b).run(std::move(zeros));
  if (facts_of(target).knows_sums) {
    const bool is_a = slab_a.elements() >= slab_b.elements();
    ElementStore(*this, is_a ? slab_a : slab_b).run(sums);
  } else {
    UnitStore(*this, slab_a.storage()).run(sums);
  }
}

}  // namespace leat
