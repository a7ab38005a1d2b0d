// Rows past the end are read from the last row (their results are never stored); only bounds and
// the end of k need masks.
#include "leat/lower/slab_source.h"

#include "leat/base/target_facts.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

constexpr int64_t kLineBytes = 128;  // of a cache
/// With more workgroups on the same columns others have fetched what one needs. Estimate.
constexpr int64_t kPanelSharersMax = 32;
/// Weights beyond this would push each other out of the cache: a third of an H200's 50 MB.
constexpr int64_t kPrefetchBytesMax = int64_t{16} << 20;

}  // namespace

SlabSource::SlabSource(ContractionLowering& lowering, const OperandMap& map, bool is_a)
    : l_(lowering),
      builder_(lowering.builder),
      map_(map),
      is_a_(is_a),
      tile_rows_(is_a ? lowering.params.tile_m() : lowering.params.tile_n()),
      k_inner_(!map.packed && !lowering.numbers.k.empty() &&
               map.address.coefficients[k_last()] == 1) {}

uint32_t SlabSource::outer_count() const { return k_inner_ ? tile_rows_ : l_.params.k_step; }
uint32_t SlabSource::inner_count() const { return k_inner_ ? l_.params.k_step : tile_rows_; }

size_t SlabSource::row_axis() const {
  const Shape& extents = is_a_ ? l_.contraction.m : l_.contraction.n;
  if (extents.empty()) return SIZE_MAX;
  return (is_a_ ? l_.m_first : l_.n_first) + extents.size() - 1;
}

bool SlabSource::comes_in(uint32_t width) const {
  if (map_.packed) return l_.params.tile_n() % width == 0;
  const size_t moving = k_inner_ ? k_last() : row_axis();
  if (moving == SIZE_MAX || map_.address.coefficients[moving] != 1) return false;
  const Numbers& rows = is_a_ ? l_.numbers.m : l_.numbers.n;
  const Number run = k_inner_ ? inner_k_extent() : rows.back();
  if (run % width != 0 || map_.address.constant % width != 0) return false;
  for (size_t axis = 0; axis < map_.address.coefficients.size(); ++axis) {
    const bool is_aligned = axis == moving || map_.address.coefficients[axis] % width == 0;
    if (!is_aligned && l_.extent_of(axis) != 1) return false;
  }
  for (const OperandMap::Bound& bound : map_.bounds) {
    if (bound.coordinate.coefficients[moving] != 0) return false;
  }
  return true;
}

void SlabSource::prepare(uint32_t width, bool one_load) {
  width_ = width;
  one_load_ = one_load;
  const uint32_t vectors = outer_count() * inner_count() / width;
  const ValueId thread = builder_.lane_of_workgroup();
  const uint32_t inner_vectors = inner_count() / width_;
  for (uint32_t s = 0; s < (vectors + builder_.lanes() - 1) / builder_.lanes(); ++s) {
    Access access;
    access.place = builder_.add(thread, builder_.i32(int64_t{s} * builder_.lanes()));
    if (vectors % builder_.lanes() != 0) {
      // Surplus lanes repeat the last access: the same value to the same place.
      access.place = builder_.binary(Opcode::min_i, access.place, builder_.i32(vectors - 1));
    }
    const ValueId elements = builder_.i32(width_);
    access.inner = builder_.mul(builder_.rem(access.place, inner_vectors), elements);
    access.outer = builder_.div(access.place, inner_vectors);
    access.k = k_inner_ ? access.inner : access.outer;
    const ValueId row = k_inner_ ? access.outer : access.inner;
    access.bases.push_back(base_of(row));
    for (uint32_t v = 1; v < width_ && !k_inner_ && !(one_load_ && map_.is_plain); ++v) {
      access.bases.push_back(base_of(row, v));
    }
    accesses_.push_back(std::move(access));
  }
}

