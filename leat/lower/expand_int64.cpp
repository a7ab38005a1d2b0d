// expand_int64: see passes.h. A number is a vector of two words, the low one first, which is how it
// lies in memory too. Products are put together from halves of words, quotients bit by bit.
#include <algorithm>
#include <functional>

#include "leat/base/check.h"
#include "leat/base/shape.h"
#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Instruction;
using ir::kNone;
using ir::Opcode;
using ir::Scalar;
using ir::ValueId;

constexpr int kWordBits = 32;

struct Words {
  ValueId low = kNone;
  ValueId high = kNone;
};

/// What stands for one instruction.
class Int64Writer {
 public:
  explicit Int64Writer(Builder& builder) : b_(builder) {}

  Words words(ValueId pair) { return {b_.extract(pair, 0), b_.extract(pair, 1)}; }
  ValueId pair(const Words& words) {
    const ValueId components[] = {words.low, words.high};
    return b_.vector(components);
  }
  ValueId pair(int64_t value) {
    return pair({i32(static_cast<int32_t>(value)), i32(static_cast<int32_t>(value >> kWordBits))});
  }

  Words add(const Words& a, const Words& b);
  Words subtract(const Words& a, const Words& b);
  Words multiply(const Words& a, const Words& b);
  ValueId quotient(ValueId a, ValueId b) { return divide(a, b).quotient; }
  ValueId remainder(ValueId a, ValueId b) { return divide(a, b).rest; }
  Words shift_left(const Words& a, ValueId count);
  Words shift_right(const Words& a, ValueId count, bool has_sign);
  ValueId less(const Words& a, const Words& b, bool has_sign);
  ValueId equal(const Words& a, const Words& b) {
    const ValueId high = compare(Opcode::eq_i, a.high, b.high);
    return b_.logical_and(compare(Opcode::eq_i, a.low, b.low), high);
  }
  Words of_float(ValueId value);
  ValueId to_float(const Words& a);

 private:
  struct Division {
    ValueId quotient = kNone;
    ValueId rest = kNone;
  };

  ValueId i32(int64_t value) { return b_.i32(value); }
  ValueId op(Opcode opcode, ValueId a, ValueId b) { return b_.binary(opcode, a, b); }
  ValueId with(Opcode opcode, ValueId a, int64_t b) { return b_.binary(opcode, a, i32(b)); }
  ValueId compare(Opcode opcode, ValueId a, ValueId b) { return b_.binary(opcode, a, b); }
  ValueId bit(ValueId truth) { return b_.convert(Opcode::int_from_bool, truth); }
  Words select(ValueId condition, const Words& a, const Words& b) {
    return {b_.select(condition, a.low, b.low), b_.select(condition, a.high, b.high)};
  }
  Words zero() { return {i32(0), i32(0)}; }
  ValueId is_negative(const Words& a) { return compare(Opcode::lt_i, a.high, i32(0)); }
  /// -a where the condition holds.
  Words negated_if(ValueId condition, const Words& a) {
    return select(condition, subtract(zero(), a), a);
  }
  ValueId high_product(ValueId a, ValueId b);
  ValueId word_of_float(ValueId value);
  Division divide(ValueId a, ValueId b);
  std::vector<ValueId> division_step(ValueId rest_pair, ValueId digits_pair, const Words& divisor);

  Builder& b_;
};

Words Int64Writer::add(const Words& a, const Words& b) {
  const ValueId low = b_.add(a.low, b.low);
  const ValueId carry = bit(compare(Opcode::lt_u, low, a.low));
  return {low, b_.add(b_.add(a.high, b.high), carry)};
}

Words Int64Writer::subtract(const Words& a, const Words& b) {
  const ValueId borrow = bit(compare(Opcode::lt_u, a.low, b.low));
  return {b_.sub(a.low, b.low), b_.sub(b_.sub(a.high, b.high), borrow)};
}

/// The upper word of the product without sign.
ValueId Int64Writer::high_product(ValueId a, ValueId b) {
  constexpr int kHalf = kWordBits / 2;
  constexpr int64_t kLowHalf = (1 << kHalf) - 1;
  const Words left = {with(Opcode::and_i, a, kLowHalf), with(Opcode::shr_u, a, kHalf)};
  const Words right = {with(Opcode::and_i, b, kLowHalf), with(Opcode::shr_u, b, kHalf)};
  const ValueId lowest = b_.mul(left.low, right.low);
  const ValueId above = with(Opcode::shr_u, lowest, kHalf);
  const ValueId first = b_.add(b_.mul(left.high, right.low), above);
  const ValueId below = with(Opcode::and_i, first, kLowHalf);
  const ValueId second = b_.add(b_.mul(left.low, right.high), below);
  const ValueId of_second = with(Opcode::shr_u, second, kHalf);
  const ValueId of_first = with(Opcode::shr_u, first, kHalf);
  return b_.add(b_.add(b_.mul(left.high, right.high), of_first), of_second);
}

