// Every kernel but two is one element a lane: element i is lane i of the whole grid, and lanes past
// the end are masked off.
#include "tests/backend/backend_suite_kernels.h"

#include <algorithm>

#include "leat/emit/emit.h"
#include "leat/ir/builder.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

/// As a network's kernels are: what the target lacks is written out first.
Result<KernelBinary> passed_and_emitted(ir::Program program, const Target& target) {
  TRY(run_passes(program, target));
  return emit(program, target);
}

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

/// Two waves in a workgroup, so that wave_id is used; a CPU's workgroup is one wave.
uint32_t waves_of(const Target& target) {
  return target.is_cpu || target.wave_lanes * 2 > target.lanes_per_workgroup_max ? 1 : 2;
}

/// A lane's element and whether it exists.
struct Element {
  ValueId index;
  ValueId mask;
};

Element element_of_lane(Builder& builder, const Target& target, int64_t count) {
  const int64_t group_lanes = int64_t{target.wave_lanes} * waves_of(target);
  builder.program().grid = {static_cast<uint32_t>((count + group_lanes - 1) / group_lanes), 1, 1};
  const ValueId group_start = builder.mul(builder.group_id(0), builder.i32(group_lanes));
  const ValueId wave_start = builder.mul(builder.wave_id(), builder.i32(target.wave_lanes));
  const ValueId index = builder.add(builder.add(group_start, wave_start), builder.lane_id());
  return {index, builder.binary(Opcode::lt_i, index, builder.i32(count))};
}

Builder builder_for(const char* name, const Target& target) {
  return Builder(name, target.wave_lanes, waves_of(target));
}

}  // namespace

Result<KernelBinary> saxpy_kernel(const Target& target, int64_t count) {
  Builder builder = builder_for("saxpy", target);
  const uint32_t x = builder.parameter("x", DType::f32, false, count);
  const uint32_t y = builder.parameter("y", DType::f32, false, count);
  const uint32_t out = builder.parameter("out", DType::f32, true, count);
  const Element element = element_of_lane(builder, target, count);
  const ValueId product =
      builder.mul(builder.f32(2.5f), builder.load(x, element.index, 1, element.mask));
  builder.store(out, element.index,
                builder.add(product, builder.load(y, element.index, 1, element.mask)),
                element.mask);
  return passed_and_emitted(builder.finish(), target);
}

Result<KernelBinary> triple_kernel(const Target& target, int64_t count, int32_t addend) {
  Builder builder = builder_for("triple", target);
  const uint32_t x = builder.parameter("x", DType::i32, true, count);
  const Element element = element_of_lane(builder, target, count);
  const ValueId value = builder.load(x, element.index, 1, element.mask);
  builder.store(x, element.index,
                builder.add(builder.mul(value, builder.i32(3)), builder.i32(addend)), element.mask);
  return passed_and_emitted(builder.finish(), target);
}

Result<KernelBinary> mixing_kernel(const Target& target, int64_t count, int64_t step) {
  Builder builder = builder_for("mixing", target);
  const uint32_t x = builder.parameter("x", DType::i32, false, count);
  const uint32_t out = builder.parameter("out", DType::i32, true, count);
  const Element element = element_of_lane(builder, target, count);
  const ValueId moved = builder.add(builder.mul(element.index, builder.i32(step)), builder.i32(1));
  const ValueId other = builder.binary(Opcode::and_i, moved, builder.i32(count - 1));
  const ValueId own = builder.load(x, element.index, 1, element.mask);
  const ValueId read = builder.load(x, other, 1, element.mask);
  builder.store(out, element.index, builder.add(read, builder.mul(own, builder.i32(3))),
                element.mask);
  return passed_and_emitted(builder.finish(), target);
}

Result<KernelBinary> halving_kernel(const Target& target, int64_t count, int64_t rounds) {
  Builder builder = builder_for("halving", target);
  const uint32_t x = builder.parameter("x", DType::f32, true, count);
  const Element element = element_of_lane(builder, target, count);
  const ValueId start = builder.load(x, element.index, 1, element.mask);
  const auto body = [&](ValueId, std::span<const ValueId> carried) {
    const ValueId next = builder.fma(carried[0], builder.f32(0.5f), builder.f32(1.0f));
    return std::vector<ValueId>{next};
  };
  const std::vector<ValueId> result =
      builder.loop(builder.i32(0), builder.i32(rounds), 1, {{start}}, true, body);
  builder.store(x, element.index, result[0], element.mask);
  return passed_and_emitted(builder.finish(), target);
}

