// One walk in text order, with the inequalities of the open blocks on a stack.
#include "leat/ir/access_ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "leat/ir/int_form.h"
#include "leat/ir/text.h"

namespace leat::ir {
namespace {

using Inequalities = std::vector<IntForm>;  // each at most 0

/// That hold at one place: more are forgotten, so that a hostile text takes no hours.
constexpr size_t kInequalitiesMax = 1000;
/// Of one truth, and of all: each that joins two could have twice as many.
constexpr size_t kImpliedMax = 64;
constexpr size_t kImpliedInAllMax = size_t{1} << 18;

/// What is known of a value.
struct Known {
  std::optional<IntForm> form;  // of an i32 of width 1
  Range range = kAnyInt;        // of all components
  bool may_wrap = false;        // in 64 bits its parts may have another sum
  Inequalities if_true;         // of a b1
  Inequalities if_false;
};

/// Of a value by a constant.
struct Quotient {
  Unknown unknown = 0;
  size_t required_at = 0;  // where its inequalities stand, while they do
};

/// How often a loop runs.
struct Rounds {
  std::optional<int64_t> exact;
  int64_t most = INT32_MAX;
  bool may_wrap = false;  // the counter may leave 32 bits behind its last round: nothing is known
};

Range range_of_storage(DType storage) {
  if (storage == DType::i8) return {INT8_MIN, INT8_MAX};
  if (storage == DType::u8) return {0, UINT8_MAX};
  if (storage == DType::i16) return {INT16_MIN, INT16_MAX};
  return storage == DType::u16 ? Range{0, UINT16_MAX} : kAnyInt;
}

bool fits_int(int64_t value) { return value >= INT32_MIN && value <= INT32_MAX; }

class Walk {
 public:
  Walk(const Program& program, std::span<const std::optional<Range>> contents)
      : program_(program), contents_(contents), known_(program.values.size()) {
    lane_ = add_unknown({0, program.wave_lanes - 1});
    wave_ = add_unknown({0, program.waves_per_workgroup - 1});
    for (const uint32_t groups : program.grid) group_.push_back(add_unknown({0, groups - 1}));
    const double waves = static_cast<double>(program.waves_per_workgroup) * program.grid[0] *
                         program.grid[1] * program.grid[2];
    times_ = waves;
  }

  LaunchRanges run() {
    walk_block(0);
    if (has_flop_) found_.flop = flop_;
    return std::move(found_);
  }

 private:
  // --- Bounds ---

  Unknown add_unknown(Range range) {
    ranges_.push_back(range);
    return static_cast<Unknown>(ranges_.size() - 1);
  }

  std::optional<int64_t> above(const IntForm& form, std::span<const IntForm> more,
                               int64_t enough) const {
    if (more.empty()) return upper_bound(form, inequalities_, ranges_, enough);
    Inequalities all = inequalities_;
    all.insert(all.end(), more.begin(), more.end());
    return upper_bound(form, all, ranges_, enough);
  }
  std::optional<int64_t> below(const IntForm& form, std::span<const IntForm> more,
                               int64_t enough) const {
    const std::optional<IntForm> negated = combined(form, -1, {}, 0);
    const std::optional<int64_t> bound = negated ? above(*negated, more, -enough) : std::nullopt;
    return bound ? std::optional(-*bound) : std::nullopt;
  }

  /// Of a value where `more` holds, too.
  Range range_if(ValueId value, std::span<const IntForm> more) const {
    const Known& known = known_[value];
    Range range = known.range;
    if (!known.form || (more.empty() && inequalities_.empty())) return range;
    if (const auto hi = above(*known.form, more, INT32_MIN)) range.hi = std::min(range.hi, *hi);
    if (const auto lo = below(*known.form, more, INT32_MAX)) range.lo = std::max(range.lo, *lo);
    return range.lo <= range.hi ? range : known.range;
  }

  std::optional<int64_t> number_in(ValueId value) const {
    const Range& range = known_[value].range;
    return range.is_single() ? std::optional(range.lo) : std::nullopt;
  }

  void set_unknown(ValueId value, Range range) {
    known_[value].range = range;
    if (program_.values[value].scalar != Scalar::i32 || program_.values[value].width != 1) return;
    known_[value].form =
        range.is_single() ? constant_form(range.lo) : unknown_form(add_unknown(range));
  }

