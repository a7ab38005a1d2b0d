// unroll: writes a loop's body as often as its factor says. After it no loop has a factor. With
// known bounds the rounds that fill no group of copies stand behind the loop one by one.
#include <algorithm>

#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

/// A longer loop is left a loop, whatever factor a program asks for.
constexpr int64_t kCopiesMax = 256;

/// Instructions that unrolling may make of a program's. Loops in loops would be copies of copies: a
/// text of sixty, each to be written twice, more than any memory holds.
constexpr int64_t kWrittenMax = 1 << 18;

/// Of a fragment of one wave, at most.
constexpr uint32_t kFragmentRegisters = 4;

/// A body that keeps most registers busy is long enough as it is: unrolled, it gains nothing, and
/// LLVM's scheduler mixes the copies until values spill (seen with 28 of 32 registers carried).
bool fills_registers(const ir::Program& program, const ir::Instruction& loop,
                     const Target& target) {
  uint32_t registers = 0;
  for (uint32_t i = 0; i < loop.result_count; ++i) {
    const ir::Type& type = program.values[loop.first_result + i];
    if (type.varying) registers += type.width;
    const ir::Fragment& fragment = type.fragment;
    if (fragment.waves > 1) {
      registers += uint32_t{fragment.m} * fragment.n / (program.wave_lanes * fragment.waves);
    } else if (type.is_fragment()) {
      registers += kFragmentRegisters;
    }
  }
  return 2 * registers > target.lane_registers();
}

}  // namespace

PassResult unroll(const ir::Program& program, const Target& target) {
  const int64_t rounds_max = facts_of(target).loop_rounds_max;
  const bool has_work =
      std::ranges::any_of(program.instructions, [&](const ir::Instruction& instruction) {
        return instruction.op == ir::Opcode::loop && (instruction.imm > 1 || rounds_max > 0);
      });
  if (!has_work) return std::optional<ir::Program>();
  const int64_t growth = kWrittenMax / static_cast<int64_t>(program.instructions.size());
  const auto copies = [&](const ir::Instruction& loop, const ir::LoopPlace& place) -> int64_t {
    int64_t wanted = fills_registers(program, loop, target) ? 1 : loop.imm;
    if (rounds_max > 0 && place.rounds > 0) {
      wanted = std::max(wanted, place.rounds_around * place.rounds / rounds_max + 1);
    }
    // Of `copies` up to twice as many are written: behind the groups stands what fills none.
    const int64_t most = std::min(kCopiesMax, growth / place.copies_around / 2);
    return std::clamp<int64_t>(wanted, 1, std::max<int64_t>(most, 1));
  };
  const ir::Replacement keep = [](ir::Builder&, const ir::Instruction&,
                                  std::span<const ir::ValueId>) { return std::nullopt; };
  return std::optional(ir::rewrite(program, keep, copies));
}

}  // namespace leat
