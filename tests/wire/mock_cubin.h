// Writes ELF files in the shape of a cubin, for tests: the machine code is whatever the test wants,
// a wave program's text for the mock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "leat/base/kernel_binary.h"

namespace leat::mock {

struct CubinOptions {
  std::string entry = "kernel";
  std::string code;
  uint32_t sm_version = 90;
  uint32_t registers = 32;
  uint32_t barriers = 1;
  uint32_t stack_bytes = 0;
  uint32_t parameter_offset = 0x210;
  uint32_t parameter_bytes = 0;
  bool has_relocations = false;
};

std::vector<std::byte> make_cubin(const CubinOptions& options);

/// A binary of format `interpreted` as a cubin whose code is its text.
KernelBinary wrap_program(const KernelBinary& text);

}  // namespace leat::mock
