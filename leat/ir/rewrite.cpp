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
// What is counted of the rounds around a loop: times its own, it is still a number of 64 bits.
constexpr int64_t kRoundsAroundMax = int64_t{1} << 31;

Builder::FragmentPlace place_of(const Instruction& instruction, std::span<const ValueId> operands) {
  return {.slot = instruction.slot,
          .index = operands[0],
          .stride = operands[1],
          .by_columns = (instruction.imm & kByColumns) != 0,
          .is_local = is_local_access(instruction.op),
          .swizzled = (instruction.imm & kSwizzled) != 0,
          .in_words = (instruction.imm & kInWords) != 0};
}

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
    std::vector<size_t> parts;  // new values for each carried one of the old loop
  };
  using Values = std::vector<ValueId>;

  void loop(const Instruction& instruction);
  Counted counted_of(const Instruction& loop) const;
  void distribute(const Counted& counted, ValueId first, std::span<const ValueId> values);
  Values round(const Instruction& loop, const Counted& counted, ValueId counter,
               std::span<const ValueId> carried);
  Values rounds(const Instruction& loop, const Counted& counted, ValueId counter,
                std::span<const ValueId> carried);
  Values known_rounds(const Instruction& loop, const Counted& counted, Values carried);
  Values unknown_rounds(const Instruction& loop, const Counted& counted, Values carried);
  Values rolled_rounds(const Instruction& loop, const Counted& counted, ValueId lo,
                       const Values& carried, int factor);
  LoopPlace loop_place(const Counted& counted) const;
  void branch(const Instruction& instruction);
  ValueId copy(const Instruction& instruction, std::span<const ValueId> operands);
  template <Opcode op>
  ValueId copy_as(const Instruction& instruction, std::span<const ValueId> operands);
  ValueId copy_constant(const Instruction& instruction);
  std::vector<ValueId> mapped(std::span<const ValueId> values) const;
  const Fragment& fragment_of(const Instruction& instruction) const {
    return program_.values[instruction.first_result].fragment;
  }

  const Program& program_;
  const Replacement& replacement_;
  const Copies* copies_;  // null: loops stay as they are
  int64_t rounds_around_ = 1;
  int64_t copies_around_ = 1;
  Builder builder_;
  std::vector<std::vector<ValueId>> map_;  // old value -> new values, one for all but fragments
};

Rewriter::Rewriter(const Program& program, const Replacement& replacement, const Copies* copies)
    : program_(program),
      replacement_(replacement),
      copies_(copies),
      builder_(program.name, program.wave_lanes, program.waves_per_workgroup),
      map_(program.values.size()) {
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
    CHECK(!map_[value].empty());
    result.insert(result.end(), map_[value].begin(), map_[value].end());
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
  const Replaced replaced = replacement_(builder_, instruction, operands);
  std::vector<ValueId> results = replaced.values();
  if (replaced.is_kept()) results = {copy(instruction, operands)};
  if (instruction.result_count == 0) return;
  const Type wanted = program_.values[instruction.first_result];
  CHECK(!results.empty() && results[0] != kNone);
  CHECK(results.size() == 1 || wanted.is_fragment());
  const Type& found = builder_.type(results[0]);
  const bool is_words = wanted.scalar == Scalar::i64 && found.scalar == Scalar::i32;
  CHECK(found.scalar == wanted.scalar || is_words);
  CHECK(found.width == wanted.width * (is_words ? 2 : 1));
  map_[instruction.first_result] = std::move(results);
}

/// Gives the carried values of a loop, or its results, their new values: `values` in order.
void Rewriter::distribute(const Counted& counted, ValueId first, std::span<const ValueId> values) {
  for (ValueId i = 0; i < counted.parts.size(); ++i) {
    const std::span<const ValueId> part = values.first(counted.parts[i]);
    map_[first + i].assign(part.begin(), part.end());
    values = values.subspan(counted.parts[i]);
  }
}

// The values that one round yields. A body may be written several times; each time its values are
// mapped anew.
Rewriter::Values Rewriter::round(const Instruction& loop, const Counted& counted, ValueId counter,
                                 std::span<const ValueId> carried) {
  const Block& region = program_.blocks[loop.regions[0]];
  map_[region.first_argument] = {counter};
  distribute(counted, region.first_argument + 1, carried);
  block(loop.regions[0]);
  return mapped(program_.operands_of(program_.instructions[region.instructions.back()]));
}

