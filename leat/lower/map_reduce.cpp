// A node as the loops that it is. Its axes are first sorted by the output's strides and merged
// where every address allows it, so that an element-wise kernel over any layout is one long row.
// Then lanes take neighbouring outputs (loads and stores of stride 1 wherever the tensors agree),
// or, where there are few outputs and long reductions, the lanes of a wave share one output's
// reduction.
#include <algorithm>
#include <numeric>

#include "leat/lower/address.h"
#include "leat/lower/conversions.h"
#include "leat/lower/expr_lowering.h"
#include "leat/lower/lower.h"
#include "leat/schedule/reduction_strides.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

/// Rounds of a serial sum that are summed by themselves, and how many such stretches are worth
/// their loop. The error grows with the longer of both counts; 32 keeps what is added small.
constexpr int64_t kSumApart = 32;
constexpr int64_t kStretchesMin = 4;

struct MapReduceLowering {
  MapReduceLowering(const StepSource& source, const MapReduceParams& params_in)
      : node(source.node),
        numbers(source.numbers),
        params(params_in),
        target(source.target),
        builder("map_reduce", target.wave_lanes, params_in.waves),
        slots(declare_parameters(builder, source)),
        exprs(builder, node, numbers, slots),
        rank(node.extents.size()) {
    for (size_t r = 0; r < node.results.size(); ++r) {
      outputs.push_back(address_of(numbers.outputs[r].strides, numbers.result_index[r], rank));
    }
    sort_axes();
  }

  const Node& node;
  const NodeNumbers& numbers;
  const MapReduceParams& params;
  const Target& target;
  KernelBuilder builder;
  KernelSlots slots;
  ExprLowering exprs;
  std::vector<NumberForm> outputs;  // element address of each result over the output axes
  size_t rank;                      // output axes that are walked
  std::vector<size_t> order;        // output axes, largest output stride first
  std::optional<MergedAxes> merged;
  // The iteration space that is really walked: extents of the output axes in their order, and where
  // a coordinate found for the i-th of them goes.
  Numbers sorted;
  std::vector<size_t> slot_of;
  uint32_t neighbours = 1;  // of the innermost axis, which a lane takes at once
  Numbers walked;           // `sorted` without that axis where a lane takes it whole

  StepProgram emit();
  void emit_outputs();
  void emit_shared_reduction();
  std::vector<ValueId> output_coordinates(ValueId flat);
  std::vector<ValueId> row_coordinates(ValueId row, ValueId inner);
  void finish_element(const std::vector<ValueId>& coordinates, ValueId accumulator, ValueId mask);
  ValueId identity();
  ValueId combine(ValueId accumulated, ValueId element);
  ValueId over_lanes(ValueId partial);
  ValueId both(ValueId a, ValueId b);
  ValueId take_stretch(std::vector<ValueId>& coordinates, ValueId counter, const Number& stretches,
                       uint32_t width, ValueId exists, ValueId accumulated);
  ValueId reduce_serial(std::vector<ValueId> axes, size_t reduce_axis, ValueId accumulated,
                        ValueId mask);
  int unroll_of(size_t reduce_axis, const Number& rounds) const;
  void sort_axes();
  std::optional<NumberForm> address_of_load(ExprId id) const;
  bool loads_turn_around() const;
  void find_neighbours();
  void set_grid(const Number& workgroups);
  ValueId flat_group();

  Number grid_x = 1, grid_y = 1;
};

/// Splits the workgroups over two grid axes where one is not enough.
void MapReduceLowering::set_grid(const Number& workgroups) {
  if (workgroups.is_open()) {
    grid_x = workgroups;
  } else {
    const int64_t count = workgroups.fixed();
    const int64_t limit = std::min<int64_t>(target.workgroups_max[0], 1 << 30);
    grid_y = std::max<int64_t>(1, (count + limit - 1) / limit);
    grid_x = std::max<int64_t>(1, (count + grid_y.fixed() - 1) / grid_y.fixed());
  }
  builder.set_grid(grid_x, grid_y, 1, target);
}

ValueId MapReduceLowering::flat_group() {
  const ValueId y = builder.group_id(1);
  const ValueId x = builder.group_id(0);
  return builder.add(builder.mul(y, builder.i32(grid_x)), x);
}

