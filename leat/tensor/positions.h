// Positions that a tensor says: whole numbers of any width as the i32 that indices are.
#pragma once

#include "leat/tensor/node_writer.h"

namespace leat::ops {

/// A given position as an i32, and whether it is that: indices are i32, so that positions of 64
/// bits cost one comparison.
struct Position {
  Term low;
  Term fits;
};

inline Position position_of(NodeWriter& writer, Term given) {
  const Term low = convert(given, ScalarType::i32);
  if (given.type() == ScalarType::i32 || is_float(given.type())) return {low, writer.truth(true)};
  return {low, equal(convert(low, given.type()), given)};
}

/// Whether an element of the whole number's type can have the value; a constant of the type can
/// only then.
inline bool can_be(Term whole, int64_t value) {
  if (whole.type() == ScalarType::u64) return value >= 0;
  return whole.type() != ScalarType::i32 || value == static_cast<int32_t>(value);
}

}  // namespace leat::ops
