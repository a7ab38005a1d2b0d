// The frame of a product of matrices (workgroup order, operand maps) and its plain form.
//
// Plain form: every lane keeps reg_m x reg_n accumulators and walks k. With the lane grid 1 x lanes
// a row of A is uniform, so on a CPU its load is a scalar that is broadcast, B is a vector load,
// and the loop is the classic microkernel. Padding costs nothing for tiles inside the image: a
// uniform branch takes them through a copy of the loop without bounds.
#include "leat/lower/lower_contraction.h"

#include <algorithm>

#include "leat/lower/lower.h"
#include "leat/schedule/split_k.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

OperandMap make_operand(const StepSource& source, const KernelSlots& slots,
                        const ContractionOperand& operand, const ContractionOperand& whole,
                        const std::vector<NumberForm>& index, size_t axis_count) {
  OperandMap map;
  map.slot = slots.input_slots[operand.input];
  map.packed = source.schedule.placements[source.node.inputs[operand.input]].packed;
  map.is_plain = whole.is_plain();
  map.load = whole.load;
  map.value = whole.value;
  map.inside = whole.inside;
  if (map.packed) return map;
  const TensorNumbers& tensor = source.numbers.inputs[operand.input];
  map.address = address_of(tensor.strides, index, axis_count);
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    if (operand.bounded[d]) map.bounds.push_back({index[d], tensor.shape[d]});
  }
  return map;
}

/// With the innermost k in groups of `k_dot`; `k_inner` becomes what it was.
ContractionNumbers in_groups(ContractionNumbers numbers, uint32_t k_dot, Number& k_inner) {
  if (numbers.k.empty()) return numbers;
  k_inner = numbers.k.back();
  if (k_dot == 1) return numbers;
  numbers.k.back() = divided_up(numbers.k.back(), k_dot);
  return numbers;
}

}  // namespace

ContractionLowering::ContractionLowering(const StepSource& source,
                                         const Contraction& contraction_in)
    : node(source.node),
      node_numbers(source.numbers),
      numbers(in_groups(numbers_of(contraction_in, source.take),
                        std::get<ContractionParams>(source.step.params).k_dot, k_inner)),
      contraction(contraction_in),
      whole(*find_contraction(source.schedule.graph, node)),
      params(std::get<ContractionParams>(source.step.params)),
      out_index(params.split_k > 1 ? numbers_of(whole, plain_number).out_index : numbers.out_index),
      target(source.target),
      builder("contraction", target.wave_lanes, params.waves_m * params.waves_n),
      slots(declare_parameters(builder, source)),
      a(make_operand(source, slots, contraction.a, whole.a, numbers.a_index,
                     contraction.axes.size())),
      b(make_operand(source, slots, contraction.b, whole.b, numbers.b_index,
                     contraction.axes.size())),
      bytes(params.by_bytes() ? byte_product(source.schedule, node, whole) : std::nullopt),
      batch_count(product_of(numbers.batch)),
      m_count(product_of(numbers.m)),
      n_count(product_of(numbers.n)),
      k_count(product_of(numbers.k)),
      m_tiles(divided_up(m_count, params.tile_m())),
      n_tiles(divided_up(n_count, params.tile_n())),
      vector_rows(!target.uniform_loads_broadcast),
      grid_limit(target.workgroups_max[0]),
      batch_limit(target.workgroups_max[2]),
      m_first(numbers.batch.size()),
      n_first(m_first + numbers.m.size()),
      k_first(n_first + numbers.n.size()) {
  if (params.by_units()) {
    CHECK(params.reg_n * params.unit_n % params.vec_n == 0);
    return;
  }
  a.in_words = params.k_dot > 1 && !params.by_fragments() && comes_in_words(a.address);
  if (a.in_words || params.by_fragments()) count_groups(a.address);
  if (a.in_words) read_words(a);
  if (params.k_dot > 1 && !params.by_fragments()) read_words(b);
  CHECK(params.lane_m * params.lane_n == target.wave_lanes);
  CHECK(params.lane_m % params.lane_fold == 0);
  CHECK(params.reg_m % params.vec_m == 0 && params.reg_n % params.vec_n == 0);
}