Words Int64Writer::multiply(const Words& a, const Words& b) {
  const ValueId high_low = b_.mul(a.high, b.low);
  const ValueId crossed = b_.add(b_.mul(a.low, b.high), high_low);
  return {b_.mul(a.low, b.low), b_.add(high_product(a.low, b.low), crossed)};
}

/// The count has six bits. Within a word the bits that pass over move by two shifts, as one by the
/// word's width would be none.
Words Int64Writer::shift_left(const Words& a, ValueId count) {
  const ValueId within = with(Opcode::and_i, count, kWordBits - 1);
  const ValueId rest = b_.sub(i32(kWordBits - 1), within);
  const ValueId low = op(Opcode::shl_i, a.low, within);
  const ValueId passed = op(Opcode::shr_u, with(Opcode::shr_u, a.low, 1), rest);
  const ValueId high = op(Opcode::or_i, op(Opcode::shl_i, a.high, within), passed);
  const ValueId zero = i32(0);
  const ValueId is_within = compare(Opcode::eq_i, with(Opcode::and_i, count, kWordBits), zero);
  return select(is_within, {low, high}, {i32(0), low});
}

Words Int64Writer::shift_right(const Words& a, ValueId count, bool has_sign) {
  const Opcode shift = has_sign ? Opcode::shr_s : Opcode::shr_u;
  const ValueId within = with(Opcode::and_i, count, kWordBits - 1);
  const ValueId rest = b_.sub(i32(kWordBits - 1), within);
  const ValueId high = op(shift, a.high, within);
  const ValueId passed = op(Opcode::shl_i, with(Opcode::shl_i, a.high, 1), rest);
  const ValueId low = op(Opcode::or_i, op(Opcode::shr_u, a.low, within), passed);
  const ValueId zero = i32(0);
  const ValueId is_within = compare(Opcode::eq_i, with(Opcode::and_i, count, kWordBits), zero);
  const ValueId filled = has_sign ? with(Opcode::shr_s, a.high, kWordBits - 1) : i32(0);
  return select(is_within, {low, high}, {high, filled});
}

ValueId Int64Writer::less(const Words& a, const Words& b, bool has_sign) {
  const Opcode of_high = has_sign ? Opcode::lt_i : Opcode::lt_u;
  const ValueId low = compare(Opcode::lt_u, a.low, b.low);
  const ValueId below = b_.logical_and(compare(Opcode::eq_i, a.high, b.high), low);
  return b_.binary(Opcode::or_b, compare(of_high, a.high, b.high), below);
}

/// One bit of the quotient: the dividend's next bit joins the rest, from which the divisor is taken
/// if it can be. The quotient's bits follow the dividend's in the same number.
std::vector<ValueId> Int64Writer::division_step(ValueId rest_pair, ValueId digits_pair,
                                                const Words& divisor) {
  const Words digits = words(digits_pair);
  const ValueId one = i32(1);
  Words rest = shift_left(words(rest_pair), one);
  rest.low = op(Opcode::or_i, rest.low, with(Opcode::shr_u, digits.high, kWordBits - 1));
  const ValueId is_less = less(rest, divisor, false);
  Words next = shift_left(digits, i32(1));
  next.low = op(Opcode::or_i, next.low, bit(b_.not_b(is_less)));
  return {pair(select(is_less, rest, subtract(rest, divisor))), pair(next)};
}

/// Of the magnitudes, which have at most 63 bits or are 2^63; rounded towards zero.
Int64Writer::Division Int64Writer::divide(ValueId a, ValueId b) {
  const bool varying = b_.type(a).varying || b_.type(b).varying;
  const ValueId left_negative = is_negative(words(a));
  const ValueId right_negative = is_negative(words(b));
  const Words divisor = negated_if(right_negative, words(b));
  const ValueId init[] = {pair(zero()), pair(negated_if(left_negative, words(a)))};
  const std::vector<ValueId> found =
      b_.repeat(i32(2 * kWordBits), init, varying, [&](ValueId, std::span<const ValueId> carried) {
        return division_step(carried[0], carried[1], divisor);
      });
  const ValueId signs_differ = b_.binary(Opcode::xor_b, left_negative, right_negative);
  return {pair(negated_if(signs_differ, words(found[1]))),
          pair(negated_if(left_negative, words(found[0])))};
}

