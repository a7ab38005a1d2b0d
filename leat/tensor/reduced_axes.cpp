// See reduced_axes.h.
#include "leat/tensor/reduced_axes.h"

#include <algorithm>

namespace leat::ops {
namespace {

bool is_reduced(const ReducedAxes& axes, size_t d) {
  return std::ranges::binary_search(axes.axes, d);
}

}  // namespace

double ReducedAxes::count() const { return static_cast<double>(element_count(reduce)); }

ReducedAxes reduced_axes_of(const Shape& shape, std::vector<size_t> axes) {
  ReducedAxes reduced = {.axes = std::move(axes), .kept = shape, .squeezed = {}, .reduce = {}};
  for (size_t d = 0; d < shape.size(); ++d) {
    if (is_reduced(reduced, d)) {
      reduced.kept[d] = 1;
      reduced.reduce.push_back(shape[d]);
    } else {
      reduced.squeezed.push_back(shape[d]);
    }
  }
  return reduced;
}

std::vector<size_t> axes_from(size_t first, size_t rank) {
  std::vector<size_t> axes;
  for (size_t d = first; d < rank; ++d) axes.push_back(d);
  return axes;
}

std::vector<Term> reduced_index(NodeWriter& writer, const ReducedAxes& axes, bool keep_dims) {
  std::vector<Term> index;
  size_t output = 0;
  size_t reduce = keep_dims ? axes.kept.size() : axes.squeezed.size();
  for (size_t d = 0; d < axes.kept.size(); ++d) {
    const bool reduced = is_reduced(axes, d);
    index.push_back(writer.axis(reduced ? reduce++ : keep_dims ? d : output++));
  }
  return index;
}

std::vector<Term> kept_index(NodeWriter& writer, const ReducedAxes& axes) {
  std::vector<Term> index;
  for (size_t d = 0; d < axes.kept.size(); ++d) {
    index.push_back(is_reduced(axes, d) ? writer.integer(0) : writer.axis(d));
  }
  return index;
}

Term flat_position(NodeWriter& writer, const ReducedAxes& axes, const std::vector<Term>& index) {
  Term flat = writer.integer(0);
  for (size_t i = 0; i < axes.axes.size(); ++i) {
    flat = flat * static_cast<double>(axes.reduce[i]) + index[axes.axes[i]];
  }
  return flat;
}

}  // namespace leat::ops