void ContractionLowering::read_words(OperandMap& map) {
  ir::Parameter& parameter = builder.program().parameters[map.slot];
  CHECK(size_bytes_of(parameter.storage) * params.k_dot == size_bytes_of(DType::i32));
  parameter.storage = DType::i32;
  parameter.element_count /= params.k_dot;
}

bool ContractionLowering::comes_in_words(const NumberForm& address) const {
  const size_t last = k_first + numbers.k.size() - 1;
  if (address.coefficients[last] != 1 || k_inner % params.k_dot != 0) return false;
  if (address.constant % params.k_dot != 0) return false;
  for (size_t axis = 0; axis < last; ++axis) {
    if (address.coefficients[axis] % params.k_dot != 0) return false;
  }
  return true;
}

void ContractionLowering::count_groups(NumberForm& address) {
  const size_t last = k_first + numbers.k.size() - 1;
  CHECK(address.coefficients[last] == 1);
  if (params.by_fragments()) {
    address.coefficients[last] = params.k_dot;
    return;
  }
  const auto divide = [&](Number& number) {
    CHECK(number % params.k_dot == 0);
    number = number / params.k_dot;
  };
  divide(address.constant);
  for (size_t axis = 0; axis < last; ++axis) divide(address.coefficients[axis]);
}

Number ContractionLowering::extent_of(size_t axis) const {
  for (const Numbers* extents : {&numbers.batch, &numbers.m, &numbers.n, &numbers.k}) {
    if (axis < extents->size()) return (*extents)[axis];
    axis -= extents->size();
  }
  CHECK(false);
}

ValueId ContractionLowering::row_in_tile(uint32_t i) {
  const uint32_t chunk = i / params.vec_m;
  LinearForm form;
  form.constant = static_cast<int64_t>(chunk) * params.lane_m * params.vec_m + i % params.vec_m;
  form.add(static_cast<int64_t>(params.lane_m) * params.reg_m, wave_m);
  form.add(params.vec_m, lane_m);
  return build(builder, form);
}

ValueId ContractionLowering::column_in_tile(uint32_t j) {
  const uint32_t chunk = j / params.vec_n;
  LinearForm form;
  form.constant = static_cast<int64_t>(chunk) * params.lane_n * params.vec_n + j % params.vec_n;
  form.add(static_cast<int64_t>(params.lane_n) * params.reg_n, wave_n);
  form.add(params.vec_n, lane_n);
  return build(builder, form);
}

RowBase ContractionLowering::row_base(const OperandMap& map, ValueId row, size_t first_axis,
                                      const Numbers& extents) {
  const std::vector<ValueId> coordinates = decompose(builder, row, extents);
  auto base_of = [&](const NumberForm& affine) {
    LinearForm form;
    form.constant = affine.constant;
    for (size_t i = 0; i < batch_coordinates.size(); ++i) {
      form.add(affine.coefficients[i], batch_coordinates[i]);
    }
    for (size_t i = 0; i < coordinates.size(); ++i) {
      form.add(affine.coefficients[first_axis + i], coordinates[i]);
    }
    return form;
  };
  RowBase base;
  base.address = base_of(map.address);
  for (const OperandMap::Bound& bound : map.bounds) {
    base.coordinates.push_back(base_of(bound.coordinate));
  }
  if (!map.is_plain) base.axes = axes_of_row(first_axis, coordinates);
  return base;
}

// In the order of the whole's axes; the number of a part of k is none of them.
std::vector<ValueId> ContractionLowering::axes_of_row(size_t first_axis,
                                                      std::span<const ValueId> coordinates) {
  std::vector<ValueId> axes(node.extents.size() + node.reduce.size(), ir::kNone);
  const size_t parts = numbers.batch.size() - whole.batch.size();
  for (size_t i = 0; i < whole.batch.size(); ++i) {
    axes[whole.axes[i]] = batch_coordinates[parts + i];
  }
  for (size_t i = 0; i < coordinates.size(); ++i) {
    axes[whole.axes[first_axis - parts + i]] = coordinates[i];
  }
  return axes;
}

// Columns that only fill up the last tile read what belongs to the last column.
std::vector<ValueId> ContractionLowering::packed_column_axes(ValueId column_in_tile) {
  ValueId column = builder.add(builder.mul(n_tile, builder.i32(params.tile_n())), column_in_tile);
  if (n_tail()) column = builder.binary(Opcode::min_i, column, builder.i32(n_count - 1));
  return axes_of_row(n_first, decompose(builder, column, numbers.n));
}

