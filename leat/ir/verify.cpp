// One walk in execution order. `visible_` holds the values of the open blocks, so a use before or
// outside of its definition is found at the use; `same_` holds for each value whether all waves of
// a workgroup have it alike. The rules for single instructions are in verify_rules.cpp.
#include "leat/ir/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "leat/base/shape.h"
#include "leat/ir/parse.h"
#include "leat/ir/text.h"
#include "leat/ir/verify_rules.h"

namespace leat::ir {
namespace {

bool is_width(uint8_t width) { return width == 1 || width == 2 || width == 4; }

bool is_name(const std::string& name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && is_letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

class Verifier {
 public:
  explicit Verifier(const Program& program)
      : program_(program),
        visible_(program.values.size(), false),
        same_(program.values.size(), false),
        defined_(program.values.size(), false),
        positive_(program.values.size(), false),
        block_used_(program.blocks.size(), false) {}

  Result<void> whole();

 private:
  Error wrong(std::string_view what) const;
  Error wrong(InstructionId id, std::string_view what) const;

  Result<void> check_head();
  Result<void> check_buffers();
  Result<void> check_block(BlockId id, bool is_loop, int depth, std::vector<ValueId>& own);
  Result<void> check_region(const Instruction& instruction, BlockId region, int depth);
  Result<void> check_yield(const Instruction& loop, const Block& block);
  Complaint check_ids(const Instruction& instruction) const;
  Complaint check_meeting(const Instruction& instruction) const;
  bool is_same(const Instruction& instruction) const;
  Result<void> define(ValueId value, bool same, std::vector<ValueId>& own);

  const Type& type(ValueId value) const { return program_.values[value]; }

  const Program& program_;
  std::vector<bool> visible_;
  std::vector<bool> same_;
  std::vector<bool> defined_;
  std::vector<bool> positive_;  // constants above 0
  std::vector<bool> block_used_;
  bool same_flow_ = true;  // all open loops and branches go the same way in all waves
};

Error Verifier::wrong(std::string_view what) const {
  return Error(ErrorKind::internal, fmt::format("Kernel \"{}\" {}.", program_.name, what));
}

Error Verifier::wrong(InstructionId id, std::string_view what) const {
  return Error(ErrorKind::internal,
               fmt::format("Kernel \"{}\" has an instruction \"{}\" that {}.", program_.name,
                           print_instruction(program_, id), what));
}

// --- Declarations ---

Result<void> Verifier::check_head() {
  const Program& p = program_;
  if (!std::has_single_bit(p.wave_lanes)) {
    return wrong(fmt::format("has a number of lanes ({}) that is no power of two", p.wave_lanes));
  }
  const uint64_t lanes = uint64_t{p.wave_lanes} * p.waves_per_workgroup;
  if (lanes == 0 || lanes > kWorkgroupLanesMax) {
    return wrong(fmt::format("has a number of lanes in its workgroup ({}) outside of 1 to {}",
                             lanes, kWorkgroupLanesMax));
  }
  for (uint32_t extent : p.grid) {
    if (extent == 0 || extent > INT32_MAX) {
      return wrong(fmt::format("has a grid extent ({}) outside of 1 to {}", extent, INT32_MAX));
    }
  }
  if (p.blocks.empty()) return wrong("has no body");
  if (p.blocks[0].argument_count != 0) return wrong("has a body with arguments");
  return check_buffers();
}

Result<void> Verifier::check_buffers() {
  std::set<std::string> names;
  const auto check_name = [&](const std::string& name) -> Result<void> {
    if (!is_name(name)) return wrong(fmt::format("declares \"{}\", which is no name", name));
    if (!names.insert(name).second) return wrong(fmt::format("declares \"{}\" twice", name));
    return {};
  };
  for (const Parameter& parameter : program_.parameters) {
    TRY(check_name(parameter.name));
    if (compute_of(parameter.storage) == Scalar::b1) {
      return wrong(fmt::format("has a parameter \"{}\" of a type ({}) that no device stores",
                               parameter.name, name_of(parameter.storage)));
    }
    if (parameter.element_count < 0 || parameter.element_count > kElementsMax) {
      return wrong(fmt::format("has a parameter \"{}\" of a size ({}) outside of 0 to {}",
                               parameter.name, parameter.element_count, kElementsMax));
    }
  }
  uint64_t bytes = 0;
  for (const LocalMemory& local : program_.locals) {
    TRY(check_name(local.name));
    const bool is_stored = compute_of(local.storage) != Scalar::b1;
    if (!is_stored || !is_width(local.width) || local.count == 0) {
      return wrong(fmt::format("has a local memory \"{}\" of no usable type or size", local.name));
    }
    bytes +=
        uint64_t{local.count} * local.width * static_cast<uint64_t>(size_bytes_of(local.storage));
  }
  if (bytes > kLocalBytesMax) {
    return wrong(
        fmt::format("has more local memory ({} bytes) than the limit ({})", bytes, kLocalBytesMax));
  }
  return {};
}

// --- The walk ---

Result<void> Verifier::define(ValueId value, bool same, std::vector<ValueId>& own) {
  if (defined_[value]) return wrong("defines a value twice");
  visible_[value] = true;
  defined_[value] = true;
  same_[value] = same;
  own.push_back(value);
  return {};
}

Complaint Verifier::check_ids(const Instruction& instruction) const {
  const uint64_t operands_end = uint64_t{instruction.first_operand} + instruction.operand_count;
  if (operands_end > program_.operands.size()) return "has operands outside of the program";
  for (ValueId operand : program_.operands_of(instruction)) {
    if (operand >= visible_.size()) return "uses a value outside of the program";
    if (!visible_[operand]) return "uses a value that is not defined before it in an open block";
  }
  const uint64_t results_end = uint64_t{instruction.first_result} + instruction.result_count;
  if (instruction.result_count > 0 && results_end > program_.values.size()) {
    return "has results outside of the program";
  }
  for (ValueId i = 0; i < instruction.result_count; ++i) {
    const ValueId result = instruction.first_result + i;
    if (!is_width(type(result).width)) return "has a result of a width other than 1, 2 and 4";
  }
  const bool has_regions = instruction.op == Opcode::loop || instruction.op == Opcode::branch;
  for (BlockId region : instruction.regions) {
    if (region == kNone) continue;
    if (!has_regions) return "has a region and is no loop or branch";
    if (region >= block_used_.size() || region == 0) return "has a region outside of the program";
    if (block_used_[region]) return "has a region that is another's too";
  }
  const bool is_loop = instruction.op == Opcode::loop;
  if (is_loop && instruction.operand_count < 3) return "has a wrong number of operands";
  if (is_loop && !positive_[program_.operands_of(instruction)[2]]) {
    return "has a step that is no positive constant";
  }
  const int count = operand_count_of(instruction.op);
  if (count >= 0 && instruction.operand_count != count) return "has a wrong number of operands";
  return nullptr;
}

Result<void> Verifier::check_region(const Instruction& instruction, BlockId region, int depth) {
  const Block& block = program_.blocks[region];
  const bool is_loop = instruction.op == Opcode::loop;
  const bool same_outside = same_flow_;
  std::vector<ValueId> own;
  bool same = same_[program_.operands_of(instruction)[0]];
  if (is_loop) {
    same = same && same_[program_.operands_of(instruction)[1]];
    for (uint32_t i = 0; i < block.argument_count; ++i) {
      TRY(define(block.first_argument + i, i == 0 && same, own));
    }
  }
  same_flow_ = same_flow_ && same;
  TRY(check_block(region, is_loop, depth, own));
  same_flow_ = same_outside;
  if (is_loop) TRY(check_yield(instruction, block));
  for (ValueId value : own) visible_[value] = false;
  return {};
}

Result<void> Verifier::check_yield(const Instruction& loop, const Block& block) {
  const InstructionId id = block.instructions.back();
  const std::span<const ValueId> next = program_.operands_of(program_.instructions[id]);
  if (next.size() != loop.result_count) return wrong(id, "has a wrong number of operands");
  for (ValueId i = 0; i < loop.result_count; ++i) {
    if (!can_carry(type(next[i]), type(loop.first_result + i))) {
      return wrong(id, "has an operand of another type than what the loop carries");
    }
  }
  return {};
}

Result<void> Verifier::check_block(BlockId id, bool is_loop, int depth, std::vector<ValueId>& own) {
  if (depth > kNestingMax) {
    return wrong(fmt::format("nests its blocks deeper than the limit ({})", kNestingMax));
  }
  block_used_[id] = true;
  const std::vector<InstructionId>& list = program_.blocks[id].instructions;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] >= program_.instructions.size()) return wrong("lists an instruction it lacks");
    const Instruction& instruction = program_.instructions[list[i]];
    if (Complaint complaint = check_ids(instruction)) return wrong(list[i], complaint);
    if (Complaint complaint = complaint_about(program_, instruction))
      return wrong(list[i], complaint);
    const bool is_end = is_loop && i + 1 == list.size();
    if ((instruction.op == Opcode::yield) != is_end) {
      return wrong(list[i], is_end ? "ends a loop and is no yield" : "does not end a loop");
    }
    if (Complaint complaint = check_meeting(instruction)) return wrong(list[i], complaint);
    for (BlockId region : instruction.regions) {
      if (region != kNone) TRY(check_region(instruction, region, depth + 1));
    }
    for (ValueId k = 0; k < instruction.result_count; ++k) {
      TRY(define(instruction.first_result + k, is_same(instruction), own));
    }
    if (instruction.op == Opcode::constant) {
      positive_[instruction.first_result] = instruction.imm > 0;
    }
  }
  if (is_loop && list.empty()) return wrong("has a loop without a yield");
  return {};
}

