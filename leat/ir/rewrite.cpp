// The walk keeps a map from old to new values. A folded value may be "more uniform" than the old
// one; types are inferred anew, save those of carried values, which stay as varying as they were.
// Unrolling is here, not in a pass, because it writes a block several times.
#include "leat/ir/rewrite.h"

#include <algorithm>
#include <bit>

#include "leat/base/check.h"
#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

/// A loop of that many takes no further value: see docs/kernel-format.md.
constexpr size_t kCarriedMax = 252;

class Rewriter {
 public:
  Rewriter(const Program& program, const Replacement& replacement, const Copies* copies);
  Program run();

 private:
  void block(BlockId id);
  void instruction(const Instruction& instruction);
  /// A loop in the new program; bounds are known where lo and hi are constants.
  struct Counted {
    ValueId lo = kNone;
    ValueId hi = kNone;
    int64_t step = 1;
    int64_t copies = 1;
    std::vector<bool> varying;  // of each carried value
  };
  using Values = std::vector<ValueId>;

  void loop(const Instruction& instruction);
  Values round(const Instruction& loop, ValueId counter, std::span<const ValueId> carried);
  Values rounds(const Instruction& loop, const Counted& counted, ValueId counter,
                std::span<const ValueId> carried);
  Values known_rounds(const Instruction& loop, const Counted& counted, Values carried);
  Values unknown_rounds(const Instruction& loop, const Counted& counted, Values carried);
  LoopPlace place_of(const Counted& counted) const;
  void branch(const Instruction& instruction);
  ValueId copy(const Instruction& instruction, std::span<const ValueId> operands);
  template <Opcode op>
  ValueId copy_as(const Instruction& instruction, std::span<const ValueId> operands);
  ValueId copy_constant(const Instruction& instruction);
  ValueId full_index(const Instruction& instruction, ValueId index);
  std::vector<ValueId> mapped(std::span<const ValueId> values) const;

  const Program& program_;
  const Replacement& replacement_;
  const Copies* copies_;  // null: loops stay as they are
  int64_t rounds_around_ = 1;
  Builder builder_;
  std::vector<ValueId> map_;  // old value -> new value
};

Rewriter::Rewriter(const Program& program, const Replacement& replacement, const Copies* copies)
    : program_(program),
      replacement_(replacement),
      copies_(copies),
      builder_(program.name, program.wave_lanes, program.waves_per_workgroup),
      map_(program.values.size(), kNone) {
  builder_.program().grid = program.grid;
  builder_.program().parameters = program.parameters;
  builder_.program().locals = program.locals;
}

Program Rewriter::run() {
  block(0);
  return builder_.finish();
}

std::vector<ValueId> Rewriter::mapped(std::span<const ValueId> values) const {
  std::vector<ValueId> result;
  for (ValueId value : values) {
    CHECK(map_[value] != kNone);
    result.push_back(map_[value]);
  }
  return result;
}

void Rewriter::block(BlockId id) {
  for (InstructionId i : program_.blocks[id].instructions) instruction(program_.instructions[i]);
}

void Rewriter::instruction(const Instruction& instruction) {
  if (instruction.op == Opcode::yield) return;
  if (instruction.op == Opcode::loop) return loop(instruction);
  if (instruction.op == Opcode::branch) return branch(instruction);
  const std::vector<ValueId> operands = mapped(program_.operands_of(instruction));
  const std::optional<ValueId> replaced = replacement_(builder_, instruction, operands);
  const ValueId result = replaced ? *replaced : copy(instruction, operands);
  if (instruction.result_count == 0) return;
  const Type wanted = program_.values[instruction.first_result];
  CHECK(result != kNone && builder_.type(result).scalar == wanted.scalar);
  CHECK(builder_.type(result).width == wanted.width);
  map_[instruction.first_result] = result;
}

// The values that one round yields. A body may be written several times; each time its values are
// mapped anew.
Rewriter::Values Rewriter::round(const Instruction& loop, ValueId counter,
                                 std::span<const ValueId> carried) {
  const Block& region = program_.blocks[loop.regions[0]];
  map_[region.first_argument] = counter;
  for (ValueId i = 0; i < carried.size(); ++i) map_[region.first_argument + 1 + i] = carried[i];
  block(loop.regions[0]);
  return mapped(program_.operands_of(program_.instructions[region.instructions.back()]));
}