ValueId ContractionLowering::factor(const OperandMap& map, const RowBase& row, ValueId loaded,
                                    ValueId mask) {
  if (map.is_plain) return loaded;
  ExprLowering exprs(builder, node, node_numbers, slots);
  const ValueId value = exprs.value(map.value, {.axes = row.axes,
                                                .mask = mask,
                                                .known = map.load,
                                                .known_value = loaded,
                                                .holds = map.inside});
  return mask == ir::kNone ? value : builder.select(mask, value, zero());
}

ValueId ContractionLowering::zero() {
  return whole.type == ScalarType::i32 ? builder.i32(0) : builder.f32(0);
}

ValueId ContractionLowering::byte_shift(const ByteProduct::Factor& factor, const RowBase& row,
                                        int64_t offset) {
  ValueId shift = builder.i32(0);
  if (factor.shift != kNoExpr) {
    ExprLowering exprs(builder, node, node_numbers, slots);
    // It stands still: what is loaded for it under A's condition is there without it.
    shift = exprs.value(factor.shift, {.axes = row.axes, .holds = a.inside});
  }
  return factor.turns ? builder.add(shift, builder.i32(offset)) : shift;
}

ValueId ContractionLowering::multiply_add(ValueId a_value, ValueId b_value, ValueId sum) {
  if (bytes) return builder.dot(Opcode::dot_us, a_value, b_value, sum);
  if (params.k_dot > 1) return builder.dot(Opcode::dot_bf16, a_value, b_value, sum);
  if (whole.type == ScalarType::i32) return builder.add(builder.mul(a_value, b_value), sum);
  return builder.fma(a_value, b_value, sum);
}

ValueId ContractionLowering::factors(const OperandMap& map, std::span<const RowBase> rows,
                                     ValueId loaded, ValueId mask) {
  const int width = builder.type(loaded).width;
  if (map.is_plain || width == 1) return factor(map, rows[0], loaded, mask);
  std::vector<ValueId> components;
  for (int c = 0; c < width; ++c) {
    const RowBase& row = rows[std::min(static_cast<size_t>(c), rows.size() - 1)];
    components.push_back(factor(map, row, builder.extract(loaded, c), mask));
  }
  return builder.vector(components);
}

LinearForm ContractionLowering::element_address(const OperandMap& map, const RowBase& row,
                                                std::span<const ValueId> k_coordinates) {
  LinearForm address = row.address;
  for (size_t j = 0; j < k_coordinates.size(); ++j) {
    address.add(map.address.coefficients[k_first + j], k_coordinates[j]);
  }
  return address;
}

ValueId ContractionLowering::inside(const OperandMap& map, const RowBase& row,
                                    std::span<const ValueId> k_coordinates) {
  ValueId all = ir::kNone;
  for (size_t d = 0; d < map.bounds.size(); ++d) {
    LinearForm coordinate = row.coordinates[d];
    for (size_t j = 0; j < k_coordinates.size(); ++j) {
      coordinate.add(map.bounds[d].coordinate.coefficients[k_first + j], k_coordinates[j]);
    }
    // One unsigned comparison covers both ends: a negative coordinate is a huge one.
    const ValueId extent = builder.i32(map.bounds[d].extent);
    const ValueId within = builder.binary(Opcode::lt_u, build(builder, coordinate), extent);
    all = all == ir::kNone ? within : builder.logical_and(all, within);
  }
  return all;
}