/// Of a number in [0, 2^32), which an i32 has not.
ValueId Int64Writer::word_of_float(ValueId value) {
  const ValueId is_large = b_.binary(Opcode::le_f, b_.f32(0x1p31f), value);
  const ValueId reduced = b_.select(is_large, b_.sub(value, b_.f32(0x1p31f)), value);
  const ValueId word = b_.convert(Opcode::int_from_float, reduced);
  return b_.select(is_large, with(Opcode::xor_i, word, INT32_MIN), word);
}

/// Both words are exact: a float has fewer bits than a word.
Words Int64Writer::of_float(ValueId value) {
  const ValueId size = b_.unary(Opcode::abs, value);
  const ValueId fits = b_.binary(Opcode::lt_f, size, b_.f32(0x1p63f));
  const ValueId safe = b_.select(fits, size, b_.f32(0));
  const ValueId high = b_.unary(Opcode::floor, b_.mul(safe, b_.f32(0x1p-32f)));
  const ValueId low = b_.unary(Opcode::floor, b_.sub(safe, b_.mul(high, b_.f32(0x1p32f))));
  const Words magnitude = {word_of_float(low), word_of_float(high)};
  const ValueId negative = b_.binary(Opcode::lt_f, value, b_.f32(0));
  const ValueId positive = b_.binary(Opcode::lt_f, b_.f32(0), value);
  const Words neither = zero();
  const Words below = select(negative, {i32(0), i32(INT32_MIN)}, neither);
  const Words outside = select(positive, {i32(-1), i32(INT32_MAX)}, below);
  return select(fits, negated_if(negative, magnitude), outside);
}

/// The magnitude is moved up until its top bit is set. 31 bits of it, the last of which says
/// whether any below is set, round as the whole does.
ValueId Int64Writer::to_float(const Words& a) {
  const ValueId negative = is_negative(a);
  Words size = negated_if(negative, a);
  ValueId moved = i32(0);
  for (int step = kWordBits; step > 0; step /= 2) {
    const ValueId top =
        step == kWordBits ? size.high : with(Opcode::shr_u, size.high, kWordBits - step);
    const ValueId has_room = compare(Opcode::eq_i, top, i32(0));
    size = select(has_room, shift_left(size, i32(step)), size);
    const ValueId none = i32(0);
    moved = b_.add(moved, b_.select(has_room, i32(step), none));
  }
  const ValueId is_rest = b_.not_b(compare(Opcode::eq_i, size.low, i32(0)));
  const ValueId rest = bit(is_rest);
  const ValueId last = op(Opcode::or_i, with(Opcode::and_i, size.high, 1), rest);
  const ValueId top = op(Opcode::or_i, with(Opcode::shr_u, size.high, 1), last);
  constexpr int kBias = 127;
  constexpr int kMantissaBits = 23;
  const ValueId exponent = b_.sub(i32(kBias + kWordBits + 1), moved);
  const ValueId scale =
      b_.convert(Opcode::float_from_bits, with(Opcode::shl_i, exponent, kMantissaBits));
  const ValueId number = b_.mul(b_.convert(Opcode::float_from_int, top), scale);
  return b_.select(negative, b_.unary(Opcode::neg, number), number);
}

DType carrier_of(DType storage) {
  return storage == DType::i64 || storage == DType::u64 ? DType::i32 : storage;
}

ir::Program with_words(ir::Program program) {
  for (ir::Parameter& parameter : program.parameters) {
    if (carrier_of(parameter.storage) == parameter.storage) continue;
    parameter.storage = DType::i32;
    parameter.element_count =
        std::min(2 * parameter.element_count, kElementsMax);  // an open one has as many
  }
  for (ir::LocalMemory& local : program.locals) {
    if (carrier_of(local.storage) == local.storage) continue;
    local.storage = DType::i32;
    local.width = 2;
  }
  return program;
}

class Replacer {
 public:
  explicit Replacer(const ir::Program& program) : program_(program) {}

  ir::Replaced replace(Builder& b, const Instruction& instruction,
                       std::span<const ValueId> operands) const {
    const std::span<const ValueId> old = program_.operands_of(instruction);
    const bool gives = instruction.result_count > 0 && is_wide(instruction.first_result);
    const bool takes = std::ranges::any_of(old, [&](ValueId id) { return is_wide(id); });
    if (!gives && !takes) return std::nullopt;
    if (ir::is_global_access(instruction.op) || ir::is_local_access(instruction.op)) {
      return access(b, instruction, operands);
    }
    return arithmetic(b, instruction, operands);
  }