/// The copies of one round, from `counter` on.
Rewriter::Values Rewriter::rounds(const Instruction& loop, const Counted& counted, ValueId counter,
                                  std::span<const ValueId> carried) {
  Values values(carried.begin(), carried.end());
  for (int64_t copy = 0; copy < counted.copies; ++copy) {
    const ValueId offset = builder_.i32(copy * counted.step);
    values = round(loop, builder_.add(counter, offset), values);
  }
  return values;
}

LoopPlace Rewriter::place_of(const Counted& counted) const {
  const std::optional<int64_t> lo = builder_.constant(counted.lo);
  const std::optional<int64_t> hi = builder_.constant(counted.hi);
  if (!lo || !hi) return {0, rounds_around_};
  return {*hi > *lo ? (*hi - *lo + counted.step - 1) / counted.step : 0, rounds_around_};
}

// Rounds of whole groups of copies are a loop, what is left, or a single group, stands one by one.
Rewriter::Values Rewriter::known_rounds(const Instruction& loop, const Counted& counted,
                                        Values carried) {
  const int64_t count = place_of(counted).rounds;
  const int64_t groups = count / counted.copies;
  const int64_t lo = *builder_.constant(counted.lo);
  int64_t done = 0;
  if (groups > 1) {
    done = groups * counted.copies;
    const int64_t around = rounds_around_;
    rounds_around_ *= groups;
    carried = builder_.loop(counted.lo,
                            builder_.i32(std::min<int64_t>(lo + done * counted.step, INT32_MAX)),
                            counted.copies * counted.step, carried, counted.varying,
                            [&](ValueId counter, std::span<const ValueId> values) {
                              return rounds(loop, counted, counter, values);
                            });
    rounds_around_ = around;
  }
  for (; done < count; ++done) {
    carried = round(loop, builder_.i32(lo + done * counted.step), carried);
  }
  return carried;
}

// Groups of copies while a whole one fits, and a second loop for what is left: the counter where
// that begins is carried by the first.
Rewriter::Values Rewriter::unknown_rounds(const Instruction& loop, const Counted& counted,
                                          Values carried) {
  const int64_t reach = (counted.copies - 1) * counted.step;
  const bool can_wrap = builder_.range(counted.hi).lo - reach < INT32_MIN;
  const bool fits = counted.copies * counted.step <= INT32_MAX && carried.size() < kCarriedMax;
  ValueId lo = counted.lo;
  if (counted.copies > 1 && fits && !can_wrap) {
    carried.push_back(lo);
    std::vector<bool> varying = counted.varying;
    varying.push_back(false);
    carried = builder_.loop(
        lo, builder_.sub(counted.hi, builder_.i32(reach)), counted.copies * counted.step, carried,
        varying, [&](ValueId counter, std::span<const ValueId> values) {
          Values next = rounds(loop, counted, counter, values.first(values.size() - 1));
          next.push_back(builder_.add(counter, builder_.i32(counted.copies * counted.step)));
          return next;
        });
    lo = carried.back();
    carried.pop_back();
  }
  return builder_.loop(lo, counted.hi, counted.step, carried, counted.varying,
                       [&](ValueId counter, std::span<const ValueId> values) {
                         return round(loop, counter, values);
                       });
}

void Rewriter::loop(const Instruction& instruction) {
  const Values operands = mapped(program_.operands_of(instruction));
  const std::optional<int64_t> step = builder_.constant(operands[2]);
  CHECK(step.has_value());
  Counted counted = {.lo = operands[0], .hi = operands[1], .step = *step};
  for (ValueId i = 0; i < instruction.result_count; ++i) {
    counted.varying.push_back(program_.values[instruction.first_result + i].varying);
  }
  const Values init(operands.begin() + 3, operands.end());
  Values results;
  if (copies_ == nullptr) {
    results = builder_.loop(
        counted.lo, counted.hi, counted.step, init, counted.varying,
        [&](ValueId counter, std::span<const ValueId> values) {
          return round(instruction, counter, values);
        },
        static_cast<int>(instruction.imm));
  } else {
    const LoopPlace place = place_of(counted);
    const int64_t most = std::max<int64_t>(place.rounds, 1);
    counted.copies = (*copies_)(instruction, place);
    if (place.rounds > 0) counted.copies = std::min(counted.copies, most);
    results = place.rounds > 0 ? known_rounds(instruction, counted, init)
                               : unknown_rounds(instruction, counted, init);
  }
  for (ValueId i = 0; i < results.size(); ++i) map_[instruction.first_result + i] = results[i];
}