StepProgram ContractionLowering::emit() {
  const Number group_m = smaller_of(params.group_m, m_tiles);
  const Number row_blocks = divided_up(m_tiles, group_m);
  const Number tiles = row_blocks * group_m * n_tiles;
  // Grid axes x and y together count the tiles, z the batch; a batch that z cannot count goes with
  // the tiles.
  const bool batch_apart = batch_count <= batch_limit;
  const Number flat_count = batch_apart ? tiles : tiles * batch_count;
  const Number grid_x = flat_count.is_open() ? flat_count : smaller_of(flat_count, grid_limit);
  const Number grid_y = flat_count.is_open() ? 1 : divided_up(flat_count, grid_x);
  builder.set_grid(grid_x, grid_y, batch_apart ? batch_count : 1, target);
  const ValueId flat = builder.flat_group(grid_x);
  batch = batch_apart ? builder.group_id(2) : builder.div(flat, tiles);
  batch_coordinates = decompose(builder, batch, numbers.batch);

  // Column tiles change slowest inside a block of row tiles, so B's panel stays in the cache.
  const ValueId group = batch_apart ? flat : builder.rem(flat, tiles);
  const ValueId block = builder.div(group, group_m * n_tiles);
  const ValueId in_block = builder.rem(group, group_m * n_tiles);
  n_tile = builder.div(in_block, group_m);
  const ValueId row_of_block = builder.rem(in_block, group_m);
  m_tile = builder.add(builder.mul(block, builder.i32(group_m)), row_of_block);

  if (!params.by_units()) set_lane_grid();
  const ValueId wave = builder.div(builder.wave_id(), params.unit_waves);
  wave_n = builder.rem(wave, params.waves_n);
  wave_m = builder.div(wave, params.waves_n);

  if (!has_rest(m_tiles, group_m) && grid_x * grid_y == flat_count) {
    emit_tile();
  } else {
    const ValueId in_rows = builder.binary(Opcode::lt_i, m_tile, builder.i32(m_tiles));
    const ValueId in_grid = builder.binary(Opcode::lt_i, flat, builder.i32(flat_count));
    builder.branch(builder.logical_and(in_rows, in_grid), [&] { emit_tile(); });
  }
  return builder.finish_step();
}

// Unfolded, lanes follow each other along n. Folded, the lowest part of the lane's number is a row.
void ContractionLowering::set_lane_grid() {
  const ValueId lane = builder.lane_id();
  const ValueId column = builder.div(lane, params.lane_fold);
  lane_n = builder.rem(column, params.lane_n);
  lane_m = builder.div(column, params.lane_n);
  if (params.lane_fold == 1) return;
  const ValueId folded = builder.rem(lane, params.lane_fold);
  lane_m = builder.add(builder.mul(lane_m, builder.i32(params.lane_fold)), folded);
}

void ContractionLowering::emit_tile() {
  if (params.by_units()) {
    emit_units_tile();
  } else if (params.by_fragments()) {
    emit_fragment_tile();
  } else if (params.stages == 0) {
    emit_plain_tile();
  } else {
    emit_staged_tile();
  }
}

namespace {

/// The plain form's loop nest over k for one tile.
class PlainTile {
 public:
  PlainTile(ContractionLowering& lowering, bool check_bounds)
      : l_(lowering), builder_(lowering.builder), check_bounds_(check_bounds) {}

  std::vector<ValueId> run(const std::vector<RowBase>& rows, const std::vector<RowBase>& columns,
                           const std::vector<ValueId>& column_masks) {
    rows_ = &rows;
    columns_ = &columns;
    column_masks_ = &column_masks;
    std::vector<ValueId> zeros(product_count() + column_sum_count() + row_sum_count(), l_.zero());
    k_coordinates_.assign(l_.numbers.k.size(), ir::kNone);
    if (l_.bytes) find_shifts();
    std::vector<ValueId> sums = nest(0, std::move(zeros));
    return l_.bytes ? less_shifts(sums) : sums;
  }

 private:
  /// True when bounds of A do not move with the innermost k axis.
  bool bounds_fixed_inside() const {
    if (l_.numbers.k.empty()) return true;
    const size_t last = l_.k_first + l_.numbers.k.size() - 1;
    return std::all_of(l_.a.bounds.begin(), l_.a.bounds.end(),
                       [&](const auto& bound) { return bound.coordinate.coefficients[last] == 0; });
  }

  void compute_row_masks() {
    row_masks_.assign(rows_->size(), ir::kNone);
    if (!check_bounds_) return;
    for (size_t i = 0; i < rows_->size(); ++i) {
      row_masks_[i] = l_.inside(l_.a, (*rows_)[i], k_coordinates_);
    }
  }

