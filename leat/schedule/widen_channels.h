// Convolutions of few channels, as the first one of a picture: matrix units and dot products take
// their operands in vectors along the channels, which three channels do not fill. Such an input is
// copied once with channels of zeros behind its own, and the filters are widened alike.
#pragma once

#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

/// From about here on the copy is repaid: epic_first of the suite, 87 million multiply-adds, went
/// from 9.9 us (bench/results/unit-tiles-h200.json) to 6.1 (conv2d-h200-direct-f16.json).
inline constexpr int64_t kWidenedMacsMin = int64_t{1} << 26;

/// The same where a row's elements are broadcast, which without it are put together one by one. An
/// estimate, not measured.
inline constexpr int64_t kWidenedMacsMinOfWords = int64_t{1} << 18;

/// After fusion, which would make the copy part of the convolution again. Only where the target's
/// matrix units or dot products take the elements, and the convolution has so many multiply-adds.
void widen_channels(Graph& graph, const Target& target, int64_t macs_min = kWidenedMacsMin);

}  // namespace leat
