// Range: what is known of an i32 value when a program is built, as an interval of 64-bit integers.
// The arithmetic of ranges is that of the instructions; a result that could wrap is kAnyInt.
#pragma once

#include <cstdint>

#include "leat/ir/ir.h"

namespace leat::ir {

/// Both ends are included.
struct Range {
  int64_t lo = INT32_MIN;
  int64_t hi = INT32_MAX;

  bool operator==(const Range&) const = default;
  bool is_single() const { return lo == hi; }
};

inline constexpr Range kAnyInt = {};

/// The range of a binary_int instruction's result.
Range range_of(Opcode op, Range a, Range b);
/// The smallest range that holds both.
Range union_of(Range a, Range b);

}  // namespace leat::ir