  std::vector<ValueId> nest(size_t axis, std::vector<ValueId> accumulators) {
    const Numbers& extents = l_.numbers.k;
    if (extents.empty()) return step(std::move(accumulators), 0);
    if (axis + 1 < extents.size()) {
      return builder_.repeat(builder_.i32(extents[axis]), accumulators, true,
                             [&](ValueId counter, std::span<const ValueId> carried) {
                               k_coordinates_[axis] = counter;
                               return nest(axis + 1, {carried.begin(), carried.end()});
                             });
    }
    if (bounds_fixed_inside()) {
      k_coordinates_[axis] = builder_.i32(0);
      compute_row_masks();
    }
    const bool has_rest = l_.params.k_dot > 1 && l_.k_inner % l_.params.k_dot != 0;
    const Number whole = has_rest ? extents[axis] - 1 : extents[axis];
    if (!has_rest || whole > 0) accumulators = whole_groups(axis, whole, accumulators);
    if (!has_rest) return accumulators;
    k_coordinates_[axis] = builder_.i32(extents[axis] - 1);
    group_size_ = static_cast<uint32_t>((l_.k_inner % l_.params.k_dot).fixed());
    accumulators = step(std::move(accumulators), 0);
    group_size_ = l_.params.k_dot;
    return accumulators;
  }

  std::vector<ValueId> whole_groups(size_t axis, const Number& extent,
                                    std::vector<ValueId> accumulators) {
    const int64_t unroll = smaller_of(l_.params.k_step, extent).fixed();
    row_width_ = row_vector_width(unroll);
    const Number main = extent - extent % unroll;
    const ValueId end = builder_.i32(main);
    accumulators =
        builder_.loop(builder_.i32(0), end, unroll, accumulators, true,
                      [&](ValueId counter, std::span<const ValueId> carried) {
                        return steps(axis, counter, unroll, {carried.begin(), carried.end()});
                      });
    if (!extent.is_open()) {
      return steps(axis, end, (extent - main).fixed(), std::move(accumulators));
    }
    row_vectors_.clear();
    return builder_.loop(end, builder_.i32(extent), 1, accumulators, true,
                         [&](ValueId counter, std::span<const ValueId> carried) {
                           return steps(axis, counter, 1, {carried.begin(), carried.end()});
                         });
  }

  std::vector<ValueId> steps(size_t axis, ValueId first, int64_t count,
                             std::vector<ValueId> accumulators) {
    for (int64_t u = 0; u < count; ++u) {
      k_coordinates_[axis] = builder_.add(first, builder_.i32(u));
      const bool vector_starts = u % row_width_ == 0 && u + row_width_ <= count;
      if (u % row_width_ == 0) row_vectors_.clear();
      if (row_width_ > 1 && vector_starts) load_row_vectors();
      accumulators = step(std::move(accumulators), static_cast<int>(u % row_width_));
    }
    return accumulators;
  }

  /// Consecutive k of a row that one load may take: GPUs only, where a load costs an instruction a
  /// lane; a CPU broadcasts each of them from memory for nothing.
  int64_t row_vector_width(int64_t unroll) const {
    if (!l_.vector_rows || l_.numbers.k.empty() || unroll % 4 != 0) return 1;
    const NumberForm& address = l_.a.address;
    const size_t last = l_.k_first + l_.numbers.k.size() - 1;
    if (address.coefficients[last] != 1 || l_.numbers.k.back() % 4 != 0) return 1;
    if (!bounds_fixed_inside() || address.constant % 4 != 0) return 1;
    for (size_t axis = 0; axis < address.coefficients.size(); ++axis) {
      if (axis != last && address.coefficients[axis] % 4 != 0) return 1;
    }
    return 4;
  }

  void load_row_vectors() {
    for (uint32_t i = 0; i < l_.params.reg_m; ++i) {
      const LinearForm address = l_.element_address(l_.a, (*rows_)[i], k_coordinates_);
      const ValueId vector =
          builder_.load(l_.a.slot, builder_.div(build(builder_, address), 4), 4, row_masks_[i]);
      row_vectors_.push_back(l_.factors(l_.a, std::span(&(*rows_)[i], 1), vector, row_masks_[i]));
    }
  }

  /// The k of a group that do not lie in one word, or only the first of them.
  ValueId gather_group(uint32_t i) {
    std::vector<ValueId> coordinates = k_coordinates_;
    const ValueId first = builder_.mul(k_coordinates_.back(), builder_.i32(l_.params.k_dot));
    ValueId word = ir::kNone;
    for (uint32_t u = 0; u < group_size_; ++u) {
      coordinates.back() = u == 0 ? first : builder_.add(first, builder_.i32(u));
      const LinearForm address = l_.element_address(l_.a, (*rows_)[i], coordinates);
      const ValueId loaded = builder_.load(l_.a.slot, build(builder_, address), 1, row_masks_[i]);
      const ValueId part = l_.bytes ? byte_at(loaded, u) : half_at(loaded, u);
      word = u == 0 ? part : builder_.binary(Opcode::or_i, word, part);
    }
    return word;
  }

