// The interpreter: the oracle that every emitter is compared with. It runs the whole grid,
// workgroup after workgroup, each wave up to the next barrier in turn, and checks what a device
// does not: bounds of every access that is not masked off, races between lanes, barriers that not
// all waves reach. Local memory starts as garbage (NaN for floats, 0xdeadbeef for whole numbers),
// so a read of what was never written shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "leat/base/result.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// Verifies and runs `program`. buffers[k] is parameter k: element_count elements in storage
/// type, at least that many bytes, of any alignment. What is written through one parameter is
/// neither read nor written through another. Where devices may differ it does this: division
/// by zero gives 0; min_f and max_f of one NaN give the number; functions are those of <cmath>.
/// `steps_max`: instructions of all waves, for a program that may not end in a lifetime.
/// Errors: invalid_argument (buffers that do not fit), unsupported (too many steps), internal (the
/// program breaks a rule; the sentence names the instruction, and the index with its limit).
Result<void> interpret(const Program& program, std::span<const std::span<std::byte>> buffers,
                       uint64_t steps_max = UINT64_MAX);

struct InterpretOptions {
  uint64_t steps_max = UINT64_MAX;
  /// A read of local memory that its workgroup has not written is an error: ours read such places
  /// on purpose, to throw away what they find.
  bool refuses_unwritten = false;
  /// When it is not null: how many elements of each parameter were written.
  std::vector<int64_t>* written = nullptr;
  /// When it is not null: how many instructions all waves took.
  uint64_t* steps = nullptr;
};
Result<void> interpret(const Program& program, std::span<const std::span<std::byte>> buffers,
                       const InterpretOptions& options);

}  // namespace leat::ir
