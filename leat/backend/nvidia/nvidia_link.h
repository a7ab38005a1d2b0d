// Links a cubin: lays the code of a kernel and of the functions it calls (division and square root
// call one where an operand is not ordinary) behind each other, and writes addresses into it once
// it is known where it will lie. Linkers that make one kernel at a time (nvJitLink, the driver's)
// leave this to the loader; ptxas mostly does it itself.
// Source: relocation numbers and bit fields as nvdisasm names them (R_CUDA_ABS32_LO_32, _HI_32,
// R_CUDA_ABS55_16_34), read off the output of nvJitLink 13.0 beside that of ptxas 13.0.88.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "leat/base/result.h"

namespace leat {

/// An address to be written into an instruction.
struct NvidiaRelocation {
  enum class Field : uint8_t {
    low_word,     // bits 31:0 to bits 63:32 of the instruction
    high_word,    // bits 63:32 to the same place
    call_target,  // bits 9:2 to bits 23:16, bits 56:10 to bits 80:34
  };
  Field field = Field::low_word;
  uint64_t instruction = 0;  // offset in the code, of 16 bytes
  uint64_t target = 0;       // offset in the code
};

/// The field that ELF relocation type `type` writes. Errors: unsupported.
Result<NvidiaRelocation::Field> nvidia_relocation_field(uint32_t type);

/// Writes the addresses into `code`, which will lie at `address`. Offsets must be inside of it.
void relocate_nvidia_code(std::span<std::byte> code, uint64_t address,
                          std::span<const NvidiaRelocation> relocations);

/// What an instruction takes, and what code is aligned to.
inline constexpr uint64_t kNvidiaInstructionBytes = 16;
inline constexpr uint64_t kNvidiaCodeAlignment = 128;

}  // namespace leat
