// Reading between elements: what grid_sample, roi_align and deform_conv share.
#pragma once

#include <vector>

#include "leat/tensor/node_writer.h"

namespace leat::ops {

/// One of the positions around a fractional place in one dimension, and what it counts.
struct Neighbour {
  Term position;  // a whole number, as a float; any value
  Term weight;
};

/// Neighbour `tap` (0 or 1, i32) of a linear reading: 1 - distance.
inline Neighbour linear_neighbour(Term place, Term tap) {
  const Term position = apply(ScalarOp::floor, place) + convert(tap, place.type());
  return {position, 1.0 - abs(place - position)};
}

/// A position of a dimension as an index, and whether it is one.
struct Pixel {
  Term index;
  Term inside;
};

inline Pixel pixel_of(Term position, int64_t extent) {
  const Term inside = both(0 <= position, position <= static_cast<double>(extent - 1));
  return {convert(position, ScalarType::i32), inside};
}

}  // namespace leat::ops
