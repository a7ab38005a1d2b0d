// The builder's folding of integers: what turns the general index formula of a lowering into the
// special case's. Constants move outwards ((x + c) + y is (x + y) + c, (x + c) * k is x * k + c *
// k), so that equal parts are found equal and the constant ends as the offset of an access. All of
// this is exact without 2^32, too, as emitters add the parts of an index in 64 bits: constants that
// would leave 32 bits stay where they are. Quotients of quotients are left alone: join_division
// looks for the pair x/c, x%c.
#include <algorithm>
#include <bit>

#include "leat/base/check.h"
#include "leat/ir/builder.h"
#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

/// More terms than this are not looked at: the sum stays as it is.
constexpr size_t kLinearTermsMax = 16;
constexpr int kLinearVisitsMax = 100;

bool fits(int64_t value) { return value >= INT32_MIN && value <= INT32_MAX; }

int64_t wrapped(int64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }

bool is_power_of_two(int64_t value) {
  return value > 0 && std::has_single_bit(static_cast<uint64_t>(value));
}

int64_t log2_of(int64_t power) { return std::countr_zero(static_cast<uint64_t>(power)); }

int64_t floor_quotient(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/// `b` is of binary instructions only.
template <typename Int>
Int evaluate(Opcode op, int64_t a, int64_t b = 0) {
  Int result = 0;
  visit_opcode(op, [&]<Opcode known>() {
    if constexpr (class_constant(known) == OpClass::unary_int) {
      result = apply_unary_int<known>(static_cast<Int>(a));
    } else if constexpr (class_constant(known) == OpClass::binary_int) {
      result = apply_binary_int<known>(static_cast<Int>(a), static_cast<Int>(b));
    }
  });
  return result;
}

}  // namespace

ValueId Builder::unary_int(Opcode op, ValueId a) {
  CHECK(is_int(type(a).scalar));
  const std::optional<int64_t> value = this->constant(a);
  if (!value) return emit(op, type(a), std::span(&a, 1));
  if (type(a).scalar == Scalar::i64) return i64(evaluate<int64_t>(op, *value));
  return i32(evaluate<int32_t>(op, *value));
}

std::optional<ValueId> Builder::fold_int(Opcode op, ValueId a, ValueId b) {
  using enum Opcode;
  const std::optional<int64_t> ca = this->constant(a);
  const std::optional<int64_t> cb = this->constant(b);
  if (type(a).width != 1 || type(b).width != 1) {
    if (cb == 0 && (op == add_i || op == sub_i)) return a;
    if (cb == 1 && (op == mul_i || op == div_i)) return a;
    return std::nullopt;
  }
  if (ca && cb) return i32(evaluate<int32_t>(op, *ca, *cb));
  if (op == add_i) return fold_add(a, b);
  if (op == sub_i) return fold_sub(a, b);
  if (op == mul_i) return cb ? fold_mul(a, *cb) : std::nullopt;
  if (const std::optional<ValueId> folded = fold_by_range(op, a, b)) return folded;
  if (a == b) return fold_same(op, a);
  return cb ? fold_with_constant(op, a, *cb) : std::nullopt;
}