ValueId MapReduceLowering::identity() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ScalarType type = node.exprs.type(node.element);
  if (type == ScalarType::b1) type = ScalarType::i32;
  switch (node.reduce_op) {
    case ReduceOp::none:
    case ReduceOp::sum: return constant_of(builder, type, 0);
    case ReduceOp::product: return constant_of(builder, type, 1);
    case ReduceOp::min: return constant_of(builder, type, kInfinity);
    case ReduceOp::max:
    case ReduceOp::max_number: return constant_of(builder, type, -kInfinity);
  }
  return ir::kNone;
}

ValueId MapReduceLowering::combine(ValueId accumulated, ValueId element) {
  const bool is_float = ir::is_float(builder.type(element).scalar);
  const bool is_unsigned = node.exprs.type(node.element) == ScalarType::u64;
  const auto extreme = [&](ScalarOp op, Opcode of_int) {
    if (is_unsigned) return apply_unsigned(builder, op, accumulated, element);
    if (is_float) return apply_extreme(builder, op, accumulated, element);
    return builder.binary(of_int, accumulated, element);
  };
  switch (node.reduce_op) {
    case ReduceOp::none:
    case ReduceOp::sum: return builder.add(accumulated, element);
    case ReduceOp::product: return builder.mul(accumulated, element);
    case ReduceOp::min: return extreme(ScalarOp::min, Opcode::min_i);
    case ReduceOp::max: return extreme(ScalarOp::max, Opcode::max_i);
    case ReduceOp::max_number:
      if (!is_float) return extreme(ScalarOp::max, Opcode::max_i);
      return builder.select(builder.binary(Opcode::lt_f, accumulated, element), element,
                            accumulated);
  }
  return accumulated;
}

ValueId MapReduceLowering::over_lanes(ValueId partial) {
  if (node.reduce_op == ReduceOp::sum) return builder.reduce(Opcode::reduce_add, partial);
  const bool is_min = node.reduce_op == ReduceOp::min;
  const bool lets_nan_through = node.reduce_op != ReduceOp::max_number;
  if (lets_nan_through && ir::is_float(builder.type(partial).scalar)) {
    return reduce_extreme(builder, is_min ? ScalarOp::min : ScalarOp::max, partial);
  }
  return builder.reduce(is_min ? Opcode::reduce_min : Opcode::reduce_max, partial);
}

/// Only the innermost loop is unrolled: whole when it is short, else by the factor with the fewest
/// trips to memory. What is left over takes one each.
int MapReduceLowering::unroll_of(size_t reduce_axis, const Number& number) const {
  const int64_t most = params.unroll;
  if (most == 1 || reduce_axis != lane_axis_of(node.reduce)) return 1;
  if (number.is_open()) return static_cast<int>(most);
  const int64_t rounds = number.fixed();
  if (rounds <= 2 * most) return static_cast<int>(std::max<int64_t>(rounds, 1));
  int64_t best = most;
  const auto trips = [&](int64_t factor) { return rounds / factor + rounds % factor; };
  for (int64_t factor = most - 1; factor > 0; --factor) {
    if (trips(factor) < trips(best)) best = factor;
  }
  return static_cast<int>(best);
}

/// Loops over the reduce axes from `reduce_axis` on; `axes` holds all coordinates known so far.
ValueId MapReduceLowering::reduce_serial(std::vector<ValueId> axes, size_t reduce_axis,
                                         ValueId accumulated, ValueId mask) {
  if (reduce_axis == numbers.reduce.size()) {
    ValueId element = exprs.value(node.element, {.axes = axes, .mask = mask});
    if (builder.type(element).scalar == ir::Scalar::b1) {
      element = builder.convert(Opcode::int_from_bool, element);
    }
    return combine(accumulated, element);
  }
  const auto rounds = [&](ValueId first, const Number& count, ValueId init) {
    return builder.repeat(
        builder.i32(count), std::span(&init, 1), true,
        [&](ValueId counter, std::span<const ValueId> carried) {
          axes[rank + reduce_axis] = builder.add(first, counter);
          return std::vector<ValueId>{reduce_serial(axes, reduce_axis + 1, carried[0], mask)};
        },
        unroll_of(reduce_axis, count))[0];
  };
  const Number& extent = numbers.reduce[reduce_axis];
  const ValueId start = builder.i32(0);
  const bool is_float_sum =
      node.reduce_op == ReduceOp::sum && is_float(node.exprs.type(node.element));
  if (!is_float_sum || extent < kSumApart) return rounds(start, extent, accumulated);
  // What takes in one small number after another loses of each what it has no digits for: many are
  // summed apart first, those along an inner axis always.
  if (extent < kStretchesMin * kSumApart) {
    if (reduce_axis == 0) return rounds(start, extent, accumulated);
    return combine(accumulated, rounds(start, extent, identity()));
  }
  const Number stretches = extent / kSumApart;
  const ValueId sum = builder.loop(
      start, builder.i32(stretches), 1, std::span(&accumulated, 1), true,
      [&](ValueId stretch, std::span<const ValueId> carried) {
        const ValueId first = builder.mul(stretch, builder.i32(kSumApart));
        return std::vector<ValueId>{combine(carried[0], rounds(first, kSumApart, identity()))};
      })[0];
  if (!has_rest(extent, kSumApart)) return sum;
  const Number summed = stretches * kSumApart;
  const ValueId begin = identity();
  const Number rest = extent - summed;
  return combine(sum, rounds(builder.i32(summed), rest, begin));
}