Result<KernelBinary> grid_kernel(const Target& target) {
  Builder builder("grid", target.wave_lanes, 1);
  const uint32_t out = builder.parameter("out", DType::i32, true, 24);
  builder.program().grid = {2, 3, 4};
  const ValueId x = builder.group_id(0);
  const ValueId y = builder.group_id(1);
  const ValueId z = builder.group_id(2);
  const ValueId flat =
      builder.add(x, builder.mul(builder.i32(2), builder.add(y, builder.mul(builder.i32(3), z))));
  const ValueId value = builder.add(
      x, builder.add(builder.mul(y, builder.i32(100)), builder.mul(z, builder.i32(10000))));
  const ValueId first_lane = builder.binary(Opcode::lt_i, builder.lane_id(), builder.i32(1));
  builder.store(out, builder.add(flat, builder.lane_id()), value, first_lane);
  return passed_and_emitted(builder.finish(), target);
}

int64_t reverse_group_size(const Target& target) {
  return int64_t{target.wave_lanes} * waves_of(target);
}

Result<KernelBinary> reverse_kernel(const Target& target, int64_t groups) {
  Builder builder = builder_for("reverse", target);
  const int64_t size = reverse_group_size(target);
  const uint32_t in = builder.parameter("in", DType::i32, false, size * groups);
  const uint32_t out = builder.parameter("out", DType::i32, true, size * groups);
  const uint32_t local = builder.local("tile", DType::i32, 1, static_cast<uint32_t>(size));
  builder.program().grid = {static_cast<uint32_t>(groups), 1, 1};
  const ValueId place = builder.add(builder.mul(builder.wave_id(), builder.i32(target.wave_lanes)),
                                    builder.lane_id());
  const ValueId start = builder.mul(builder.group_id(0), builder.i32(size));
  builder.store_local(local, place, builder.load(in, builder.add(start, place)));
  builder.barrier();
  const ValueId mirrored = builder.sub(builder.i32(size - 1), place);
  builder.store(out, builder.add(start, place), builder.load_local(local, mirrored));
  return passed_and_emitted(builder.finish(), target);
}

Result<KernelBinary> rounding_kernel(const Target& target, int64_t count) {
  Builder builder = builder_for("rounding", target);
  const uint32_t a = builder.parameter("a", DType::f32, false, count);
  const uint32_t b = builder.parameter("b", DType::f32, false, count);
  const uint32_t quotient = builder.parameter("quotient", DType::f32, true, count);
  const uint32_t root = builder.parameter("root", DType::f32, true, count);
  const Element element = element_of_lane(builder, target, count);
  const ValueId value = builder.load(a, element.index, 1, element.mask);
  const ValueId divisor = builder.load(b, element.index, 1, element.mask);
  builder.store(quotient, element.index, builder.binary(Opcode::div_f, value, divisor),
                element.mask);
  builder.store(root, element.index, builder.unary(Opcode::sqrt, value), element.mask);
  return passed_and_emitted(builder.finish(), target);
}

int64_t stamp_group_size(const Target& target) {
  return int64_t{target.wave_lanes} * waves_of(target);
}

Result<KernelBinary> stamp_kernel(const Target& target, int64_t groups) {
  constexpr int64_t kDurations = 64;      // of workgroups
  constexpr int64_t kRoundsPerStep = 20;  // from one to the next
  Builder builder = builder_for("stamp", target);
  const int64_t count = groups * stamp_group_size(target);
  const uint32_t value = builder.parameter("value", DType::i32, false, 1);
  const uint32_t out = builder.parameter("out", DType::i32, true, count);
  const Element element = element_of_lane(builder, target, count);
  const ValueId stamp = builder.load(value, builder.i32(0));
  const ValueId rounds =
      builder.mul(builder.rem(builder.group_id(0), kDurations), builder.i32(kRoundsPerStep));
  const auto body = [&](ValueId, std::span<const ValueId> carried) {
    const ValueId next = builder.mul(carried[0], builder.i32(1'664'525));
    return std::vector<ValueId>{builder.add(next, builder.i32(1'013'904'223))};
  };
  const ValueId start = builder.add(element.index, stamp);
  const ValueId busy = builder.loop(builder.i32(0), rounds, 1, {{start}}, true, body)[0];
  const ValueId is_seven = builder.binary(Opcode::eq_i, busy, builder.i32(7));  // hardly ever
  builder.store(out, element.index, builder.select(is_seven, builder.i32(7), stamp), element.mask);
  return passed_and_emitted(builder.finish(), target);
}

Result<KernelBinary> to_half_kernel(const Target& target, int64_t count) {
  Builder builder = builder_for("to_half", target);
  const uint32_t in = builder.parameter("in", DType::f32, false, count);
  const uint32_t out = builder.parameter("out", DType::f16, true, count);
  const Element element = element_of_lane(builder, target, count);
  builder.store(out, element.index, builder.load(in, element.index, 1, element.mask), element.mask);
  return passed_and_emitted(builder.finish(), target);
}

}  // namespace leat