/// The copies of one round, from `counter` on.
Rewriter::Values Rewriter::rounds(const Instruction& loop, const Counted& counted, ValueId counter,
                                  std::span<const ValueId> carried) {
  Values values(carried.begin(), carried.end());
  for (int64_t copy = 0; copy < counted.copies; ++copy) {
    const ValueId offset = builder_.i32(copy * counted.step);
    values = round(loop, counted, builder_.add(counter, offset), values);
  }
  return values;
}

LoopPlace Rewriter::loop_place(const Counted& counted) const {
  const std::optional<int64_t> lo = builder_.constant(counted.lo);
  const std::optional<int64_t> hi = builder_.constant(counted.hi);
  LoopPlace place = {.rounds_around = rounds_around_, .copies_around = copies_around_};
  if (lo && hi && *hi > *lo) place.rounds = (*hi - *lo + counted.step - 1) / counted.step;
  return place;
}

// Rounds of whole groups of copies are a loop, what is left, or a single group, stands one by one.
Rewriter::Values Rewriter::known_rounds(const Instruction& loop, const Counted& counted,
                                        Values carried) {
  const int64_t count = loop_place(counted).rounds;
  const int64_t groups = count / counted.copies;
  const int64_t lo = *builder_.constant(counted.lo);
  int64_t done = 0;
  if (groups > 1) {
    done = groups * counted.copies;
    const int64_t around = rounds_around_;
    rounds_around_ = std::min(rounds_around_ * groups, kRoundsAroundMax);
    carried = builder_.loop(counted.lo,
                            builder_.i32(std::min<int64_t>(lo + done * counted.step, INT32_MAX)),
                            counted.copies * counted.step, carried, counted.varying,
                            [&](ValueId counter, std::span<const ValueId> values) {
                              return rounds(loop, counted, counter, values);
                            });
    rounds_around_ = around;
  }
  for (; done < count; ++done) {
    carried = round(loop, counted, builder_.i32(lo + done * counted.step), carried);
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
    const int64_t group = counted.copies * counted.step;
    ValueId end = builder_.sub(counted.hi, builder_.i32(reach));
    const int64_t end_max = INT32_MAX - group + 1;  // behind the last group a counter fits, too
    if (builder_.range(counted.hi).hi - reach > end_max) {
      end = builder_.binary(Opcode::min_i, end, builder_.i32(end_max));
    }
    carried = builder_.loop(
        lo, end, group, carried, varying, [&](ValueId counter, std::span<const ValueId> values) {
          Values next = rounds(loop, counted, counter, values.first(values.size() - 1));
          next.push_back(builder_.add(counter, builder_.i32(group)));
          return next;
        });
    lo = carried.back();
    carried.pop_back();
  }
  return rolled_rounds(loop, counted, lo, carried, 1);
}

Rewriter::Values Rewriter::rolled_rounds(const Instruction& loop, const Counted& counted,
                                         ValueId lo, const Values& carried, int factor) {
  return builder_.loop(
      lo, counted.hi, counted.step, carried, counted.varying,
      [&](ValueId counter, std::span<const ValueId> values) {
        return round(loop, counted, counter, values);
      },
      factor);
}

// A carried fragment may have become several values; that they start uniform says nothing of later.
Rewriter::Counted Rewriter::counted_of(const Instruction& loop) const {
  const std::span<const ValueId> old = program_.operands_of(loop);
  const Values bounds = mapped(old.first(3));
  const std::optional<int64_t> step = builder_.constant(bounds[2]);
  CHECK(step.has_value());
  Counted counted = {.lo = bounds[0], .hi = bounds[1], .step = *step, .varying = {}, .parts = {}};
  for (ValueId i = 0; i < loop.result_count; ++i) {
    const Type carried = program_.values[loop.first_result + i];
    const Values& init = map_[old[3 + i]];
    for (const ValueId value : init) {
      const bool is_spread = carried.is_fragment() && !builder_.type(value).is_fragment();
      counted.varying.push_back(carried.varying || is_spread);
    }
    counted.parts.push_back(init.size());
  }
  return counted;
}

void Rewriter::loop(const Instruction& instruction) {
  Counted counted = counted_of(instruction);
  const Values init = mapped(program_.operands_of(instruction).subspan(3));
  Values results;
  if (copies_ == nullptr) {
    results =
        rolled_rounds(instruction, counted, counted.lo, init, static_cast<int>(instruction.imm));
  } else {
    const LoopPlace place = loop_place(counted);
    counted.copies = (*copies_)(instruction, place);
    if (place.rounds > 0) counted.copies = std::min(counted.copies, place.rounds);
    copies_around_ *= 2 * counted.copies - 1;  // what fills no group is less than one
    results = place.rounds > 0 ? known_rounds(instruction, counted, init)
                               : unknown_rounds(instruction, counted, init);
    copies_around_ = place.copies_around;
  }
  distribute(counted, instruction.first_result, results);
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
    case Scalar::i64: return builder_.i64(instruction.imm);
    case Scalar::f64: return builder_.f64(std::bit_cast<double>(instruction.imm));
  }
  return kNone;
}