void MapReduceLowering::finish_element(const std::vector<ValueId>& coordinates, ValueId accumulator,
                                       ValueId mask) {
  for (size_t r = 0; r < node.results.size(); ++r) {
    const NumberForm& address = merged ? merged->outputs[r] : outputs[r];
    if (neighbours == 1) {
      const ValueId value =
          exprs.stored_value(node.results[r].value, slots.result_storage[r],
                             {.axes = coordinates, .accumulator = accumulator, .mask = mask});
      const std::span<const ValueId> axes(coordinates);
      builder.store(slots.result_slots[r], build(builder, LinearForm::of(address, axes)), value,
                    mask);
      continue;
    }
    std::vector<ValueId> axes = coordinates, values;
    for (uint32_t i = 0; i < neighbours; ++i) {
      axes[slot_of[rank - 1]] = builder.i32(i);
      values.push_back(exprs.stored_value(node.results[r].value, slots.result_storage[r],
                                          {.axes = axes, .mask = mask}));
    }
    NumberForm of_first = address;
    of_first.coefficients[slot_of[rank - 1]] = 0;
    const LinearForm first = LinearForm::of(of_first, std::span<const ValueId>(axes));
    const ValueId value = builder.vector(values);
    builder.store(slots.result_slots[r], build(builder, first, neighbours), value, mask);
  }
}

/// Over the axes that are walked; none of a gather.
std::optional<NumberForm> MapReduceLowering::address_of_load(ExprId id) const {
  if (merged) {
    const auto found = merged->loads.find(id);
    return found == merged->loads.end() ? std::nullopt : std::optional(found->second);
  }
  const ExprNode& load = node.exprs.node(id);
  const size_t axes = rank + node.reduce.size();
  const auto constant_of = [&](ExprId constant) { return numbers.constants[constant]; };
  std::vector<NumberForm> index;
  for (ExprId part : load.indices) {
    const auto form = form_of<Number>(node.exprs, part, axes, constant_of);
    if (!form) return std::nullopt;
    index.push_back(*form);
  }
  return address_of(numbers.inputs[load.index].strides, index, axes);
}

/// Whether what is read lies side by side along the axis before the innermost, and nothing along
/// the innermost.
bool MapReduceLowering::loads_turn_around() const {
  bool any = false;
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    if (node.exprs.node(id).kind != ExprKind::load) continue;
    const std::optional<NumberForm> address = address_of_load(id);
    if (!address || address->coefficients[slot_of[rank - 1]] == 1) return false;
    any = any || address->coefficients[slot_of[rank - 2]] == 1;
  }
  return any;
}

/// Where a short axis comes to lie innermost, as the channels of a picture, lanes along it would
/// each fetch from afar: a lane takes all of it and stores it as a vector, and lanes go along the
/// axis before. On a GPU lanes that store parts of a word are as good.
void MapReduceLowering::find_neighbours() {
  if (target.waves_hide_latency || node.reduce_op != ReduceOp::none || rank < 2) return;
  if (node.results.size() != 1 || size_bytes_of(slots.result_storage[0]) > 4) return;
  const Number& inner = sorted.back();
  if (inner.is_open() || (inner != 2 && inner != 4) || !loads_turn_around()) return;
  const NumberForm& address = merged ? merged->outputs[0] : outputs[0];
  if (address.constant % inner != 0 || address.coefficients[slot_of[rank - 1]] != 1) return;
  for (size_t i = 0; i + 1 < rank; ++i) {
    if (address.coefficients[slot_of[i]] % inner != 0) return;
  }
  neighbours = static_cast<uint32_t>(inner.fixed());
  walked.pop_back();
}