// Of the vector's component: a vector that would end behind the last row starts earlier.
RowBase SlabSource::base_of(ValueId first_in_tile, uint32_t component) {
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

SlabSource::Element SlabSource::element_at(const RowBase& base, ValueId k_first,
                                           ValueId k_in_slab) {
  const ValueId k = builder_.add(k_first, k_in_slab);
  Element element;
  if (has_rest(l_.k_count, l_.params.k_step)) {
    element.mask = builder_.binary(Opcode::lt_i, k, builder_.i32(l_.k_count));
  }
  if (map_.packed) {
    element.address = base.address;
    element.address.add(l_.params.tile_n(), k);
    return element;
  }
  std::vector<ValueId> coordinates;
  if (!has_rest(inner_k_extent(), l_.params.k_step)) {  // the slab lies in one run
    coordinates = decompose(builder_, k_first, l_.numbers.k);
    if (!coordinates.empty()) coordinates.back() = builder_.add(coordinates.back(), k_in_slab);
  } else {
    coordinates = decompose(builder_, k, l_.numbers.k);
  }
  const ValueId inside = l_.inside(map_, base, coordinates);
  if (inside != ir::kNone) {
    element.mask = element.mask == ir::kNone ? inside : builder_.logical_and(element.mask, inside);
  }
  element.address = l_.element_address(map_, base, coordinates);
  return element;
}

// What lies at the first of `rows`, from where on a vector goes along k or along the rows.
ValueId SlabSource::load_at(std::span<const RowBase> rows, ValueId k_first, ValueId k_in_slab,
                            uint32_t width) {
  const Element element = element_at(rows[0], k_first, k_in_slab);
  const ValueId loaded =
      builder_.load(map_.slot, builder_.div(build(builder_, element.address), width),
                    static_cast<uint8_t>(width), element.mask);
  return l_.factors(map_, rows, loaded, element.mask);
}

ValueId SlabSource::load(const Access& access, ValueId k_first) {
  if (one_load_) return load_at(access.bases, k_first, access.k, width_);
  std::vector<ValueId> components;
  for (uint32_t v = 0; v < width_; ++v) {
    const auto base = std::span(access.bases).subspan(k_inner_ ? 0 : v, 1);
    const ValueId k = k_inner_ ? builder_.add(access.k, builder_.i32(v)) : access.k;
    components.push_back(load_at(base, k_first, k, 1));
  }
  return builder_.vector(components);
}

void SlabSource::copy(const Access& access, ValueId k_first, uint32_t local, ValueId place) {
  CHECK(one_load_ && map_.is_plain);
  const Element element = element_at(access.bases[0], k_first, access.k);
  builder_.copy_async(local, place, map_.slot, build(builder_, element.address),
                      static_cast<int>(width_), element.mask);
}

void prefetch_weights(ContractionLowering& l) {
  const OperandMap& map = l.b;
  const bool knows = !l.k_count.is_open() && !l.m_tiles.is_open() && !l.n_tiles.is_open();
  if (!facts_of(l.target).has_prefetch || !map.packed || !knows) return;
  const int64_t sharers = l.m_tiles.fixed(),
                line = kLineBytes / size_bytes_of(l.builder.program().parameters[map.slot].storage);
  const int64_t panel = l.k_count.fixed() * l.params.tile_n();
  const bool fits = panel > 0 && panel % line == 0 && sharers <= kPanelSharersMax &&
                    panel * l.n_tiles.fixed() * kLineBytes / line <= kPrefetchBytesMax;
  if (!fits) return;
  const int64_t piece = (panel / line + sharers - 1) / sharers * line;
  KernelBuilder& builder = l.builder;
  LinearForm first;
  first.add(l.n_tiles.fixed() * panel, l.batch);
  first.add(panel, l.n_tile);
  const ValueId last = builder.i32(panel - piece);
  first.add(1, builder.binary(Opcode::min_i, builder.mul(l.m_tile, builder.i32(piece)), last));
  const ValueId zero = builder.i32(0);
  const ValueId is_first = builder.binary(Opcode::eq_i, builder.wave_id(), zero);
  builder.branch(is_first, [&] { builder.prefetch(map.slot, build(builder, first), piece); });
}

}  // namespace leat