// Numbers of 64 bits are no indices: only constants are looked at.
std::optional<ValueId> Builder::fold_i64(Opcode op, ValueId a, ValueId b) {
  using enum Opcode;
  const std::optional<int64_t> ca = this->constant(a);
  const std::optional<int64_t> cb = this->constant(b);
  if (ca && cb) return i64(evaluate<int64_t>(op, *ca, *cb));
  if (cb == 0 && (op == add_i || op == sub_i)) return a;
  if (cb == 1 && (op == mul_i || op == div_i)) return a;
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_add(ValueId a, ValueId b) {
  // The constant operand of a commutative instruction stands second.
  if (const std::optional<int64_t> cb = constant(b)) {
    if (*cb == 0) return a;
    if (const Instruction* inner = definition(a, Opcode::add_i)) {
      const ValueId term = operand(*inner, 0);
      if (const auto c = constant(operand(*inner, 1)); c && fits(*c + *cb)) {
        return add(term, i32(*c + *cb));
      }
    }
    return std::nullopt;
  }
  for (const auto& [sum, other] : {std::pair(a, b), std::pair(b, a)}) {
    const Instruction* inner = definition(sum, Opcode::add_i);
    if (inner == nullptr || type(sum).width != 1) continue;
    const ValueId term = operand(*inner, 0);
    const ValueId last = operand(*inner, 1);
    if (constant(last)) return add(add(term, other), last);
    if (const std::optional<ValueId> joined = join_division(term, other)) return add(*joined, last);
    if (const std::optional<ValueId> joined = join_division(last, other)) return add(*joined, term);
  }
  for (const auto& [difference, other] : {std::pair(a, b), std::pair(b, a)}) {
    const Instruction* inner = definition(difference, Opcode::sub_i);
    if (inner != nullptr && operand(*inner, 1) == other) return operand(*inner, 0);
  }
  return join_division(a, b);
}

std::optional<ValueId> Builder::fold_sub(ValueId a, ValueId b) {
  if (const auto cb = constant(b); cb && fits(-*cb)) return add(a, i32(-*cb));
  if (a == b) return i32(0);
  if (const Instruction* inner = definition(a, Opcode::add_i)) {
    const ValueId term = operand(*inner, 0);
    const ValueId last = operand(*inner, 1);
    if (last == b) return term;
    if (term == b) return last;
    if (constant(last)) return add(sub(term, b), last);
  }
  if (const Instruction* inner = definition(b, Opcode::add_i)) {
    const ValueId term = operand(*inner, 0);
    if (const auto c = constant(operand(*inner, 1)); c && fits(-*c)) {
      const ValueId rest = sub(a, term);
      return add(rest, i32(-*c));
    }
  }
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_mul(ValueId a, int64_t factor) {
  if (factor == 0) return i32(0);
  if (factor == 1) return a;
  if (const Instruction* inner = definition(a, Opcode::mul_i)) {
    const ValueId term = operand(*inner, 0);
    if (const auto c = constant(operand(*inner, 1)); c && fits(*c * factor)) {
      return mul(term, i32(*c * factor));
    }
  }
  if (const Instruction* inner = definition(a, Opcode::add_i)) {
    const ValueId term = operand(*inner, 0);
    if (const auto c = constant(operand(*inner, 1)); c && fits(*c * factor)) {
      const ValueId scaled = mul(term, i32(factor));
      return add(scaled, i32(*c * factor));
    }
  }
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_by_range(Opcode op, ValueId a, ValueId b) {
  const Range ra = range(a);
  const Range rb = range(b);
  if (op == Opcode::min_i || op == Opcode::max_i) {
    const bool is_min = op == Opcode::min_i;
    if (ra.hi <= rb.lo) return is_min ? a : b;
    if (rb.hi <= ra.lo) return is_min ? b : a;
  }
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_same(Opcode op, ValueId a) {
  using enum Opcode;
  if (op == and_i || op == or_i || op == min_i || op == max_i) return a;
  if (op == xor_i) return i32(0);
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_with_constant(Opcode op, ValueId a, int64_t b) {
  using enum Opcode;
  const bool is_natural = range(a).lo >= 0;
  if (op == div_i && b == 1) return a;
  if (op == div_i && is_natural && b > 0 && (is_power_of_two(b) || range(a).hi < b)) {
    return plain_div(a, b);
  }
  if (op == rem_i && is_natural && b > 0 && (is_power_of_two(b) || range(a).hi < b)) {
    return plain_rem(a, b);
  }
  if (op == and_i) {
    if (b == 0 || b == -1) return b == 0 ? i32(0) : a;
    if (is_natural && is_power_of_two(b + 1) && range(a).hi <= b) return a;
  }
  if ((op == or_i || op == xor_i) && b == 0) return a;
  const int64_t shift = b & 31;
  if (op == shl_i) return mul(a, i32(wrapped(int64_t{1} << shift)));
  if ((op == shr_s || op == shr_u) && shift == 0) return a;
  if (op == shr_s && is_natural) return binary(shr_u, a, i32(shift));
  return std::nullopt;
}

// --- Quotients and remainders ---

std::optional<std::pair<ValueId, int64_t>> Builder::as_product(ValueId value) const {
  const Instruction* product = definition(value, Opcode::mul_i);
  if (product == nullptr) return std::nullopt;
  const std::optional<int64_t> factor = constant(operand(*product, 1));
  if (!factor) return std::nullopt;
  return std::pair(operand(*product, 0), *factor);
}

std::optional<std::pair<ValueId, int64_t>> Builder::as_quotient(ValueId value) const {
  for (Opcode op : {Opcode::div_i, Opcode::shr_u}) {
    const Instruction* quotient = definition(value, op);
    if (quotient == nullptr) continue;
    const std::optional<int64_t> c = constant(operand(*quotient, 1));
    if (!c || *c <= 0) return std::nullopt;
    if (op == Opcode::shr_u) return std::pair(operand(*quotient, 0), int64_t{1} << (*c & 31));
    if (!is_power_of_two(*c)) return std::pair(operand(*quotient, 0), *c);
  }
  return std::nullopt;
}

std::optional<std::pair<ValueId, int64_t>> Builder::as_remainder(ValueId value) const {
  for (Opcode op : {Opcode::rem_i, Opcode::and_i}) {
    const Instruction* remainder = definition(value, op);
    if (remainder == nullptr) continue;
    const std::optional<int64_t> c = constant(operand(*remainder, 1));
    if (!c || *c <= 0) return std::nullopt;
    if (op == Opcode::and_i && is_power_of_two(*c + 1)) {
      return std::pair(operand(*remainder, 0), *c + 1);
    }
    if (op == Opcode::rem_i && !is_power_of_two(*c)) {
      return std::pair(operand(*remainder, 0), *c);
    }
  }
  return std::nullopt;
}

// (x / c) * (c * k) + (x % c) * k is x * k.
std::optional<ValueId> Builder::join_division(ValueId a, ValueId b) {
  for (const auto& [whole, part] : {std::pair(a, b), std::pair(b, a)}) {
    const auto product = as_product(whole);
    if (!product) continue;
    const auto quotient = as_quotient(product->first);
    if (!quotient || product->second % quotient->second != 0) continue;
    const int64_t scale = product->second / quotient->second;
    const auto scaled = as_product(part).value_or(std::pair(part, int64_t{1}));
    if (scaled.second != scale) continue;
    if (as_remainder(scaled.first) == quotient) return mul(quotient->first, i32(scale));
  }
  return std::nullopt;
}

void Builder::gather_terms(ValueId value, int64_t factor, LinearForm& form) const {
  form.too_long = form.too_long || ++form.visits > kLinearVisitsMax;
  if (form.too_long) return;
  if (const std::optional<int64_t> c = constant(value)) {
    form.constant += *c * factor;
    return;
  }
  const Instruction* sum = definition(value, Opcode::add_i);
  const Instruction* difference = definition(value, Opcode::sub_i);
  if (sum != nullptr || difference != nullptr) {
    const Instruction& both = sum != nullptr ? *sum : *difference;
    gather_terms(operand(both, 0), factor, form);
    gather_terms(operand(both, 1), sum != nullptr ? factor : -factor, form);
    return;
  }
  if (const auto product = as_product(value)) {
    const int64_t whole = product->second * factor;
    form.too_long = whole > INT32_MAX || whole < -INT32_MAX;
    gather_terms(product->first, whole, form);
    return;
  }
  form.terms.emplace_back(value, factor);
  form.too_long = form.terms.size() > kLinearTermsMax;
}

Builder::LinearForm Builder::take_multiples(LinearForm& form, int64_t divisor) {
  LinearForm multiples;
  std::vector<std::pair<ValueId, int64_t>> rest;
  for (const std::pair<ValueId, int64_t>& term : form.terms) {
    if (term.second % divisor == 0) {
      multiples.terms.emplace_back(term.first, term.second / divisor);
    } else {
      rest.push_back(term);
    }
  }
  form.terms = std::move(rest);
  multiples.constant = floor_quotient(form.constant, divisor);
  form.constant -= multiples.constant * divisor;
  return multiples;
}

// In 64 bits: at most kLinearTermsMax terms of less than 2^62 each would overflow, so the bounds
// are cut off at 2^56, far outside of any i32.
Range Builder::range_of_form(const LinearForm& form) const {
  constexpr int64_t kBound = int64_t{1} << 56;
  Range total = {form.constant, form.constant};
  for (const auto& [value, factor] : form.terms) {
    const Range term = range(value);
    const int64_t lo = factor >= 0 ? term.lo * factor : term.hi * factor;
    const int64_t hi = factor >= 0 ? term.hi * factor : term.lo * factor;
    total.lo = std::max(total.lo + std::max(lo, -kBound), -kBound);
    total.hi = std::min(total.hi + std::min(hi, kBound), kBound);
  }
  return total;
}

ValueId Builder::value_of_form(const LinearForm& form) {
  ValueId sum = i32(0);
  for (const auto& [value, factor] : form.terms) sum = add(sum, mul(value, i32(factor)));
  return add(sum, i32(wrapped(form.constant)));
}

// The dividend is known or promised not to be negative.
ValueId Builder::plain_div(ValueId a, int64_t divisor) {
  const Range dividend = range(a);
  if (divisor == 1) return a;
  if (const std::optional<int64_t> c = constant(a)) return i32(*c / divisor);
  if (dividend.lo >= 0 && dividend.hi < divisor) return i32(0);
  const bool by_shift = is_power_of_two(divisor);
  const ValueId second = i32(by_shift ? log2_of(divisor) : divisor);
  const ValueId result = emit(by_shift ? Opcode::shr_u : Opcode::div_i,
                              common_type(a, second, Scalar::i32), std::array{a, second});
  if (!constant(result) && type(a).width == 1) {
    facts_[result].range.lo = std::max<int64_t>(facts_[result].range.lo, 0);
    facts_[result].range.hi = std::min(facts_[result].range.hi, dividend.hi / divisor);
  }
  return result;
}

ValueId Builder::plain_rem(ValueId a, int64_t divisor) {
  const Range dividend = range(a);
  if (divisor == 1 && type(a).width == 1) return i32(0);
  if (const std::optional<int64_t> c = constant(a)) return i32(*c % divisor);
  if (dividend.lo >= 0 && dividend.hi < divisor) return a;
  if (const auto inner = as_remainder(a); inner && inner->second % divisor == 0) {
    return plain_rem(inner->first, divisor);
  }
  const bool by_mask = is_power_of_two(divisor);
  const ValueId second = i32(by_mask ? divisor - 1 : divisor);
  const ValueId result = emit(by_mask ? Opcode::and_i : Opcode::rem_i,
                              common_type(a, second, Scalar::i32), std::array{a, second});
  if (!constant(result) && type(a).width == 1) {
    facts_[result].range.lo = std::max<int64_t>(facts_[result].range.lo, 0);
    facts_[result].range.hi = std::min(facts_[result].range.hi, divisor - 1);
  }
  return result;
}

ValueId Builder::div(ValueId a, int64_t divisor) {
  CHECK(type(a).scalar == Scalar::i32 && divisor > 0 && divisor <= INT32_MAX);
  if (divisor == 1 || type(a).width != 1) return plain_div(a, divisor);
  LinearForm rest;
  gather_terms(a, 1, rest);
  if (rest.too_long) return plain_div(a, divisor);
  const LinearForm multiples = take_multiples(rest, divisor);
  const Range range = range_of_form(rest);
  if (range.lo < 0 || range.hi > INT32_MAX) return plain_div(a, divisor);
  if (range.hi < divisor) return value_of_form(multiples);
  if (multiples.terms.empty()) return plain_div(a, divisor);
  const ValueId whole = value_of_form(multiples);
  return add(whole, plain_div(value_of_form(rest), divisor));
}

ValueId Builder::rem(ValueId a, int64_t divisor) {
  CHECK(type(a).scalar == Scalar::i32 && divisor > 0 && divisor <= INT32_MAX);
  if (divisor == 1 || type(a).width != 1) return plain_rem(a, divisor);
  LinearForm rest;
  gather_terms(a, 1, rest);
  if (rest.too_long) return plain_rem(a, divisor);
  const LinearForm multiples = take_multiples(rest, divisor);
  const Range range = range_of_form(rest);
  if (range.lo < 0 || range.hi > INT32_MAX) return plain_rem(a, divisor);
  if (multiples.terms.empty() && multiples.constant == 0) return plain_rem(a, divisor);
  if (multiples.terms.empty() && range.hi >= divisor) return plain_rem(a, divisor);
  return plain_rem(value_of_form(rest), divisor);
}

}  // namespace leat::ir
