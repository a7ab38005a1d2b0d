// Layout: the order in memory of every tensor, and which tensors share bytes because a reshape
// between them moves nothing.
#pragma once

#include <vector>

#include "leat/schedule/schedule.h"

namespace leat {

/// What a tensor of this element type is held as in the device's memory: f32, f16 or i32.
DType storage_on(const Target& target, DType dtype);

/// Fills space, storage, strides, element_count and alias_of of `schedule.placements`; drops the
/// steps of reshapes that became aliases. Packed weights are marked by mark_packed afterwards.
void assign_layouts(Schedule& schedule, const Target& target, bool external_channels_last);

/// Marks constant b operands that one contraction reads, and only as its b, as packed under its
/// step's parameters.
void mark_packed(Schedule& schedule);

/// True when an expression of the node loads its input number `input`: a factor of a contraction
/// that its epilogue reads too (x * w + w).
bool loads_input(const Node& node, uint32_t input);

/// The tensor whose bytes `tensor` has, itself if it is no alias.
TensorId root_of(const Schedule& schedule, TensorId tensor);

/// Elements of the packed b operand: batch * column tiles * k * tile_n, padded with zeros.
int64_t packed_element_count(const Contraction& contraction, const ContractionParams& params);

}  // namespace leat
