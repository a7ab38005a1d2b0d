// Reads a cubin, an ELF file for one NVIDIA architecture, as far as a launch needs it. Files come
// from caches, so every offset is checked.
// Source: measured on the output of ptxas 13.0.88; tinygrad runtime/support/elf.py (MIT) agrees.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/backend/nvidia/nvidia_link.h"
#include "leat/base/result.h"

namespace leat {

struct Cubin {
  uint32_t sm_version = 0;      // 90
  std::vector<std::byte> text;  // the kernel's, behind it that of the functions it calls
  std::vector<NvidiaRelocation> relocations;  // to be written into `text`
  std::span<const std::byte> bank0;  // image of constant bank 0; may be shorter than the bank
  uint32_t register_count = 0;
  uint32_t barrier_count = 0;
  uint32_t stack_bytes = 0;       // per thread
  uint32_t shared_bytes = 0;      // static
  uint32_t parameter_offset = 0;  // in bank 0
  uint32_t parameter_bytes = 0;
  uint32_t max_threads = 0;  // 0: not said
};

/// The kernel `entry` of `file`; the span points into `file`.
/// Errors: invalid_argument, naming what is wrong.
Result<Cubin> read_cubin(std::span<const std::byte> file, const std::string& entry);

}  // namespace leat
