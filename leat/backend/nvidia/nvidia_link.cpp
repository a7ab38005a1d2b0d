// Fields are written over what is there: the unlinked code holds zeros in them.
#include "leat/backend/nvidia/nvidia_link.h"

#include <fmt/format.h>

#include <cstring>

#include "leat/base/check.h"

namespace leat {

namespace {

// Sets bits [first, first + count) of the instruction's 64-bit half `half`.
void set_bits(std::span<std::byte> instruction, size_t half, uint32_t first, uint32_t count,
              uint64_t value) {
  uint64_t word = 0;
  std::memcpy(&word, instruction.data() + half * sizeof word, sizeof word);
  const uint64_t mask = ((uint64_t{1} << count) - 1) << first;
  word = (word & ~mask) | (value << first & mask);
  std::memcpy(instruction.data() + half * sizeof word, &word, sizeof word);
}

}  // namespace

Result<NvidiaRelocation::Field> nvidia_relocation_field(uint32_t type) {
  using enum NvidiaRelocation::Field;
  switch (type) {
    case 0x38: return low_word;     // R_CUDA_ABS32_LO_32
    case 0x39: return high_word;    // R_CUDA_ABS32_HI_32
    case 0x4B: return call_target;  // R_CUDA_ABS55_16_34
    default:
      return Error(
          ErrorKind::unsupported,
          fmt::format("Relocation type ({:#x}) is none that a kernel of ours needs.", type));
  }
}

void relocate_nvidia_code(std::span<std::byte> code, uint64_t address,
                          std::span<const NvidiaRelocation> relocations) {
  using enum NvidiaRelocation::Field;
  for (const NvidiaRelocation& relocation : relocations) {
    CHECK(relocation.instruction + kNvidiaInstructionBytes <= code.size());
    const std::span<std::byte> instruction =
        code.subspan(relocation.instruction, kNvidiaInstructionBytes);
    const uint64_t target = address + relocation.target;
    switch (relocation.field) {
      case low_word: set_bits(instruction, 0, 32, 32, target); break;
      case high_word: set_bits(instruction, 0, 32, 32, target >> 32); break;
      case call_target:
        set_bits(instruction, 0, 16, 8, target >> 2);
        set_bits(instruction, 0, 34, 30, target >> 10);
        set_bits(instruction, 1, 0, 17, target >> 40);
        break;
    }
  }
}

}  // namespace leat