  void set_wrapping(ValueId value, Range range) {
    set_unknown(value, range);
    known_[value].may_wrap = range == kAnyInt && program_.values[value].scalar == Scalar::i32;
  }

  /// A form whose value may leave 32 bits is worth nothing: the value wraps then.
  void set_form(ValueId value, const std::optional<IntForm>& form) {
    if (!form) return set_wrapping(value, kAnyInt);
    const std::optional<int64_t> hi = above(*form, {}, INT32_MAX);
    const std::optional<int64_t> lo = below(*form, {}, INT32_MIN);
    if (!hi || !lo || !fits_int(*hi) || !fits_int(*lo)) return set_wrapping(value, kAnyInt);
    known_[value].range = {*lo, *hi};
    known_[value].form = *lo == *hi ? constant_form(lo.value()) : *form;
  }

  /// Into what a truth implies; less of that is always right.
  void imply(Inequalities& list, const IntForm& form) {
    if (list.size() >= kImpliedMax || implied_ >= kImpliedInAllMax) return;
    list.push_back(form);
    ++implied_;
  }
  void imply(Inequalities& list, const std::optional<IntForm>& form) {
    if (form) imply(list, *form);
  }

  void require(const std::optional<IntForm>& at_most_zero) {
    const bool has_room = inequalities_.size() < kInequalitiesMax;
    if (at_most_zero && has_room) inequalities_.push_back(*at_most_zero);
  }

  /// a - b + constant.
  static std::optional<IntForm> difference(const std::optional<IntForm>& a,
                                           const std::optional<IntForm>& b, int64_t more) {
    if (!a || !b) return std::nullopt;
    std::optional<IntForm> form = combined(*a, 1, *b, -1);
    if (form) form->constant += more;
    return form;
  }

  // --- Whole numbers ---

  /// The unknown quotient of value / divisor, for a value that is not negative.
  Unknown quotient_of(ValueId value, int64_t divisor) {
    const Range& range = known_[value].range;
    const auto [found, is_first] = quotients_.try_emplace(std::pair(value, divisor));
    if (is_first) found->second.unknown = add_unknown({range.lo / divisor, range.hi / divisor});
    const Unknown quotient = found->second.unknown;
    if (!is_first && found->second.required_at < inequalities_.size()) return quotient;
    found->second.required_at = inequalities_.size();
    const IntForm& form = *known_[value].form;
    require(combined(unknown_form(quotient), divisor, form, -1));
    std::optional<IntForm> rest = combined(form, 1, unknown_form(quotient), -divisor);
    if (rest) rest->constant -= divisor - 1;
    require(rest);
    return quotient;
  }

  void set_quotient(ValueId result, ValueId value, int64_t divisor) {
    const Unknown quotient = quotient_of(value, divisor);
    known_[result].range = ranges_[quotient];
    known_[result].form = unknown_form(quotient);
  }

  void set_remainder(ValueId result, ValueId value, int64_t divisor) {
    set_unknown(result, range_of(Opcode::rem_i, known_[value].range, {divisor, divisor}));
    std::optional<IntForm> rest =
        combined(*known_[value].form, 1, unknown_form(quotient_of(value, divisor)), -divisor);
    rest = rest ? combined(*rest, 1, *known_[result].form, -1) : std::nullopt;
    require(rest);
    require(rest ? combined(*rest, -1, {}, 0) : std::nullopt);
  }

  /// Both ways round: x = min(a, b) is at most a and at most b.
  void set_extreme(ValueId result, Opcode op, ValueId a, ValueId b) {
    set_unknown(result, range_of(op, range_if(a, {}), range_if(b, {})));
    for (const ValueId other : {a, b}) {
      const bool is_min = op == Opcode::min_i;
      require(is_min ? difference(known_[result].form, known_[other].form, 0)
                     : difference(known_[other].form, known_[result].form, 0));
    }
  }

