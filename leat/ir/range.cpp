// Interval arithmetic over the integer instructions. Only the ones that index arithmetic uses are
// narrowed; the rest is any i32, which is always right.
#include "leat/ir/range.h"

#include <algorithm>
#include <bit>
#include <initializer_list>

namespace leat::ir {
namespace {

Range checked(int64_t lo, int64_t hi) {
  return lo < INT32_MIN || hi > INT32_MAX ? kAnyInt : Range{lo, hi};
}

Range product(Range a, Range b) {
  const std::initializer_list<int64_t> corners = {a.lo * b.lo, a.lo * b.hi, a.hi * b.lo,
                                                  a.hi * b.hi};
  return checked(std::min(corners), std::max(corners));
}

Range quotient(Range a, Range b) {
  if (!b.is_single() || b.lo <= 0) return kAnyInt;
  return {a.lo / b.lo, a.hi / b.lo};
}

Range remainder(Range a, Range b) {
  if (!b.is_single() || b.lo <= 0) return kAnyInt;
  if (a.lo >= 0 && a.hi < b.lo) return a;
  if (a.lo >= 0) return {0, b.lo - 1};
  return {-(b.lo - 1), b.lo - 1};
}

Range bit_and(Range a, Range b) {
  if (a.lo >= 0 && b.lo >= 0) return {0, std::min(a.hi, b.hi)};
  if (a.lo >= 0) return {0, a.hi};
  if (b.lo >= 0) return {0, b.hi};
  return kAnyInt;
}

Range bit_or(Range a, Range b) {
  if (a.lo < 0 || b.lo < 0) return kAnyInt;
  const uint64_t highest = static_cast<uint64_t>(std::max(a.hi, b.hi));
  return {0, static_cast<int64_t>((uint64_t{1} << std::bit_width(highest)) - 1)};
}

Range shift_right(Range a, Range b, bool is_signed) {
  if (!b.is_single() || b.lo < 0 || b.lo > 31) return kAnyInt;
  if (a.lo < 0 && !is_signed) {
    return b.lo == 0 ? kAnyInt : Range{0, int64_t{0xffffffff} >> b.lo};
  }
  return {a.lo >> b.lo, a.hi >> b.lo};
}

}  // namespace

Range union_of(Range a, Range b) { return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)}; }

Range range_of(Opcode op, Range a, Range b) {
  using enum Opcode;
  if (op == add_i) return checked(a.lo + b.lo, a.hi + b.hi);
  if (op == sub_i) return checked(a.lo - b.hi, a.hi - b.lo);
  if (op == mul_i) return product(a, b);
  if (op == div_i) return quotient(a, b);
  if (op == rem_i) return remainder(a, b);
  if (op == min_i) return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
  if (op == max_i) return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
  if (op == and_i) return bit_and(a, b);
  if (op == or_i || op == xor_i) return bit_or(a, b);
  if (op == shr_s) return shift_right(a, b, true);
  if (op == shr_u) return shift_right(a, b, false);
  return kAnyInt;
}

}  // namespace leat::ir
