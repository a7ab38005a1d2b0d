// Words to Instruction. Strict: reserved bits, unused fields and operand codes that are not known
// are refused with a reason, so that a wrong word is found even where hardware would not mind.
#pragma once

#include <span>
#include <string>

#include "tests/amd/amd_emulator_instruction.h"

namespace leat::amd_card {

/// All rows of amd_emulator_isa.def.
std::span<const Opcode> opcodes();

/// Decodes the instruction at the front of `words`; those that are missing count as outside of
/// memory. On failure returns false and says why in `error`.
bool decode(Generation generation, std::span<const uint32_t> words, uint64_t address,
            Instruction& out, std::string& error);

/// "gfx11.."/"gfx12.." to a generation; false for other targets.
bool generation_of(const std::string& target, Generation& out);

/// Mnemonic and operands, near the assembler's text: "v_add_f32 v1, v2, 0x3f800000".
std::string text_of(const Instruction& instruction);

}  // namespace leat::amd_card
