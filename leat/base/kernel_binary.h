// KernelBinary: what the run half knows of a kernel. Plain data, no handle; it can be stored,
// hashed and sent. Kernels are pure functions of their buffers: shapes are compiled in, or numbers
// in the last of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "leat/base/dtype.h"
#include "leat/base/target.h"

namespace leat {

/// One buffer argument, in the order launch() takes them.
struct KernelArgument {
  DType storage = DType::f32;  // f32, f16 or i32
  bool written = false;
};

struct KernelBinary {
  std::string name;   // for people and traces: "conv_3", unique in a network
  std::string entry;  // symbol or entry point in `code`
  CodeFormat format = CodeFormat::interpreted;
  std::vector<std::byte> code;
  std::vector<KernelArgument> arguments;
  uint32_t wave_lanes = 1;
  uint32_t waves_per_workgroup = 1;
  uint32_t local_memory_bytes = 0;
  uint32_t grid[3] = {1, 1, 1};  // workgroups, at most
  std::string assembler;         // cubin: what made it of PTX, for people: "ptxas 13.0.88"
};

}  // namespace leat
