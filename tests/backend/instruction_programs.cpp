// The programs are for a target's own wave size, with two waves a workgroup where it can have them.
#include "tests/backend/instruction_programs.h"

#include "leat/ir/builder.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

Builder builder_for(const char* name, const Target& target) {
  const bool one_wave = target.is_cpu || target.wave_lanes * 2 > target.lanes_per_workgroup_max;
  return Builder(name, target.wave_lanes, one_wave ? 1 : 2);
}

int64_t lanes_of(Builder& b) {
  return int64_t{b.program().wave_lanes} * b.program().waves_per_workgroup;
}

/// This lane's number in its workgroup.
ValueId lane_in_group(Builder& b) {
  return b.add(b.mul(b.wave_id(), b.i32(b.program().wave_lanes)), b.lane_id());
}

/// How many of the elements fall on each remainder of division by 7; every other one counts twice.
ir::Program histogram(const Target& target) {
  constexpr int64_t kGroups = 20;
  Builder b = builder_for("histogram", target);
  b.program().grid = {kGroups, 1, 1};
  const int64_t count = kGroups * lanes_of(b);
  const uint32_t x = b.parameter("x", DType::i32, false, count);
  const uint32_t counts = b.parameter("counts", DType::i32, true, 8);
  const uint32_t total = b.parameter("total", DType::i32, true, 2);
  const ValueId at = b.add(b.mul(b.group_id(0), b.i32(lanes_of(b))), lane_in_group(b));
  const ValueId value = b.load(x, at);
  const ValueId place = b.rem(b.binary(Opcode::and_i, value, b.i32(0xffff)), 7);
  const ValueId is_odd = b.binary(Opcode::eq_i, b.binary(Opcode::and_i, value, b.i32(1)), b.i32(1));
  b.atomic_add(counts, place, b.i32(1));
  b.atomic_add(counts, place, b.i32(1), is_odd);
  b.atomic_add(total, b.i32(1), value);
  return b.finish();
}

/// The sum of 60 rows: each workgroup adds up a few of them, the one that comes last adds the
/// parts. A second launch would find the counters as the first did.
ir::Program split_sum(const Target& target) {
  constexpr int64_t kColumns = 3, kParts = 20, kRows = 3;  // rows of one part
  Builder b = builder_for("split_sum", target);
  b.program().grid = {kColumns, kParts, 1};
  const int64_t width = kColumns * lanes_of(b);
  const uint32_t x = b.parameter("x", DType::i32, false, width * kParts * kRows);
  const uint32_t parts = b.parameter("parts", DType::i32, true, width * kParts);
  const uint32_t counters = b.parameter("counters", DType::i32, true, kColumns);
  const uint32_t y = b.parameter("y", DType::i32, true, width);
  const ValueId column = b.add(b.mul(b.group_id(0), b.i32(lanes_of(b))), lane_in_group(b));
  const auto sum_of = [&](uint32_t from, ValueId first, int64_t rows) {
    const std::vector<ValueId> zero = {b.i32(0)};
    const auto body = [&](ValueId i, std::span<const ValueId> carried) {
      const ValueId row = b.add(first, i);
      const ValueId part = b.load(from, b.add(b.mul(row, b.i32(width)), column));
      return std::vector<ValueId>{b.add(carried[0], part)};
    };
    return b.loop(b.i32(0), b.i32(rows), 1, zero, true, body)[0];
  };
  const ValueId part = sum_of(x, b.mul(b.group_id(1), b.i32(kRows)), kRows);
  b.store(parts, b.add(b.mul(b.group_id(1), b.i32(width)), column), part);
  const ValueId is_last = b.last_group(counters, b.group_id(0), b.i32(kParts));
  b.branch(is_last, [&] { b.store(y, column, sum_of(parts, b.i32(0), kParts)); });
  return b.finish();
}

}  // namespace

std::vector<InstructionProgram> instruction_programs() {
  return {{"histogram", histogram}, {"split_sum", split_sum}};
}

}  // namespace leat