  ValueId half_at(ValueId loaded, uint32_t place) {
    const ValueId bits = builder_.convert(Opcode::bits_from_float, loaded);
    return place == 0 ? builder_.binary(Opcode::shr_u, bits, builder_.i32(16)) : bits;
  }

  ValueId byte_at(ValueId loaded, uint32_t place) {
    const ValueId bits = builder_.binary(Opcode::and_i, loaded, builder_.i32(255));
    return place == 0 ? bits : builder_.binary(Opcode::shl_i, bits, builder_.i32(8 * place));
  }

  // Of bytes: behind the sums of products come those of the columns, and those of the rows.
  size_t product_count() const { return size_t{l_.params.reg_m} * l_.params.reg_n; }
  size_t column_sum_count() const {
    return l_.bytes && l_.bytes->sums_columns ? l_.params.reg_n : 0;
  }
  size_t row_sum_count() const { return l_.bytes && l_.bytes->sums_rows ? l_.params.reg_m : 0; }

  /// `byte` at each place of a word that the present group has.
  ValueId in_group(uint32_t byte) {
    const uint32_t all = byte * 0x01010101u;
    const uint32_t places = group_size_ == 4 ? 0xffffffffu : (1u << (8 * group_size_)) - 1;
    return builder_.i32(static_cast<int32_t>(all & places));
  }

  void find_shifts() {
    for (const RowBase& row : *rows_) {
      row_shifts_.push_back(l_.byte_shift(l_.bytes->a, row, ByteProduct::kOffset));
      ValueId outside = ir::kNone;
      if (check_bounds_ && l_.bytes->a.shift != kNoExpr) {  // without one it is what masks leave
        const ValueId less =
            l_.bytes->a.turns ? builder_.sub(row_shifts_.back(), builder_.i32(ByteProduct::kOffset))
                              : row_shifts_.back();
        const ValueId bytes = builder_.i32(0x01010101);
        outside = builder_.mul(builder_.binary(Opcode::and_i, less, builder_.i32(255)), bytes);
      }
      outside_words_.push_back(outside);
    }
  }

  ValueId load_bytes(uint32_t i) {
    const LinearForm address = l_.element_address(l_.a, (*rows_)[i], k_coordinates_);
    ValueId word = l_.a.in_words
                       ? builder_.load(l_.a.slot, build(builder_, address), 1, row_masks_[i])
                       : gather_group(i);
    if (row_masks_[i] != ir::kNone && outside_words_[i] != ir::kNone) {
      const ValueId outside = builder_.binary(Opcode::and_i, outside_words_[i], in_group(255));
      word = builder_.select(row_masks_[i], word, outside);
    }
    return l_.bytes->a.turns ? builder_.binary(Opcode::xor_i, word, in_group(128)) : word;
  }

  /// The sums of the factors' products, of those of the bytes.
  std::vector<ValueId> less_shifts(std::span<const ValueId> sums) {
    const uint32_t reg_n = l_.params.reg_n;
    std::vector<ValueId> products(sums.begin(), sums.begin() + static_cast<long>(product_count()));
    const auto column_sums = sums.subspan(product_count(), column_sum_count());
    const auto row_sums = sums.subspan(product_count() + column_sum_count());
    Number k = l_.k_inner;
    for (size_t axis = 0; axis + 1 < l_.numbers.k.size(); ++axis) k *= l_.numbers.k[axis];
    std::vector<ValueId> column_shifts;
    for (size_t j = 0; j < reg_n && !row_sums.empty(); ++j) {
      column_shifts.push_back(l_.byte_shift(l_.bytes->b, (*columns_)[j], -ByteProduct::kOffset));
    }
    for (size_t p = 0; p < products.size(); ++p) {
      const size_t i = p / reg_n, j = p % reg_n;
      const auto subtract = [&](ValueId what, ValueId times) {
        products[p] = builder_.sub(products[p], builder_.mul(what, times));
      };
      if (!column_sums.empty()) subtract(column_sums[j], row_shifts_[i]);
      if (row_sums.empty()) continue;
      const ValueId shifts = builder_.mul(row_shifts_[i], builder_.i32(k));
      subtract(builder_.sub(row_sums[i], shifts), column_shifts[j]);
    }
    return products;
  }

