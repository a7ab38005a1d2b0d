// What the text of a kernel for an AMD GPU says of it: registers, memory, and the mix of
// instructions of its inner loop.
#pragma once

#include <cstdint>
#include <string_view>

namespace leat::cli {

/// Instructions of the loop that does most of the multiply-adds, of one wave and one round.
struct AmdLoop {
  uint32_t multiply_adds = 0;  // halves of dual instructions count as one
  uint32_t dual_multiply_adds = 0;
  uint32_t vector = 0;  // instructions that a SIMD issues, dual ones once
  uint32_t local = 0;   // of local memory
  uint32_t local_bytes_per_lane = 0;
  uint32_t global = 0;
  uint32_t scalar = 0;
  uint32_t waits = 0;            // s_wait*, s_barrier*, s_delay_alu, s_nop
  bool is_whole_kernel = false;  // there is no loop with multiply-adds

  double dual_share() const {
    return multiply_adds == 0 ? 0 : static_cast<double>(dual_multiply_adds) / multiply_adds;
  }
};

struct AmdAssembly {
  uint32_t vgprs = 0;
  uint32_t sgprs = 0;
  uint32_t scratch_bytes = 0;  // of a work-item
  uint32_t vgpr_spills = 0;
  uint32_t sgpr_spills = 0;
  AmdLoop loop;
};

/// Of LLVM's assembly text with one kernel.
AmdAssembly read_amd_assembly(std::string_view text);

}  // namespace leat::cli
