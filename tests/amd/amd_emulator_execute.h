// The functions that execute instructions, one for each row of amd_emulator_isa.def.
#pragma once

#include "tests/amd/amd_emulator_wave.h"

namespace leat::amd_card {

#define AMD_OP(format, sources, name, gfx11, gfx12, function) \
  void exec_##function(Wave& wave, const Instruction& instruction);
#include "tests/amd/amd_emulator_isa.def"
#undef AMD_OP

}  // namespace leat::amd_card
