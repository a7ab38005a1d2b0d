// LLVM's AMDGPU assembler, disassembler and back end, for tests only: an encoder that knows nothing
// of the emulator's decoder.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat::amd_card {

/// Words of assembly text, one instruction per line. Errors: invalid_argument, with LLVM's message.
Result<std::vector<uint32_t>> assemble(const std::string& target, const std::string& text);

/// The text of the instruction at the front of `words` and its size, or "" when LLVM refuses it.
struct Disassembled {
  std::string text;
  size_t size_dwords = 0;
};
Disassembled disassemble(const std::string& target, std::span<const uint32_t> words);

/// An ELF object of LLVM IR for "amdgcn-amd-amdhsa". Errors: invalid_argument.
Result<std::vector<uint8_t>> compile_object(const std::string& target, const std::string& ir);

}  // namespace leat::amd_card
