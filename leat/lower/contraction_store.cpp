// The end of a contraction: the epilogue expression on every accumulator, then the store. Where the
// innermost column axis is contiguous in the output, vec_n results are stored at once. Written out
// for each accumulator of a register tile, a function's sequence would be most of a kernel's code
// and of the time to compile it; so where one wave has the whole tile, such an epilogue is a loop.
#include "leat/lower/lower_contraction.h"

#include <algorithm>

namespace leat {

using ir::Opcode;
using ir::ValueId;

void ContractionLowering::end_tile(std::span<const ValueId> accumulators) {
  if (slots.scratch_slots.empty()) {
    store_tile(accumulators);
  } else {
    join_parts(accumulators);
  }
}

namespace {

/// Where the parts of k leave their sums: each lane its accumulators in vectors, the lanes of the
/// workgroup side by side.
struct PartsPlace {
  ContractionLowering& l;
  Number parts;
  int64_t vectors, width, lanes;
  ValueId tile, thread;

  PartsPlace(ContractionLowering& lowering, int64_t accumulators)
      : l(lowering), parts(l.numbers.batch[0]), width(accumulators % 4 == 0 ? 4 : 1) {
    KernelBuilder& builder = l.builder;
    const ir::Program& program = builder.program();
    vectors = accumulators / width;
    lanes = int64_t{program.wave_lanes} * program.waves_per_workgroup;
    LinearForm whole_tile;
    const ValueId of_part = builder.rem(l.batch, l.batch_count / parts);
    whole_tile.add(l.m_tiles * l.n_tiles, of_part);
    whole_tile.add(l.m_tiles, l.n_tile);
    whole_tile.add(1, l.m_tile);
    tile = build(builder, whole_tile);
    thread = builder.lane_of_workgroup();
  }

  /// In vectors.
  ValueId index(ValueId part, int64_t vector) const {
    LinearForm place;
    place.constant = vector * lanes;
    place.add(parts * vectors * lanes, tile);
    place.add(vectors * lanes, part);
    place.add(1, thread);
    return build(l.builder, place);
  }

  /// carried + the part's sums.
  std::vector<ValueId> add(ValueId part, std::span<const ValueId> carried) const {
    std::vector<ValueId> sums;
    for (int64_t v = 0; v < vectors; ++v) {
      const ValueId vector =
          l.builder.load(l.slots.scratch_slots[0], index(part, v), static_cast<uint8_t>(width));
      for (int c = 0; c < width; ++c) {
        const ValueId value = width == 1 ? vector : l.builder.extract(vector, c);
        sums.push_back(l.builder.add(carried[sums.size()], value));
      }
    }
    return sums;
  }
};

}  // namespace

void ContractionLowering::join_parts(std::span<const ValueId> accumulators) {
  const auto count = static_cast<int64_t>(accumulators.size());
  const PartsPlace place(*this, count);
  const auto width = static_cast<size_t>(place.width);
  const ValueId part = builder.div(batch, batch_count / place.parts);
  for (int64_t v = 0; v < place.vectors; ++v) {
    const auto values = accumulators.subspan(static_cast<size_t>(v) * width, width);
    const ValueId value = width == 1 ? values[0] : builder.vector(values);
    builder.store(slots.scratch_slots[0], place.index(part, v), value);
  }
  // So many parts are on their way at once as leave room for the sums.
  constexpr int64_t kValuesUnrolled = 64, kPartsUnrolled = 8;
  const auto unroll =
      static_cast<int>(std::clamp<int64_t>(kValuesUnrolled / count, 1, kPartsUnrolled));
  const ValueId parts = builder.i32(place.parts);
  const ValueId is_last = builder.last_group(slots.scratch_slots[1], place.tile, parts);
  builder.branch(is_last, [&] {
    const std::vector<ValueId> zeros(accumulators.size(), builder.f32(0));
    store_tile(builder.repeat(
        parts, zeros, true,
        [&](ValueId from, std::span<const ValueId> carried) { return place.add(from, carried); },
        unroll));
  });
}

bool ContractionLowering::takes_rows_in_turn() const {
  const bool rows_are_uniform =
      params.lane_m == 1 && params.vec_m == 1 && params.waves_m * params.waves_n == 1;
  if (target.waves_hide_latency || !rows_are_uniform || params.reg_m == 1) return false;
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind == ExprKind::apply && is_function(expr.op)) return true;
  }
  return false;
}

void ContractionLowering::keep_sums(std::span<const ValueId> accumulators) {
  const int64_t lanes = builder.program().wave_lanes;
  if (!kept_sums) {
    kept_sums = builder.local("sums", whole.type == ScalarType::i32 ? DType::i32 : DType::f32, 1,
                              static_cast<uint32_t>(lanes) * params.reg_m * params.reg_n);
  }
  for (size_t s = 0; s < accumulators.size(); ++s) {
    const ValueId place = builder.i32(static_cast<int64_t>(s) * lanes);
    builder.store_local(*kept_sums, builder.add(place, builder.lane_id()), accumulators[s]);
  }
}