template <Opcode op>
ValueId Rewriter::copy_as(const Instruction& instruction, std::span<const ValueId> operands) {
  using enum Opcode;
  const ValueId mask = instruction.masked ? operands.back() : kNone;
  constexpr OpClass kClass = class_constant(op);
  const auto width = [&] { return program_.values[instruction.first_result].width; };
  if constexpr (kClass != OpClass::other && operand_count_constant(op) == 1) {
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
    return builder_.load(instruction.slot, full_index(builder_, instruction, operands[0]), width(),
                         mask);
  } else if constexpr (op == store) {
    builder_.store(instruction.slot, full_index(builder_, instruction, operands[0]), operands[1],
                   mask);
  } else if constexpr (op == load_local) {
    return builder_.load_local(instruction.slot, operands[0], width());
  } else if constexpr (op == store_local) {
    builder_.store_local(instruction.slot, operands[0], operands[1]);
  } else if constexpr (op == barrier) {
    builder_.barrier();
  } else if constexpr (op == atomic_add) {
    return builder_.atomic_add(instruction.slot, full_index(builder_, instruction, operands[0]),
                               operands[1], mask);
  } else if constexpr (op == last_group) {
    return builder_.last_group(instruction.slot, operands[0], operands[1]);
  } else if constexpr (op == shuffle) {
    return builder_.shuffle(operands[0], operands[1]);
  } else if constexpr (op == shuffle_xor || op == shuffle_up || op == shuffle_down) {
    return builder_.shuffle(op, operands[0], instruction.imm);
  } else if constexpr (is_dot(op)) {
    return builder_.dot(op, operands[0], operands[1], operands[2]);
  } else if constexpr (op == copy_async) {
    builder_.copy_async(instruction.slot, operands[0], instruction.source, operands[1],
                        static_cast<int>(instruction.imm), mask);
  } else if constexpr (op == copy_commit) {
    builder_.copy_commit();
  } else if constexpr (op == copy_wait) {
    builder_.copy_wait(static_cast<int>(instruction.imm));
  } else if constexpr (op == prefetch) {
    builder_.prefetch(instruction.slot, operands[0], instruction.imm);
  } else if constexpr (op == fragment_fill) {
    return builder_.fragment_fill(fragment_of(instruction), operands[0]);
  } else if constexpr (op == fragment_load || op == fragment_load_local) {
    return builder_.fragment_load(fragment_of(instruction), place_of(instruction, operands));
  } else if constexpr (op == fragment_store || op == fragment_store_local) {
    builder_.fragment_store(place_of(instruction, operands), operands[2]);
  } else if constexpr (op == mma) {
    return builder_.mma(operands[0], operands[1], operands[2]);
  } else if constexpr (op == mma_wait) {
    return builder_.mma_wait(operands[0], static_cast<int>(instruction.imm));
  } else if constexpr (op == fragment_part || op == fragment_row || op == fragment_column) {
    return builder_.fragment_element(op, operands[0], instruction.imm);
  } else if constexpr (op == reduce_add || op == reduce_min || op == reduce_max) {
    return builder_.reduce(op, operands[0]);
  } else if constexpr (op == rounds) {
    return builder_.rounds(operands[0]);
  } else if constexpr (is_conversion(op)) {
    const Scalar to = program_.values[instruction.first_result].scalar;
    return builder_.convert(op, operands[0], to);
  } else {
    static_assert(op == loop || op == branch || op == yield, "an instruction that is not copied");
  }
  return kNone;
}

ValueId Rewriter::copy(const Instruction& instruction, std::span<const ValueId> operands) {
  ValueId result = kNone;
  visit_opcode(instruction.op, [&]<Opcode op>() { result = copy_as<op>(instruction, operands); });
  return result;
}

}  // namespace

// The builder takes whole indices and finds the stride again.
ValueId full_index(Builder& builder, const Instruction& instruction, ValueId index) {
  if (instruction.lane_stride == kIndexed) return index;
  const ValueId stride = builder.i32(instruction.lane_stride);
  return builder.add(index, builder.mul(builder.lane_id(), stride));
}

Program rewrite(const Program& program, const Replacement& replacement) {
  return Rewriter(program, replacement, nullptr).run();
}

Program rewrite(const Program& program, const Replacement& replacement, const Copies& copies) {
  return Rewriter(program, replacement, &copies).run();
}

}  // namespace leat::ir