/// Coordinates of the flat output number, which counts in the order of the output's strides.
std::vector<ValueId> MapReduceLowering::output_coordinates(ValueId flat) {
  const std::vector<ValueId> found = decompose(builder, flat, walked);
  std::vector<ValueId> coordinates(rank + node.reduce.size(), ir::kNone);
  for (size_t i = 0; i < found.size(); ++i) coordinates[slot_of[i]] = found[i];
  return coordinates;
}

/// The same with the innermost coordinate given apart: `row` counts all the others.
std::vector<ValueId> MapReduceLowering::row_coordinates(ValueId row, ValueId inner) {
  const std::span<const Number> outer(walked.data(), walked.size() - 1);
  const std::vector<ValueId> found = decompose(builder, row, outer);
  std::vector<ValueId> coordinates(rank + node.reduce.size(), ir::kNone);
  for (size_t i = 0; i < found.size(); ++i) coordinates[slot_of[i]] = found[i];
  coordinates[slot_of[found.size()]] = inner;
  return coordinates;
}

/// Every lane owns an output. Where the innermost extent fills whole waves (or nearly), a wave
/// stays in one row: all but one coordinate are uniform and need no division per lane.
void MapReduceLowering::emit_outputs() {
  find_neighbours();
  const Number count = product_of(walked);
  const int64_t lanes = target.wave_lanes;
  const Number inner = walked.empty() ? 1 : walked.back();
  const Number pieces = divided_up(inner, lanes);
  const bool by_rows = !walked.empty() && (inner * 4 >= pieces * lanes * 3);
  const std::span<const Number> outer(walked.data(), walked.empty() ? 0 : walked.size() - 1);
  const Number waves = by_rows ? product_of(outer) * pieces : divided_up(count, lanes);
  const int64_t per_lane = std::max(1u, params.per_lane / neighbours);
  const int64_t waves_of_group = params.waves * per_lane;
  set_grid(divided_up(waves, waves_of_group));
  const ValueId elements = builder.i32(per_lane);
  const ValueId in_group = builder.mul(builder.wave_id(), elements);
  const ValueId of_group = builder.i32(waves_of_group);
  const ValueId first_wave = builder.add(builder.mul(flat_group(), of_group), in_group);
  const ValueId lane = builder.lane_id();

  auto one = [&](ValueId wave) {
    std::vector<ValueId> coordinates;
    ValueId mask = ir::kNone;
    if (by_rows) {
      const ValueId apart = builder.i32(lanes);
      const ValueId inner_index = builder.add(builder.mul(builder.rem(wave, pieces), apart), lane);
      coordinates = row_coordinates(builder.div(wave, pieces), inner_index);
      if (has_rest(inner, lanes)) {
        mask = builder.binary(Opcode::lt_i, inner_index, builder.i32(inner));
      }
    } else {
      const ValueId flat = builder.add(builder.mul(wave, builder.i32(lanes)), lane);
      coordinates = output_coordinates(flat);
      if (has_rest(count, lanes)) mask = builder.binary(Opcode::lt_i, flat, builder.i32(count));
    }
    ValueId accumulator = ir::kNone;
    if (node.reduce_op != ReduceOp::none) {
      accumulator = reduce_serial(coordinates, 0, identity(), mask);
    }
    coordinates.resize(rank);
    finish_element(coordinates, accumulator, mask);
  };
  const ValueId end = builder.i32(waves);
  const ValueId stop =
      builder.binary(Opcode::min_i, end, builder.add(first_wave, builder.i32(per_lane)));
  builder.loop(first_wave, stop, 1, {}, false, [&](ValueId wave, std::span<const ValueId>) {
    one(wave);
    return std::vector<ValueId>{};
  });
}

/// Either may be missing, which holds.
ValueId MapReduceLowering::both(ValueId a, ValueId b) {
  if (a == ir::kNone) return b;
  return b == ir::kNone ? a : builder.logical_and(a, b);
}