  ValueId load_a(uint32_t i, int component) {
    if (l_.bytes) return load_bytes(i);
    if (l_.params.k_dot > 1 && !l_.a.in_words) return gather_group(i);
    if (!row_vectors_.empty()) return builder_.extract(row_vectors_[i], component);
    const LinearForm address = l_.element_address(l_.a, (*rows_)[i], k_coordinates_);
    const ValueId loaded = builder_.load(l_.a.slot, build(builder_, address), 1, row_masks_[i]);
    return l_.factor(l_.a, (*rows_)[i], loaded, row_masks_[i]);
  }

  /// The columns' values at the present k, in vectors of vec_n where the panel is packed.
  std::vector<ValueId> load_columns() {
    std::vector<ValueId> values;
    const uint32_t width = l_.b.packed ? l_.params.vec_n : 1;
    for (uint32_t j = 0; j < l_.params.reg_n; j += width) {
      const ValueId value = load_b(j, width);
      for (uint32_t v = 0; v < width; ++v) {
        values.push_back(width == 1 ? value : builder_.extract(value, static_cast<int>(v)));
      }
    }
    return values;
  }

  ValueId load_b(uint32_t j, uint32_t width) {
    if (!l_.b.packed) {
      const ValueId address =
          build(builder_, l_.element_address(l_.b, (*columns_)[j], k_coordinates_));
      ValueId mask = l_.inside(l_.b, (*columns_)[j], k_coordinates_);
      const ValueId column_mask = (*column_masks_)[j];
      if (column_mask != ir::kNone) {
        mask = mask == ir::kNone ? column_mask : builder_.logical_and(mask, column_mask);
      }
      return l_.factor(l_.b, (*columns_)[j], builder_.load(l_.b.slot, address, 1, mask), mask);
    }
    LinearForm address = (*columns_)[j].address;
    Number stride = l_.params.tile_n();
    for (size_t axis = l_.numbers.k.size(); axis > 0; --axis) {
      address.add(stride, k_coordinates_[axis - 1]);
      stride *= l_.numbers.k[axis - 1];
    }
    const ValueId loaded = builder_.load(l_.b.slot, builder_.div(build(builder_, address), width),
                                         static_cast<uint8_t>(width));
    if (l_.bytes && l_.bytes->b.turns) {
      return builder_.binary(Opcode::xor_i, loaded, builder_.i32(static_cast<int32_t>(0x80808080)));
    }
    if (l_.bytes) return loaded;
    return l_.factors(l_.b, std::span(*columns_).subspan(j, width), loaded, ir::kNone);
  }

  std::vector<ValueId> step(std::vector<ValueId> accumulators, int component) {
    const uint32_t reg_n = l_.params.reg_n;
    if (!bounds_fixed_inside() || l_.numbers.k.empty()) compute_row_masks();
    const std::vector<ValueId> b = load_columns();
    for (uint32_t i = 0; i < l_.params.reg_m; ++i) {
      const ValueId value = load_a(i, component);
      for (uint32_t j = 0; j < reg_n; ++j) {
        ValueId& accumulator = accumulators[i * reg_n + j];
        accumulator = l_.multiply_add(value, b[j], accumulator);
      }
      if (row_sum_count() == 0) continue;
      ValueId& sum = accumulators[product_count() + column_sum_count() + i];
      sum = l_.multiply_add(value, in_group(1), sum);
    }
    for (size_t j = 0; j < column_sum_count(); ++j) {
      ValueId& sum = accumulators[product_count() + j];
      sum = l_.multiply_add(in_group(1), b[j], sum);
    }
    return accumulators;
  }

