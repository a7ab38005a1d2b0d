// VOPD: two 32-bit instructions in one. RDNA3 ISA, "Dual Issue VALU": all sources are read before a
// result is written, which is why the halves cannot simply be executed one after the other.
#include <bit>
#include <cmath>

#include "tests/amd/amd_emulator_dpp.h"
#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

/// Executes one half on a copy of its destination register, and gives the result.
void execute_half(Wave& w, const Instruction& half, uint32_t* result) {
  alignas(64) uint32_t before[kLanes];
  const uint32_t r = half.dst - kVgpr0;
  if (r >= kVgprs) return w.fail(half, "the destination is not known");
  const uint32_t defined = w.defined[r];
  std::memcpy(before, w.v[r], sizeof(before));
  half.execute(w, half);
  std::memcpy(result, w.v[r], sizeof(before));
  std::memcpy(w.v[r], before, sizeof(before));
  w.defined[r] = defined;
}

}  // namespace

void exec_vopd(Wave& w, const Instruction& i) {
  Instruction x = i;
  x.execute = i.inner;
  x.encoding = Format::vop2;
  Instruction y = x;
  y.execute = i.execute_y;
  y.dst = i.dst_y;
  std::memcpy(y.src, i.src_y, sizeof(y.src));
  // The destinations differ (one is even, one odd), so only X's result must wait for Y's sources.
  alignas(64) uint32_t result[kLanes];
  execute_half(w, x, result);
  if (w.state == WaveState::failed) return;
  y.execute(w, y);
  if (w.state == WaveState::failed) return;
  write_words(w, uint32_t(x.dst - kVgpr0), result, w.exec());
}

}  // namespace leat::amd_card
