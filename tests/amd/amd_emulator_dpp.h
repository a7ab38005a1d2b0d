// The step before an instruction whose first source is taken from other lanes.
#pragma once

#include "tests/amd/amd_emulator_wave.h"

namespace leat::amd_card {

/// Gathers the source by the DPP word, then executes `instruction.inner` on the lanes left.
void exec_dpp(Wave& wave, const Instruction& instruction);
/// The two halves of a VOPD: all sources are read before either result is written.
void exec_vopd(Wave& wave, const Instruction& instruction);

}  // namespace leat::amd_card
