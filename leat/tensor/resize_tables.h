// Where each output position of a resized axis reads, and with what weights: worked out on the host
// in double, so that kernels only load from small tables and every device rounds alike.
#pragma once

#include <vector>

#include "leat/tensor/ops.h"

namespace leat::ops {

/// One axis to be resized.
struct ResizeAxis {
  int64_t in = 1;  // extents, positive
  int64_t out = 1;
  double scale = 1;
  double roi_start = 0;  // tf_crop_and_resize
  double roi_end = 1;
};

/// Row o of the tables belongs to output position o and has `taps` entries; the result there is the
/// sum of weight * x[index]. Indices lie in [0, in).
struct AxisTaps {
  int64_t taps = 1;
  std::vector<int64_t> index;
  std::vector<double> weight;  // empty for nearest: all ones
  std::vector<bool> outside;   // output positions whose coordinate leaves the input
};

/// True if every output position is the input position of the same number.
bool is_identity(const ResizeAxis& axis, const ResizeOptions& options);

/// The number of taps that axis_taps will use, known before any table is made.
int64_t tap_count(const ResizeAxis& axis, const ResizeOptions& options);
AxisTaps axis_taps(const ResizeAxis& axis, const ResizeOptions& options);

}  // namespace leat::ops
