// Programs that go along a sequence (leat/tensor/program.h), and what they share with the others.
#pragma once

#include "leat/lower/step_source.h"

namespace leat {

StepProgram lower_recurrence(const StepSource& source);
StepProgram lower_linear_attention(const StepSource& source);

/// Sets the grid to `groups` workgroups, or a few more where they do not fit one axis; the number
/// of the own one. Before anything asks for a group_id.
ir::ValueId start_groups(KernelBuilder& builder, const Number& groups, const Target& target);

/// Where f64 is stored as f32 it is computed so.
ScalarType type_of_elements(DType dtype, DType storage);

}  // namespace leat