 private:
  bool is_wide(ValueId value) const { return program_.values[value].scalar == Scalar::i64; }

  static ir::Replaced access(Builder& b, const Instruction& instruction,
                             std::span<const ValueId> operands) {
    const ValueId mask = instruction.masked ? operands.back() : kNone;
    if (instruction.op == Opcode::load_local) return b.load_local(instruction.slot, operands[0], 2);
    if (instruction.op == Opcode::store_local) {
      return b.store_local(instruction.slot, operands[0], operands[1]), kNone;
    }
    const ValueId index = ir::full_index(b, instruction, operands[0]);
    if (instruction.op == Opcode::load) return b.load(instruction.slot, index, 2, mask);
    CHECK(instruction.op == Opcode::store);
    return b.store(instruction.slot, index, operands[1], mask), kNone;
  }

  static ir::Replaced arithmetic(Builder& b, const Instruction& instruction,
                                 std::span<const ValueId> operands) {
    using enum Opcode;
    Int64Writer writer(b);
    const Opcode op = instruction.op;
    if (op == constant) return writer.pair(instruction.imm);
    if (op == select) return b.select(operands[0], operands[1], operands[2]);
    if (op == widen_u) return writer.pair({operands[0], b.i32(0)});
    if (op == widen_i) {
      return writer.pair({operands[0], b.binary(shr_s, operands[0], b.i32(kWordBits - 1))});
    }
    if (op == narrow_i) return b.extract(operands[0], 0);
    if (op == int_from_float) return writer.pair(writer.of_float(operands[0]));
    if (op == float_from_int) return writer.to_float(writer.words(operands[0]));
    const Words left = writer.words(operands[0]);
    if (op == popcount) {
      const ValueId high = b.unary(popcount, left.high);
      return writer.pair({b.add(b.unary(popcount, left.low), high), b.i32(0)});
    }
    const Words right = writer.words(operands[1]);
    if (op == add_i) return writer.pair(writer.add(left, right));
    if (op == sub_i) return writer.pair(writer.subtract(left, right));
    if (op == mul_i) return writer.pair(writer.multiply(left, right));
    if (op == div_i) return writer.quotient(operands[0], operands[1]);
    if (op == rem_i) return writer.remainder(operands[0], operands[1]);
    if (op == min_i || op == max_i) {
      const ValueId takes_left = writer.less(left, right, true);
      return op == min_i ? b.select(takes_left, operands[0], operands[1])
                         : b.select(takes_left, operands[1], operands[0]);
    }
    if (op == and_i || op == or_i || op == xor_i) {
      return writer.pair({b.binary(op, left.low, right.low), b.binary(op, left.high, right.high)});
    }
    if (op == shl_i) return writer.pair(writer.shift_left(left, right.low));
    if (op == shr_s || op == shr_u) {
      return writer.pair(writer.shift_right(left, right.low, op == shr_s));
    }
    if (op == lt_i || op == lt_u) return writer.less(left, right, op == lt_i);
    if (op == le_i) return b.not_b(writer.less(right, left, true));
    CHECK(op == eq_i);
    return writer.equal(left, right);
  }

  const ir::Program& program_;
};

/// Vectors of numbers are what no lowering writes; numbers of f64 are none that the target has.
bool can_expand(const ir::Program& program) {
  const auto is_single = [](const ir::Type& type) {
    return type.scalar != Scalar::f64 && (type.scalar != Scalar::i64 || type.width == 1);
  };
  return std::ranges::all_of(program.values, is_single) &&
         std::ranges::all_of(program.locals, [](const ir::LocalMemory& local) {
           return local.width == 1 || carrier_of(local.storage) == local.storage;
         });
}

}  // namespace

ir::Program expand_int64(const ir::Program& program, const TargetFacts& facts) {
  const auto is_wide = [](const ir::Type& type) { return type.scalar == Scalar::i64; };
  // A parameter that nothing reads, as of a number times 0, is wide all the same.
  const auto lies_wide = [](const auto& memory) {
    return carrier_of(memory.storage) != memory.storage;
  };
  const bool has_work = std::ranges::any_of(program.values, is_wide) ||
                        std::ranges::any_of(program.parameters, lies_wide) ||
                        std::ranges::any_of(program.locals, lies_wide);
  if (facts.has_i64 || !has_work || !can_expand(program)) return program;
  const Replacer replacer(program);
  return ir::rewrite(with_words(program), [&](Builder& b, const Instruction& instruction,
                                              std::span<const ValueId> operands) {
    return replacer.replace(b, instruction, operands);
  });
}

}  // namespace leat