  void walk_int(const Instruction& instruction, ValueId a, ValueId b) {
    using enum Opcode;
    const ValueId result = instruction.first_result;
    const Opcode op = instruction.op;
    const Known& first = known_[a];
    const Known& second = known_[b];
    const bool has_forms = first.form && second.form;
    const bool is_divisible = has_forms && first.range.lo >= 0;
    const std::optional<int64_t> number = number_in(b);
    if (has_forms && (op == add_i || op == sub_i)) {
      return set_form(result, combined(*first.form, 1, *second.form, op == add_i ? 1 : -1));
    }
    if (has_forms && op == mul_i && (number || number_in(a))) {
      return set_form(result, number ? combined(*first.form, *number, {}, 0)
                                     : combined(*second.form, *number_in(a), {}, 0));
    }
    if (has_forms && op == shl_i && number && *number >= 0 && *number < 31) {
      return set_form(result, combined(*first.form, int64_t{1} << *number, {}, 0));
    }
    if (is_divisible && number && op == div_i && *number > 0)
      return set_quotient(result, a, *number);
    if (is_divisible && number && op == rem_i && *number > 0) {
      return set_remainder(result, a, *number);
    }
    if (is_divisible && number && (op == shr_s || op == shr_u) && *number >= 0 && *number < 31) {
      return set_quotient(result, a, int64_t{1} << *number);
    }
    const bool is_low_bits =
        number && *number > 0 && std::has_single_bit(static_cast<uint64_t>(*number) + 1);
    if (is_divisible && is_low_bits && op == and_i) return set_remainder(result, a, *number + 1);
    if (has_forms && (op == min_i || op == max_i)) return set_extreme(result, op, a, b);
    const Range range = range_of(op, first.range, second.range);
    if (op == add_i || op == sub_i || op == mul_i || op == shl_i) {
      return set_wrapping(result, range);
    }
    set_unknown(result, range);
  }

  void walk_compare(const Instruction& instruction, ValueId a, ValueId b) {
    Known& result = known_[instruction.first_result];
    const std::optional<IntForm>& first = known_[a].form;
    const std::optional<IntForm>& second = known_[b].form;
    if (!first || !second) return;
    const auto add = [this](Inequalities& list, const std::optional<IntForm>& form) {
      imply(list, form);
    };
    const Opcode op = instruction.op;
    const bool is_unsigned = op == Opcode::lt_u && known_[b].range.lo >= 0;
    if (op == Opcode::lt_i || is_unsigned) add(result.if_true, difference(first, second, 1));
    // A number below one that is not negative, both without sign, is not negative either.
    if (is_unsigned) add(result.if_true, difference(constant_form(0), first, 0));
    if (op == Opcode::lt_i) add(result.if_false, difference(second, first, 0));
    if (op == Opcode::le_i || op == Opcode::eq_i) add(result.if_true, difference(first, second, 0));
    if (op == Opcode::le_i) add(result.if_false, difference(second, first, 1));
    if (op == Opcode::eq_i) add(result.if_true, difference(second, first, 0));
  }

  void walk_bool(const Instruction& instruction, std::span<const ValueId> operands) {
    Known& result = known_[instruction.first_result];
    if (instruction.op == Opcode::not_b) {
      for (const IntForm& form : known_[operands[0]].if_false) imply(result.if_true, form);
      for (const IntForm& form : known_[operands[0]].if_true) imply(result.if_false, form);
      return;
    }
    const bool is_and = instruction.op == Opcode::and_b;
    if (!is_and && instruction.op != Opcode::or_b) return;
    for (const ValueId operand : operands) {
      Inequalities& both = is_and ? result.if_true : result.if_false;
      const Inequalities& own = is_and ? known_[operand].if_true : known_[operand].if_false;
      for (const IntForm& form : own) imply(both, form);
    }
  }

  // --- Memory ---

  /// An open load is masked, which gives 0 where it leaves its memory.
  void walk_load(const Instruction& instruction, bool is_open) {
    const Parameter& parameter = program_.parameters[instruction.slot];
    const ValueId result = instruction.first_result;
    const std::tuple key(instruction.slot, program_.operands_of(instruction)[0],
                         instruction.lane_stride, program_.values[result].width);
    const bool is_same = !parameter.written && !instruction.masked && !is_open;
    if (const auto found = loaded_.find(key); is_same && found != loaded_.end()) {
      known_[result] = known_[found->second];
      return;
    }
    Range range = range_of_storage(parameter.storage);
    const bool is_given = !parameter.written && instruction.slot < contents_.size() &&
                          contents_[instruction.slot].has_value();
    if (is_given) range = *contents_[instruction.slot];
    if (instruction.masked || is_open) range = union_of(range, {0, 0});
    set_unknown(result, range);
    if (is_same) loaded_[key] = result;
  }

