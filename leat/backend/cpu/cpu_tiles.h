// The tile registers of x86-64 CPUs (AMX), which a process asks Linux for.
#pragma once

#include <string>

namespace leat {

/// Why threads of this process may not use tile registers; empty when they may. Asks the system on
/// the first call.
const std::string& tiles_refusal();

}  // namespace leat