/// `accumulated` and what the lane has of round `counter` of the axis that lanes share.
ValueId MapReduceLowering::take_stretch(std::vector<ValueId>& coordinates, ValueId counter,
                                        const Number& stretches, uint32_t width, ValueId exists,
                                        ValueId accumulated) {
  const size_t axis = rank + lane_axis_of(node.reduce);
  const int64_t lanes = target.wave_lanes;
  const ValueId lane = builder.lane_id();
  const ValueId number = builder.add(builder.mul(counter, builder.i32(lanes)), lane);
  ValueId mask = exists;
  if (has_rest(stretches, lanes)) {
    mask = both(mask, builder.binary(Opcode::lt_i, number, builder.i32(stretches)));
  }
  Stretch stretch = {.axis = axis, .number = number, .width = static_cast<uint8_t>(width)};
  const ValueId start = width == 1 ? number : builder.mul(number, builder.i32(width));
  for (uint32_t i = 0; i < width; ++i) {
    stretch.place = static_cast<uint8_t>(i);
    coordinates[axis] = i == 0 ? start : builder.add(start, builder.i32(i));
    const ElementContext context = {
        .axes = coordinates, .mask = mask, .stretch = width == 1 ? nullptr : &stretch};
    ValueId element = exprs.value(node.element, context);
    if (mask != ir::kNone) element = builder.select(mask, element, identity());
    accumulated = combine(accumulated, element);
  }
  return accumulated;
}

/// One wave for every output: lanes take every lanes-th stretch of the innermost reduce axis that
/// is longer than 1, stretches of `per_lane` elements where they divide it.
void MapReduceLowering::emit_shared_reduction() {
  const Number count = product_of(sorted);
  const int64_t lanes = target.wave_lanes;
  set_grid(count);
  const ValueId flat = flat_group();
  std::vector<ValueId> coordinates = output_coordinates(flat);
  const Numbers& extents = numbers.reduce;
  const size_t last = lane_axis_of(node.reduce);
  const bool is_whole = !extents[last].is_open() && extents[last] % params.per_lane == 0;
  const uint32_t width = is_whole ? params.per_lane : 1;
  const Number stretches = width == 1 ? extents[last] : divided_up(extents[last], width);
  ValueId exists = ir::kNone;  // every workgroup has an output
  if (!(grid_y == 1)) exists = builder.binary(Opcode::lt_i, flat, builder.i32(count));
  for (size_t axis = last + 1; axis < extents.size(); ++axis) {
    const bool is_thin = extents[axis] == 1;
    CHECK(is_thin);
    coordinates[rank + axis] = builder.i32(0);
  }

  std::function<ValueId(size_t, ValueId)> nest = [&](size_t axis, ValueId accumulated) {
    const ValueId init[] = {accumulated};
    const bool innermost = axis == last;
    const Number rounds = innermost ? divided_up(stretches, lanes) : extents[axis];
    return builder.repeat(
        builder.i32(rounds), init, true,
        [&](ValueId counter, std::span<const ValueId> carried) {
          if (!innermost) {
            coordinates[rank + axis] = counter;
            return std::vector<ValueId>{nest(axis + 1, carried[0])};
          }
          return std::vector<ValueId>{
              take_stretch(coordinates, counter, stretches, width, exists, carried[0])};
        },
        unroll_of(axis, rounds))[0];
  };
  const ValueId partial = nest(0, identity());
  const ValueId total = over_lanes(partial);
  coordinates.resize(rank);
  const ValueId zero = builder.i32(0);
  const ValueId first = builder.binary(Opcode::eq_i, builder.lane_id(), zero);
  finish_element(coordinates, total, both(exists, first));
}

void MapReduceLowering::sort_axes() {
  order.resize(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    const bool a_thin = numbers.extents[a] == 1;
    const bool b_thin = numbers.extents[b] == 1;
    if (a_thin != b_thin) return a_thin;
    return outputs[0].coefficients[a] > outputs[0].coefficients[b];
  });
  merged = merge_axes(node, numbers, order);
  if (!merged) {
    slot_of = order;
    for (size_t axis : order) sorted.push_back(numbers.extents[axis]);
    return;
  }
  exprs.use_merged_axes(&*merged);
  sorted = merged->extents;
  rank = sorted.size();
  slot_of.resize(rank);
  std::iota(slot_of.begin(), slot_of.end(), size_t{0});
}

StepProgram MapReduceLowering::emit() {
  walked = sorted;
  if (params.lanes_reduce == 1) {
    emit_shared_reduction();
  } else {
    emit_outputs();
  }
  return builder.finish_step();
}

}  // namespace

StepProgram lower_map_reduce(const StepSource& source, const MapReduceParams& params) {
  return MapReduceLowering(source, params).emit();
}

}  // namespace leat