void Rewriter::branch(const Instruction& instruction) {
  const ValueId condition = mapped(program_.operands_of(instruction))[0];
  const auto then = [&] { block(instruction.regions[0]); };
  const auto otherwise = [&] { block(instruction.regions[1]); };
  if (instruction.regions[1] == kNone) {
    builder_.branch(condition, then);
  } else {
    builder_.branch(condition, then, otherwise);
  }
}

ValueId Rewriter::copy_constant(const Instruction& instruction) {
  switch (program_.values[instruction.first_result].scalar) {
    case Scalar::f32:
      return builder_.f32(std::bit_cast<float>(static_cast<uint32_t>(instruction.imm)));
    case Scalar::i32: return builder_.i32(instruction.imm);
    case Scalar::b1: return builder_.b1(instruction.imm != 0);
  }
  return kNone;
}

// The builder takes whole indices and finds the stride again.
ValueId Rewriter::full_index(const Instruction& instruction, ValueId index) {
  if (instruction.lane_stride == kIndexed) return index;
  const ValueId stride = builder_.i32(instruction.lane_stride);
  return builder_.add(index, builder_.mul(builder_.lane_id(), stride));
}

template <Opcode op>
ValueId Rewriter::copy_as(const Instruction& instruction, std::span<const ValueId> operands) {
  using enum Opcode;
  const ValueId mask = instruction.masked ? operands.back() : kNone;
  constexpr OpClass kClass = class_constant(op);
  const auto width = [&] { return program_.values[instruction.first_result].width; };
  if constexpr (is_unary_float(op)) {
    return builder_.unary(op, operands[0]);
  } else if constexpr (kClass != OpClass::other) {
    return builder_.binary(op, operands[0], operands[1]);
  } else if constexpr (op == constant) {
    return copy_constant(instruction);
  } else if constexpr (op == lane_id) {
    return builder_.lane_id();
  } else if constexpr (op == wave_id) {
    return builder_.wave_id();
  } else if constexpr (op == group_id) {
    return builder_.group_id(static_cast<int>(instruction.imm));
  } else if constexpr (op == fma) {
    return builder_.fma(operands[0], operands[1], operands[2]);
  } else if constexpr (op == select) {
    return builder_.select(operands[0], operands[1], operands[2]);
  } else if constexpr (op == not_b) {
    return builder_.not_b(operands[0]);
  } else if constexpr (op == vector) {
    return builder_.vector(operands);
  } else if constexpr (op == extract) {
    return builder_.extract(operands[0], static_cast<int>(instruction.imm));
  } else if constexpr (op == load) {
    return builder_.load(instruction.slot, full_index(instruction, operands[0]), width(), mask);
  } else if constexpr (op == store) {
    builder_.store(instruction.slot, full_index(instruction, operands[0]), operands[1], mask);
  } else if constexpr (op == load_local) {
    return builder_.load_local(instruction.slot, operands[0], width());
  } else if constexpr (op == store_local) {
    builder_.store_local(instruction.slot, operands[0], operands[1]);
  } else if constexpr (op == barrier) {
    builder_.barrier();
  } else if constexpr (op == reduce_add || op == reduce_min || op == reduce_max) {
    return builder_.reduce(op, operands[0]);
  } else if constexpr (op != loop && op != branch && op != yield) {
    return builder_.convert(op, operands[0]);
  }
  return kNone;
}

ValueId Rewriter::copy(const Instruction& instruction, std::span<const ValueId> operands) {
  ValueId result = kNone;
  visit_opcode(instruction.op, [&]<Opcode op>() { result = copy_as<op>(instruction, operands); });
  return result;
}

}  // namespace

Program rewrite(const Program& program, const Replacement& replacement) {
  return Rewriter(program, replacement, nullptr).run();
}

Program rewrite(const Program& program, const Replacement& replacement, const Copies& copies) {
  return Rewriter(program, replacement, &copies).run();
}

}  // namespace leat::ir
