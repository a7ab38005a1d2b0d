// Which dimensions a reduction runs over, and where its loads read: shared by reductions, soft-max
// and the normalisations.
#pragma once

#include <vector>

#include "leat/tensor/node_writer.h"

namespace leat::ops {

struct ReducedAxes {
  std::vector<size_t> axes;  // ascending
  Shape kept;                // input shape with 1 at the reduced axes
  Shape squeezed;            // input shape without the reduced axes
  Shape reduce;              // extents of the reduced axes

  double count() const;  // elements reduced to one
};

ReducedAxes reduced_axes_of(const Shape& shape, std::vector<size_t> axes);
/// Axes first .. rank-1.
std::vector<size_t> axes_from(size_t first, size_t rank);

/// Index of the reduced tensor's element, for a node whose output is axes.kept or axes.squeezed.
std::vector<Term> reduced_index(NodeWriter& writer, const ReducedAxes& axes, bool keep_dims);
/// Index, into a tensor of shape axes.kept, of the statistics that belong to output axes 0, 1, ...
/// of a node that runs over the whole input.
std::vector<Term> kept_index(NodeWriter& writer, const ReducedAxes& axes);
/// Row-major number of the element among those reduced, from an index of the whole input.
Term flat_position(NodeWriter& writer, const ReducedAxes& axes, const std::vector<Term>& index);

}  // namespace leat::ops
