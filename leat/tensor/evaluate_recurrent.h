// evaluate_program for programs that go along a sequence.
#pragma once

#include <span>

#include "leat/tensor/graph.h"

namespace leat {

void evaluate_recurrence(const Recurrence& recurrence, std::span<const HostTensor* const> inputs,
                         std::span<HostTensor* const> outputs);
void evaluate_linear_attention(const LinearAttention& attention,
                               std::span<const HostTensor* const> inputs,
                               std::span<HostTensor* const> outputs);

}  // namespace leat