  /// Whether each index of `index` + lane * `lane_stride` is in 32 bits what it is in 64.
  bool may_wrap(ValueId index, int64_t lane_stride) const {
    if (known_[index].may_wrap) return true;
    const std::optional<IntForm> form = place(index, lane_stride, 1);
    const auto hi = form ? above(*form, {}, INT32_MAX) : std::nullopt;
    const auto lo = form ? below(*form, {}, INT32_MIN) : std::nullopt;
    return !hi || !lo || !fits_int(*hi) || !fits_int(*lo);
  }

  /// An access at `index` that begins at element `first`. Whether it stands open.
  bool check(InstructionId id, const std::string& memory, const std::optional<IntForm>& first,
             int64_t more_elements, int64_t element_count, std::span<const IntForm> mask,
             ValueId index, int64_t lane_stride) {
    const int64_t last_good = element_count - 1 - more_elements;
    const auto hi = first ? above(*first, mask, last_good) : std::nullopt;
    const auto lo = first ? below(*first, mask, 0) : std::nullopt;
    const bool is_inside = hi && lo && *hi <= last_good && *lo >= 0;
    if (is_inside && !known_[index].may_wrap) return false;
    found_.open.push_back({id, memory, lo.value_or(INT32_MIN),
                           hi.value_or(INT32_MAX) + more_elements, element_count,
                           may_wrap(index, lane_stride)});
    return true;
  }

  /// Where an access begins, in elements: `width` for each step of the index.
  std::optional<IntForm> place(ValueId index, int64_t lane_stride, int64_t width) const {
    if (!known_[index].form) return std::nullopt;
    const std::optional<IntForm> form =
        combined(*known_[index].form, 1, unknown_form(lane_), lane_stride);
    return form ? combined(*form, width, {}, 0) : std::nullopt;
  }

  Inequalities mask_of(const Instruction& instruction) const {
    return instruction.masked ? known_[program_.operands_of(instruction).back()].if_true
                              : Inequalities();
  }

  /// Whether it stands open.
  bool check_plain(InstructionId id, const Instruction& instruction) {
    const std::span<const ValueId> operands = program_.operands_of(instruction);
    const bool is_store = instruction.op == Opcode::store || instruction.op == Opcode::store_local;
    const bool has_width =
        is_store || instruction.op == Opcode::load || instruction.op == Opcode::load_local;
    const int64_t width =
        has_width ? program_.values[is_store ? operands[1] : instruction.first_result].width : 1;
    const int64_t stride = instruction.lane_stride == kIndexed ? 0 : instruction.lane_stride;
    const bool is_local = is_local_access(instruction.op);
    const int64_t count = is_local ? local_elements(instruction.slot) : elements(instruction.slot);
    return check(id, memory_name(instruction.slot, is_local), place(operands[0], stride, width),
                 width - 1, count, mask_of(instruction), operands[0], stride);
  }

  void check_copy(InstructionId id, const Instruction& instruction) {
    const std::span<const ValueId> operands = program_.operands_of(instruction);
    check(id, memory_name(instruction.slot, true), place(operands[0], 0, 1), instruction.imm - 1,
          local_elements(instruction.slot), {}, operands[0], 0);
    check(id, memory_name(instruction.source, false), place(operands[1], 0, 1), instruction.imm - 1,
          elements(instruction.source), mask_of(instruction), operands[1], 0);
  }

  /// A constant stride that is not negative; in the other orders of local memory nothing is proven.
  void check_fragment(InstructionId id, const Instruction& instruction) {
    const std::span<const ValueId> operands = program_.operands_of(instruction);
    const bool is_load = instruction.result_count > 0;
    const Fragment& shape =
        program_.values[is_load ? instruction.first_result : operands[2]].fragment;
    const bool by_columns = (instruction.imm & kByColumns) != 0;
    const std::optional<int64_t> stride = number_in(operands[1]);
    const bool is_plain = (instruction.imm & ~kByColumns) == 0 && stride && *stride >= 0;
    const int64_t lines = by_columns ? shape.columns() : shape.rows();
    const int64_t length = by_columns ? shape.rows() : shape.columns();
    const bool is_local = is_local_access(instruction.op);
    check(id, memory_name(instruction.slot, is_local),
          is_plain ? place(operands[0], 0, 1) : std::nullopt,
          (lines - 1) * stride.value_or(0) + length - 1,
          is_local ? local_elements(instruction.slot) : elements(instruction.slot), {}, operands[0],
          0);
  }

