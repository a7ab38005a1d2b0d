// Convolutions of few channels, as the first one of a picture: matrix units take their operands in
// vectors along the channels, which three channels do not fill. Such an input is copied once with
// channels of zeros behind its own, and the filters are widened alike.
#pragma once

#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

/// A copy takes about as long as the units need for so many multiply-adds: 3 us, as another kernel
/// that adds (model_constants.h), at 300 TFLOPS.
inline constexpr int64_t kWidenedMacsMin = int64_t{1} << 26;

/// After fusion, which would make the copy part of the convolution again. Only where the target's
/// matrix units take the elements, and the convolution has so many multiply-adds.
void widen_channels(Graph& graph, const Target& target, int64_t macs_min = kWidenedMacsMin);

}  // namespace leat