// Where all waves of a workgroup have to arrive.
Complaint Verifier::check_meeting(const Instruction& instruction) const {
  const bool meets = instruction.op == Opcode::barrier || instruction.op == Opcode::last_group;
  if (!meets && !is_shuffle(instruction.op)) return nullptr;
  if (!same_flow_) return "may not be reached by all waves of the workgroup";
  if (!meets) return nullptr;
  const bool same = std::ranges::all_of(program_.operands_of(instruction),
                                        [&](ValueId operand) { return same_[operand]; });
  return same ? nullptr : "has an operand that may differ between the waves of the workgroup";
}

// A loop's carried values count as different: nothing that a barrier depends on is carried.
bool Verifier::is_same(const Instruction& instruction) const {
  using enum Opcode;
  if (instruction.op == rounds) return false;
  if (program_.waves_per_workgroup == 1) return true;
  if (instruction.op == wave_id || instruction.op == loop || instruction.op == atomic_add) {
    return false;
  }
  if (instruction.op == load && program_.parameters[instruction.slot].written) return false;
  return std::ranges::all_of(program_.operands_of(instruction),
                             [&](ValueId operand) { return same_[operand]; });
}

Result<void> Verifier::whole() {
  TRY(check_head());
  std::vector<ValueId> own;
  return check_block(0, false, 0, own);
}

}  // namespace

Result<void> verify(const Program& program) { return Verifier(program).whole(); }

}  // namespace leat::ir