  int64_t elements(uint32_t slot) const { return program_.parameters[slot].element_count; }
  int64_t local_elements(uint32_t slot) const {
    return int64_t{program_.locals[slot].count} * program_.locals[slot].width;
  }
  std::string memory_name(uint32_t slot, bool is_local) const {
    return is_local ? program_.locals[slot].name : program_.parameters[slot].name;
  }

  void walk_memory(InstructionId id, const Instruction& instruction) {
    if (instruction.op == Opcode::copy_async) return check_copy(id, instruction);
    if (is_fragment_access(instruction.op)) return check_fragment(id, instruction);
    if (instruction.op == Opcode::prefetch) {
      const ValueId index = program_.operands_of(instruction)[0];
      check(id, memory_name(instruction.slot, false), place(index, 0, 1), instruction.imm - 1,
            elements(instruction.slot), {}, index, 0);
      return;
    }
    const bool is_open = check_plain(id, instruction);
    if (instruction.op == Opcode::load) walk_load(instruction, is_open);
  }

  // --- Blocks ---

  Rounds rounds_of(const Instruction& loop) const {
    const std::span<const ValueId> operands = program_.operands_of(loop);
    const int64_t step = *number_in(operands[2]);
    // Behind the last round the counter is less than a step past it, unrolled or not.
    const bool can_wrap = range_if(operands[1], {}).hi - 1 + step > INT32_MAX;
    const auto rounds = [&](int64_t length) {
      return length > 0 ? (length + step - 1) / step : int64_t{0};
    };
    const std::optional<IntForm> length =
        difference(known_[operands[1]].form, known_[operands[0]].form, 0);
    if (length && length->is_constant()) {
      const int64_t exact = rounds(length->constant);
      return {exact, exact, can_wrap};
    }
    const auto most = length ? above(*length, {}, 0) : std::nullopt;
    return {std::nullopt, most ? rounds(*most) : INT32_MAX, can_wrap};
  }

  /// How far below its end a loop's last round is at least, for hi - lo = length.
  static int64_t rest_of(const std::optional<IntForm>& length, int64_t step) {
    const auto is_multiple = [&](const auto& term) { return term.second % step == 0; };
    if (!length || !std::ranges::all_of(length->terms, is_multiple)) return 1;
    return ((length->constant - 1) % step + step) % step + 1;
  }

  void open_counter(const Instruction& loop, ValueId counter, const Rounds& rounds) {
    const std::span<const ValueId> operands = program_.operands_of(loop);
    const Known& lo = known_[operands[0]];
    known_[counter].may_wrap = lo.may_wrap;
    if (rounds.may_wrap) return set_unknown(counter, kAnyInt);
    const Known& hi = known_[operands[1]];
    const int64_t step = *number_in(operands[2]);
    const int64_t last = (std::max<int64_t>(rounds.most, 1) - 1) * step;
    const int64_t rest = rest_of(difference(hi.form, lo.form, 0), step);
    Range range = {lo.range.lo, std::max(lo.range.lo, hi.range.hi - rest)};
    if (lo.range.hi + last < range.hi) range.hi = std::max(range.lo, lo.range.hi + last);
    set_unknown(counter, range);
    require(difference(lo.form, known_[counter].form, 0));
    require(difference(known_[counter].form, hi.form, rest));
    require(difference(known_[counter].form, lo.form, -last));
  }

  /// What is added to a carried value in each round, if it is a constant.
  std::optional<int64_t> growth_of(const Block& block, ValueId carried, ValueId next) const {
    if (carried == next) return 0;
    for (const InstructionId id : block.instructions) {
      const Instruction& instruction = program_.instructions[id];
      if (instruction.result_count != 1 || instruction.first_result != next) continue;
      if (instruction.op != Opcode::add_i) return std::nullopt;
      const std::span<const ValueId> operands = program_.operands_of(instruction);
      if (operands[0] != carried && operands[1] != carried) return std::nullopt;
      return number_in(operands[0] == carried ? operands[1] : operands[0]);
    }
    return std::nullopt;
  }

