// Rewriting: a program is walked and built again through a Builder, with a replacement for the
// instructions that a pass picks. Most passes are one call of this. What the new instructions make
// constant or equal is folded by the builder on the way, and what they make unused is dropped.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "leat/ir/builder.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// What takes the place of an instruction: itself (the default, std::nullopt), nothing or one value
/// (kNone or a ValueId), or for a fragment several values, which stand for it from there on.
class Replaced {
 public:
  Replaced() = default;
  Replaced(std::nullopt_t) {}
  Replaced(ValueId value) : is_kept_(false) {
    if (value != kNone) values_.push_back(value);
  }
  Replaced(std::optional<ValueId> value) {
    if (value) *this = Replaced(*value);
  }
  Replaced(std::vector<ValueId> values) : is_kept_(false), values_(std::move(values)) {}

  bool is_kept() const { return is_kept_; }
  const std::vector<ValueId>& values() const { return values_; }

 private:
  bool is_kept_ = true;
  std::vector<ValueId> values_;
};

/// Asked for every instruction but loops, branches and yields. `operands` are what the
/// instruction's operands have become in the new program, one behind the other. A result is
/// replaced by a value of its scalar type and width, or an i64 by a vector of two i32. Slots are
/// the same in both programs.
using Replacement = std::function<Replaced(Builder& builder, const Instruction& instruction,
                                           std::span<const ValueId> operands)>;

/// Where a loop stands: how often it runs, 0 where that is not known, and the rounds of all counted
/// loops around it.
struct LoopPlace {
  int64_t rounds = 0;
  int64_t rounds_around = 1;
  int64_t copies_around = 1;  // how often the loop itself is written
};

/// How many copies of a loop's body, at least 1, stand for one in the new program.
using Copies = std::function<int64_t(const Instruction& loop, const LoopPlace& place)>;

/// `program` has passed the verifier. Name, lanes, waves, grid, parameters and local memories are
/// kept.
Program rewrite(const Program& program, const Replacement& replacement);
/// Unrolls loops as well; their factors are spent.
Program rewrite(const Program& program, const Replacement& replacement, const Copies& copies);

/// The whole index of a load or store with the index operand `index`: what the builder takes.
ValueId full_index(Builder& builder, const Instruction& instruction, ValueId index);

}  // namespace leat::ir
