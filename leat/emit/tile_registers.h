// Which tile register each fragment of a program is in, where a CPU has matrix units.
#pragma once

#include <cstdint>
#include <vector>

#include "leat/base/result.h"
#include "leat/ir/ir.h"

namespace leat {

/// By ValueId; of what is no fragment 0. A sum stays where it is from its first product to its
/// last, through all rounds of a loop.
/// Errors: unsupported, naming the kernel, when the fragments or their uses are none that AMX has:
/// more at once than registers, a sum that is used again behind its product, an order in memory.
Result<std::vector<uint8_t>> tile_registers(const ir::Program& program);

}  // namespace leat