  /// A carried value that grows by a constant: inside of the loop, and as its result.
  void open_carried(const Instruction& loop, const Block& block, size_t i, const Rounds& rounds) {
    const std::span<const ValueId> operands = program_.operands_of(loop);
    const ValueId carried = block.first_argument + 1 + static_cast<ValueId>(i);
    const ValueId result = loop.first_result + static_cast<ValueId>(i);
    const Instruction& yield = program_.instructions[block.instructions.back()];
    const Known& initial = known_[operands[3 + i]];
    const std::optional<int64_t> growth = growth_of(block, carried, program_.operands_of(yield)[i]);
    set_wrapping(carried, kAnyInt);
    set_wrapping(result, kAnyInt);
    if (!growth || !initial.form || rounds.may_wrap) return;
    const auto grown = [&](int64_t most_rounds) {
      int64_t most = 0;
      if (__builtin_mul_overflow(*growth, most_rounds, &most)) return kAnyInt;
      const Range range = {initial.range.lo + std::min<int64_t>(most, 0),
                           initial.range.hi + std::max<int64_t>(most, 0)};
      return fits_int(range.lo) && fits_int(range.hi) ? range : kAnyInt;
    };
    set_wrapping(result, grown(rounds.most));
    set_wrapping(carried, grown(std::max<int64_t>(rounds.most, 1) - 1));
    for (const ValueId value : {carried, result}) known_[value].may_wrap |= initial.may_wrap;
    const int64_t step = *number_in(operands[2]);
    const std::optional<IntForm> passed =
        difference(known_[block.first_argument].form, known_[operands[0]].form, 0);
    if (*growth % step != 0 || !passed || known_[carried].range == kAnyInt) return;
    set_form(carried, combined(*initial.form, 1, *passed, *growth / step));
  }

  void walk_loop(const Instruction& loop) {
    const Rounds rounds = rounds_of(loop);
    const Block& block = program_.blocks[loop.regions[0]];
    const size_t outside = inequalities_.size();
    const double times_outside = times_;
    const bool had_flop = has_flop_;
    const double flop_before = flop_;
    times_ *= static_cast<double>(rounds.exact.value_or(1));
    open_counter(loop, block.first_argument, rounds);
    for (size_t i = 0; i < loop.result_count; ++i) open_carried(loop, block, i, rounds);
    walk_block(loop.regions[0]);
    inequalities_.resize(outside);
    times_ = times_outside;
    const bool counts = rounds.exact || flop_ == flop_before;
    has_flop_ = had_flop && has_flop_ && counts;
  }

  void walk_branch(const Instruction& branch) {
    const Known& condition = known_[program_.operands_of(branch)[0]];
    const double flop_before = flop_;
    for (size_t side = 0; side < 2; ++side) {
      if (branch.regions[side] == kNone) continue;
      const size_t outside = inequalities_.size();
      const Inequalities& holds = side == 0 ? condition.if_true : condition.if_false;
      for (const IntForm& form : holds) require(form);
      walk_block(branch.regions[side]);
      inequalities_.resize(outside);
    }
    if (flop_ != flop_before) has_flop_ = false;
  }

  void walk_block(BlockId id) {
    for (const InstructionId i : program_.blocks[id].instructions) walk(i);
  }

  // --- Instructions ---

  void count_flop(const Instruction& instruction) {
    if (instruction.result_count != 1) return;
    const Type& type = program_.values[instruction.first_result];
    const double lanes = type.varying ? program_.wave_lanes : 1;
    const OpClass kind = class_of(instruction.op);
    const bool is_one =
        kind == OpClass::unary_float || kind == OpClass::binary_float || kind == OpClass::function;
    double each = is_one ? 1 : 0;
    if (instruction.op == Opcode::fma) each = 2;
    if (instruction.op == Opcode::dot_bf16) each = 4;
    const bool is_float_sum = instruction.op == Opcode::reduce_add && is_float(type.scalar);
    if (is_float_sum) each = program_.wave_lanes - 1;
    if (instruction.op == Opcode::mma) {
      each = 2.0 * type.fragment.m * type.fragment.n * type.fragment.k / type.fragment.waves;
    }
    flop_ += each * lanes * type.width * times_;
  }

