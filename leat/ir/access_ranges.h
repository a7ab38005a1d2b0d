// What a launch may touch: a walk over a program that finds for every access the first and the last
// element that it can reach, whatever the inputs are. An access inside of its memory is proven; the
// others are named, for whoever masks them (lower/bound_accesses.h) or refuses the launch.
//
// Indices are sums of lane, wave, workgroup, loop counters and other unknowns times constants
// (int_form.h); masks, branches, loop bounds, minima, quotients and remainders are inequalities
// between them. What a launch is known to be given narrows the rest.
//
// Emitters add the parts of an index in 64 bits (emit/llvm_affine.h) and count rounds in 32, so
// nothing is proven of an index whose parts may leave 32 bits, nor of a counter that may pass them
// in the step behind its last round. What stands open is masked, so an open load may give 0, too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/ir/ir.h"
#include "leat/ir/range.h"

namespace leat::ir {

/// An access that was not proven.
struct OpenAccess {
  InstructionId instruction = kNone;
  std::string memory;  // the parameter's or local memory's name
  int64_t first = 0;   // elements that it may reach, as far as that is known
  int64_t last = 0;
  int64_t element_count = 0;
  /// The index may leave 32 bits on the way: who adds its parts in 64 bits gets another one.
  bool may_wrap = false;
};

struct LaunchRanges {
  std::vector<OpenAccess> open;
  /// Operations on floats of all lanes, masked or not: 2 for a multiply-add. Nothing, where a loop
  /// or branch is taken as the data say.
  std::optional<double> flop;
};

/// `contents[k]` is what lies in parameter k, of whole numbers that the program only reads; nothing
/// where that is not known. May be shorter than the parameters. The program is verified.
LaunchRanges find_ranges(const Program& program, std::span<const std::optional<Range>> contents);

/// "store y[%12 + lane * 1], %9 may reach elements (0) to (1055) of \"y\", which has (1024)".
std::string text_of(const Program& program, const OpenAccess& access);

}  // namespace leat::ir
