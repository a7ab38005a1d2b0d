// Checks packets before the doorbell is rung, in tests and where LEAT_AMD_CHECK is 1: what the
// command processor would hang on, or answer with a fault that names nothing.
#pragma once

#include <span>

#include "leat/backend/amd/amd_context.h"
#include "leat/route/command_words.h"

namespace leat {

/// `words` are a submit's part of the ring; buffers that they call are checked too.
/// Errors: internal, naming packet and value.
Result<void> check_packets(const AmdContext& context, std::span<const uint32_t> words);

/// The same of what the copy engine is given.
Result<void> check_copies(const AmdContext& context, const CommandWords& words);

}  // namespace leat