  void walk_other(const Instruction& instruction, std::span<const ValueId> operands) {
    using enum Opcode;
    const ValueId result = instruction.first_result;
    const Opcode op = instruction.op;
    const auto number = static_cast<size_t>(instruction.imm);
    const bool takes_lanes = op == shuffle || op == shuffle_xor || op == shuffle_up ||
                             op == shuffle_down || op == reduce_min || op == reduce_max ||
                             op == rounds || op == extract;
    if (op == Opcode::constant) return set_unknown(result, {instruction.imm, instruction.imm});
    if (op == lane_id) return set_form(result, unknown_form(lane_));
    if (op == wave_id) return set_form(result, unknown_form(wave_));
    if (op == group_id) return set_form(result, unknown_form(group_[number]));
    if (op == int_from_bool) return set_unknown(result, {0, 1});
    if (takes_lanes) return set_unknown(result, known_[operands[0]].range);
    if (op == select) {
      return set_unknown(result, union_of(range_if(operands[1], known_[operands[0]].if_true),
                                          range_if(operands[2], known_[operands[0]].if_false)));
    }
    if (op == vector) {
      Range range = known_[operands[0]].range;
      for (const ValueId operand : operands) range = union_of(range, known_[operand].range);
      return set_unknown(result, range);
    }
    for (ValueId i = 0; i < instruction.result_count; ++i) set_unknown(result + i, kAnyInt);
  }

  /// Emitters look through sums, products and quotients, and what folds the program may put any
  /// operand in the place of a result. What is loaded has no parts.
  void pass_wrapping_on(const Instruction& instruction, std::span<const ValueId> operands) {
    const ValueId result = instruction.first_result;
    const bool has_parts = instruction.result_count == 1 &&
                           program_.values[result].scalar == Scalar::i32 &&
                           !is_global_access(instruction.op) && !is_local_access(instruction.op);
    const auto may_wrap = [&](ValueId operand) { return known_[operand].may_wrap; };
    if (has_parts && std::ranges::any_of(operands, may_wrap)) known_[result].may_wrap = true;
  }

  void walk(InstructionId id) {
    const Instruction& instruction = program_.instructions[id];
    const std::span<const ValueId> operands = program_.operands_of(instruction);
    count_flop(instruction);
    if (instruction.op == Opcode::loop) return walk_loop(instruction);
    if (instruction.op == Opcode::branch) return walk_branch(instruction);
    walk_value(id, instruction, operands);
    pass_wrapping_on(instruction, operands);
  }

  void walk_value(InstructionId id, const Instruction& instruction,
                  std::span<const ValueId> operands) {
    const OpClass kind = class_of(instruction.op);
    const bool is_plain_int = kind == OpClass::binary_int &&
                              program_.values[instruction.first_result].scalar == Scalar::i32;
    if (is_plain_int) return walk_int(instruction, operands[0], operands[1]);
    if (kind == OpClass::compare) return walk_compare(instruction, operands[0], operands[1]);
    if (kind == OpClass::binary_bool || instruction.op == Opcode::not_b) {
      return walk_bool(instruction, operands);
    }
    walk_other(instruction, operands);
    const bool is_access = is_global_access(instruction.op) || is_local_access(instruction.op) ||
                           instruction.op == Opcode::prefetch;
    if (is_access) walk_memory(id, instruction);
  }

  const Program& program_;
  std::span<const std::optional<Range>> contents_;
  std::vector<Known> known_;   // by value
  std::vector<Range> ranges_;  // by unknown
  Inequalities inequalities_;  // that hold here
  Unknown lane_ = 0;
  Unknown wave_ = 0;
  std::vector<Unknown> group_;
  std::map<std::pair<ValueId, int64_t>, Quotient> quotients_;
  std::map<std::tuple<uint32_t, ValueId, int32_t, uint8_t>, ValueId> loaded_;
  double times_ = 1;  // how often a wave's instruction is executed here, over the whole launch
  double flop_ = 0;
  bool has_flop_ = true;
  size_t implied_ = 0;  // inequalities of all truths
  LaunchRanges found_;
};

}  // namespace

LaunchRanges find_ranges(const Program& program, std::span<const std::optional<Range>> contents) {
  return Walk(program, contents).run();
}

std::string text_of(const Program& program, const OpenAccess& access) {
  return fmt::format("\"{}\" may reach elements ({}) to ({}) of \"{}\", which has ({})",
                     print_instruction(program, access.instruction), access.first, access.last,
                     access.memory, access.element_count);
}

}  // namespace leat::ir