  ContractionLowering& l_;
  KernelBuilder& builder_;
  bool check_bounds_;
  const std::vector<RowBase>* rows_ = nullptr;
  const std::vector<RowBase>* columns_ = nullptr;
  const std::vector<ValueId>* column_masks_ = nullptr;
  std::vector<ValueId> row_masks_;
  uint32_t group_size_ = l_.params.k_dot;  // k of the present group; of the last there may be fewer
  std::vector<ValueId> row_shifts_;        // of each row's bytes
  std::vector<ValueId> outside_words_;     // of each row: what counts as 0, as it is stored
  int64_t row_width_ = 1;
  std::vector<ValueId> row_vectors_;  // present vector of k of every row; empty: scalar loads
  std::vector<ValueId> k_coordinates_;
};

}  // namespace

// Bounds grow with every k coordinate's coefficient, so the two corners of the k box decide.
ValueId ContractionLowering::all_inside(const std::vector<RowBase>& rows) {
  ValueId all = builder.b1(true);
  for (const RowBase& row : rows) {
    for (size_t d = 0; d < a.bounds.size(); ++d) {
      Number low = 0;
      Number high = 0;
      for (size_t j = 0; j < numbers.k.size(); ++j) {
        const Number reach = a.bounds[d].coordinate.coefficients[k_first + j] * (numbers.k[j] - 1);
        (reach < 0 ? low : high) += reach;
      }
      LinearForm first = row.coordinates[d];
      LinearForm last = row.coordinates[d];
      first.constant += low;
      last.constant += high;
      const ValueId extent = builder.i32(a.bounds[d].extent);
      for (const LinearForm& corner : {first, last}) {
        all =
            builder.logical_and(all, builder.binary(Opcode::lt_u, build(builder, corner), extent));
      }
    }
  }
  return all;
}

std::vector<RowBase> ContractionLowering::rows_of_tile() {
  std::vector<RowBase> rows;
  for (uint32_t i = 0; i < params.reg_m; ++i) {
    const ValueId in_tile = row_in_tile(i);
    ValueId row = builder.add(builder.mul(m_tile, builder.i32(params.tile_m())), in_tile);
    if (m_tail()) row = builder.binary(Opcode::min_i, row, builder.i32(m_count - 1));
    rows.push_back(row_base(a, row, m_first, numbers.m));
  }
  return rows;
}

LinearForm ContractionLowering::panel_base() {
  const Number panel = k_count * group_elements() * params.tile_n();
  LinearForm base;
  base.add(n_tiles * panel, batch);
  base.add(panel, n_tile);
  return base;
}

void ContractionLowering::emit_plain_tile() {
  const std::vector<RowBase> rows = rows_of_tile();
  std::vector<RowBase> columns;
  std::vector<ValueId> column_masks(params.reg_n, ir::kNone);
  for (uint32_t j = 0; j < params.reg_n; ++j) {
    const ValueId in_tile = column_in_tile(j);
    if (b.packed) {
      RowBase base = {.address = panel_base()};
      base.address.add(1, in_tile);
      if (!b.is_plain) base.axes = packed_column_axes(in_tile);
      columns.push_back(std::move(base));
      continue;
    }
    const ValueId column = builder.add(builder.mul(n_tile, builder.i32(params.tile_n())), in_tile);
    if (n_tail()) {
      column_masks[j] = builder.binary(Opcode::lt_i, column, builder.i32(n_count));
    }
    columns.push_back(row_base(b, column, n_first, numbers.n));
  }
  const auto sums = [&](bool check_bounds) {
    return PlainTile(*this, check_bounds).run(rows, columns, column_masks);
  };
  const bool uniform_rows = params.lane_m == 1;
  if (a.bounds.empty() || !uniform_rows) {
    end_tile(sums(!a.bounds.empty()));
    return;
  }
  const bool ends_once = slots.scratch_slots.empty() && takes_rows_in_turn();
  const auto tile = [&](bool check_bounds) {
    if (ends_once) return keep_sums(sums(check_bounds));
    end_tile(sums(check_bounds));
  };
  builder.branch(
      all_inside(rows), [&] { tile(false); }, [&] { tile(true); });
  if (ends_once) store_kept_sums();
}

StepProgram lower_contraction(const StepSource& source) {
  const int64_t parts = std::get<ContractionParams>(source.step.params).split_k;
  const auto contraction = find_contraction(
      source.schedule.graph, parts > 1 ? part_of_k(source.node, parts) : source.node);
  CHECK(contraction.has_value());
  return ContractionLowering(source, *contraction).emit();
}

}  // namespace leat