void ContractionLowering::store_kept_sums() {
  const int64_t lanes = builder.program().wave_lanes;
  const auto store = [&](ValueId row, std::span<const ValueId>) {
    std::vector<ValueId> sums;
    for (uint32_t j = 0; j < params.reg_n; ++j) {
      LinearForm place;
      place.constant = int64_t{j} * lanes;
      place.add(int64_t{params.reg_n} * lanes, row);
      place.add(1, builder.lane_id());
      sums.push_back(builder.load_local(*kept_sums, build(builder, place)));
    }
    store_columns(output_row(row), sums, [&](uint32_t j) { return column_in_tile(j); });
    return std::vector<ValueId>();
  };
  // Two sums at least, whose sequences overlap.
  const int unroll = params.reg_n == 1 ? 2 : 1;
  builder.repeat(builder.i32(params.reg_m), {}, false, store, unroll);
}

void ContractionLowering::store_tile(std::span<const ValueId> accumulators) {
  if (takes_rows_in_turn()) {
    keep_sums(accumulators);
    store_kept_sums();
    return;
  }
  for (uint32_t i = 0; i < params.reg_m; ++i) {
    store_row(i, accumulators.subspan(size_t{i} * params.reg_n, params.reg_n));
  }
}

ContractionLowering::OutputRow ContractionLowering::output_row(ValueId row_in_tile) {
  const ValueId row = builder.add(builder.mul(m_tile, builder.i32(params.tile_m())), row_in_tile);
  OutputRow found;
  if (m_tail()) found.mask = builder.binary(Opcode::lt_i, row, builder.i32(m_count));
  found.coordinates = decompose(builder, row, numbers.m);
  return found;
}

void ContractionLowering::store_row(uint32_t i, std::span<const ValueId> accumulators) {
  store_columns(output_row(row_in_tile(i)), accumulators,
                [&](uint32_t j) { return column_in_tile(j); });
}

// A vector has one mask, that of its first column.
ContractionLowering::OutputColumns ContractionLowering::output_columns(
    const OutputRow& row, std::span<const ValueId> sums, uint32_t count,
    const ColumnInTile& column_in_tile) {
  const NumberForm address_form =
      address_of(node_numbers.outputs[0].strides, out_index, whole.axes.size());
  ExprLowering exprs(builder, node, node_numbers, slots);
  OutputColumns columns;
  columns.mask = row.mask;
  for (uint32_t v = 0; v < count; ++v) {
    const ValueId in_tile = column_in_tile(v);
    const ValueId column = builder.add(builder.mul(n_tile, builder.i32(params.tile_n())), in_tile);
    if (n_tail() && v == 0) {
      const ValueId inside = builder.binary(Opcode::lt_i, column, builder.i32(n_count));
      columns.mask = columns.mask == ir::kNone ? inside : builder.logical_and(columns.mask, inside);
    }
    const std::vector<ValueId> n_coordinates = decompose(builder, column, numbers.n);
    // In the order of the whole's axes; the number of a part is none of them.
    std::vector<ValueId> found(
        batch_coordinates.end() - static_cast<std::ptrdiff_t>(whole.batch.size()),
        batch_coordinates.end());
    found.insert(found.end(), row.coordinates.begin(), row.coordinates.end());
    found.insert(found.end(), n_coordinates.begin(), n_coordinates.end());
    std::vector<ValueId> axes(node.extents.size(), ir::kNone);
    for (size_t x = 0; x < found.size(); ++x) axes[whole.axes[x]] = found[x];
    if (!sums.empty()) {
      columns.values.push_back(
          exprs.stored_value(node.results[0].value, slots.result_storage[0],
                             {.axes = axes, .accumulator = sums[v], .mask = columns.mask}));
    }
    if (v == 0) columns.address = LinearForm::of(address_form, found);
  }
  return columns;
}

void ContractionLowering::store_columns(const OutputColumns& columns) {
  const auto width = static_cast<int64_t>(columns.values.size());
  if (width == 1) {
    builder.store(slots.result_slots[0], build(builder, columns.address), columns.values[0],
                  columns.mask);
    return;
  }
  // The address is a multiple of the width by columns_vectorise; the division is a shift.
  const ValueId values = builder.vector(columns.values);
  builder.store(slots.result_slots[0], builder.div(build(builder, columns.address), width), values,
                columns.mask);
}

bool ContractionLowering::columns_vectorise(int64_t width) const {
  const NumberForm address =
      address_of(node_numbers.outputs[0].strides, out_index, whole.axes.size());
  if (width == 1 || numbers.n.size() != 1 || n_count % width != 0) return false;
  if (size_bytes_of(slots.result_storage[0]) > 4) return false;
  if (address.constant % width != 0) return false;
  for (size_t axis = 0; axis < address.coefficients.size(); ++axis) {
    const int64_t wanted = axis == whole.batch.size() + whole.m.size() ? 1 : 0;
    const Number& coefficient = address.coefficients[axis];
    if (wanted == 1 ? coefficient != 1 : coefficient % width != 0) return false;
  }
  return true;
}

void ContractionLowering::store_columns(const OutputRow& row, std::span<const ValueId> sums,
                                        const ColumnInTile& column_in_tile) {
  const uint32_t vector = std::min(params.vec_n, static_cast<uint32_t>(sums.size()));
  const uint32_t width = columns_vectorise(vector) ? vector : 1;
  for (uint32_t j = 0; j < sums.size(); j += width) {
    store_columns(output_columns(row, sums.subspan(j, width), width,
                                 [&](uint32_t v) { return column_in_tile(j + v); }));
  }
}

}  // namespace leat
