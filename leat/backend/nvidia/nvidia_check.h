// The check of a submit before its doorbell, in debug mode (LEAT_NVIDIA_CHECK=1): methods, mapped
// addresses, sizes, reserved bits, and what the chip's scheduler would refuse in a descriptor.
#pragma once

#include <span>

#include "leat/backend/nvidia/nvidia_context.h"
#include "leat/backend/nvidia/nvidia_decode.h"

namespace leat {

/// Errors: internal, with the method or the field and the values.
Result<void> check_segment(const NvidiaContext& context, PushEngine engine,
                           std::span<const uint32_t> words);
/// One descriptor, not what depends on it. Errors: internal.
Result<void> check_qmd(const NvidiaContext& context, const Qmd& qmd);

}  // namespace leat
