// Layout: the order in memory of every tensor of the graph, decided before parameters are chosen,
// which read strides.
#pragma once

#include "leat/base/target.h"
#include "leat/schedule/plan.h"

namespace leat {

/// What a tensor of this element type is held as in the device's memory: as it is where the target
/// loads and stores such elements well, else as f32 or i32. bool is a byte, 0 or 1; types of less
/// than 8 bits too, where they do not lie in words.
DType storage_on(const Target& target, DType dtype);

/// Fills space, storage, strides, element_count, alias_of and packed of `schedule.placements`; what
/// is packed gets its size with its parameters. Graph inputs
/// and outputs are row-major unless `external_channels_last`. Weights are packed when one
/// contraction reads them, only as its b and without bounds, and not where it takes rows of them.
void assign_layouts(Schedule& schedule, const Target& target, bool external_channels_last);

/// Whether a product of one row is taken as the sum that it is, the lanes of a wave side by side in
/// a row of b: most of what such a product does is to read b once, and that asks for many waves.
/// The placements must have their strides, and packed weights their mark.
bool takes_rows(const Schedule& schedule, const Node& node, const Contraction& contraction,
                const Target& target);

/// Whether it is a product of one row with what other kernels have made, which is in no order of
/// its own: a sum, that may be split, of which lanes compute neighbouring columns.
bool is_one_row(const Schedule& schedule, const Node& node, const Contraction& contraction,
                const Target& target);

/// A placement for a tensor that a later step adds: row-major, of the space it is written in.
Placement row_major_placement(const Tensor& tensor, const Target& target);

/// A contraction with a window: convolutions of any rank, not matrix products. What it reads and
/// writes has its channels innermost, where it may.
bool is_convolution(const Contraction& contraction);
/// Of a shape (N, C, ...) whose C moves fastest.
std::vector<int64_t> channels_last_strides(const Shape& shape);

/// True for a reshape whose tensors share bytes (alias_of), so that there is nothing to run.
bool moves_nothing(const Schedule& schedule, const Node& node);

}  // namespace leat
