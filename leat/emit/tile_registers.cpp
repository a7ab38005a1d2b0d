// A walk in the order of execution that hands out registers and takes them back behind a fragment's
// last use. What is used in a deeper loop than it is made in keeps its register to the end.
// Source: Intel SDM vol. 1, "Programming with Intel Advanced Matrix Extensions": eight registers of
// 16 rows of 64 bytes; products add to their first operand.
#include "leat/emit/tile_registers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace leat {

using namespace ir;

namespace {

constexpr size_t kTiles = 8;

class Walk {
 public:
  explicit Walk(const Program& program)
      : program_(program),
        tiles_(program.values.size(), 0),
        uses_(program.values.size(), 0),
        zeros_(program.values.size(), false),
        depths_(program.values.size(), 0) {
    for (const Block& block : program.blocks) {
      for (const InstructionId id : block.instructions) {
        const Instruction& instruction = program.instructions[id];
        for (const ValueId operand : program.operands_of(instruction)) ++uses_[operand];
        const bool is_zero = instruction.op == Opcode::constant && instruction.imm == 0;
        if (is_zero) zeros_[instruction.first_result] = true;
      }
    }
  }

  Result<std::vector<uint8_t>> run() {
    TRY(walk(0));
    return tiles_;
  }

 private:
  bool is_fragment(ValueId value) const { return program_.values[value].is_fragment(); }

  Error refused(std::string_view what) const {
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" {} than AMX takes.", program_.name, what));
  }

  Result<void> give(ValueId value) {
    const auto free = std::ranges::find(taken_, false);
    if (free == taken_.end()) return refused("holds more fragments at once");
    const auto tile = static_cast<uint8_t>(free - taken_.begin());
    put(value, tile);
    return {};
  }

  void put(ValueId value, uint8_t tile) {
    tiles_[value] = tile;
    taken_[tile] = uses_[value] > 0;
    depths_[value] = depth_;
  }

  void use(ValueId value) {
    const bool is_last = --uses_[value] == 0 && depths_[value] == depth_;
    if (is_last) taken_[tiles_[value]] = false;
  }

  /// `to` takes the register of `from`, whose last use this is.
  Result<void> hand_over(ValueId from, ValueId to) {
    if (uses_[from] != 1 || depths_[from] != depth_) return refused("uses a sum more often");
    use(from);
    put(to, tiles_[from]);
    return {};
  }

  Result<void> walk(BlockId block) {
    for (const InstructionId id : program_.blocks[block].instructions) {
      TRY(walk(program_.instructions[id]));
    }
    return {};
  }

  // Of the others none takes or gives a fragment.
  Result<void> walk(const Instruction& instruction) {
    const std::span<const ValueId> operands = program_.operands_of(instruction);
    const Opcode op = instruction.op;
    if (op == Opcode::fragment_store || op == Opcode::fragment_store_local) {
      if (instruction.imm != 0) return refused("stores a sum in another order");
      use(operands[2]);
      return {};
    }
    if (is_fragment_access(op)) return load(instruction);
    if (op == Opcode::fragment_fill) {
      if (!zeros_[operands[0]]) return refused("fills a sum with another number");
      return give(instruction.first_result);
    }
    if (op == Opcode::mma) {
      use(operands[0]);
      use(operands[1]);
      return hand_over(operands[2], instruction.first_result);
    }
    if (op == Opcode::mma_wait) return hand_over(operands[0], instruction.first_result);
    if (op == Opcode::loop) return loop(instruction);
    if (op != Opcode::branch) return {};
    for (const BlockId region : instruction.regions) {
      if (region != kNone) TRY(walk(region));
    }
    return {};
  }

  Result<void> load(const Instruction& instruction) {
    const Role role = program_.values[instruction.first_result].fragment.role;
    const int64_t wanted = role == Role::b ? kInWords : 0;
    if (instruction.imm != wanted) return refused("loads a fragment in another order");
    return give(instruction.first_result);
  }

  Result<void> loop(const Instruction& instruction) {
    const Block& body = program_.blocks[instruction.regions[0]];
    const std::span<const ValueId> first = program_.operands_of(instruction).subspan(3);
    for (uint32_t i = 0; i < first.size(); ++i) {
      const ValueId argument = body.first_argument + 1 + i;
      if (is_fragment(first[i])) TRY(hand_over(first[i], argument));
    }
    ++depth_;
    for (uint32_t i = 0; i < first.size(); ++i) depths_[body.first_argument + 1 + i] = depth_;
    TRY(walk(instruction.regions[0]));
    const Instruction& last = program_.instructions[body.instructions.back()];
    const std::span<const ValueId> next = program_.operands_of(last);
    for (uint32_t i = 0; i < next.size(); ++i) {
      if (!is_fragment(next[i])) continue;
      const bool stays = tiles_[next[i]] == tiles_[body.first_argument + 1 + i];
      if (!stays) return refused("carries a sum to another place");
      TRY(hand_over(next[i], instruction.first_result + i));
      depths_[instruction.first_result + i] = depth_ - 1;
    }
    --depth_;
    return {};
  }

  const Program& program_;
  std::vector<uint8_t> tiles_;
  std::vector<uint32_t> uses_;    // that are left
  std::vector<bool> zeros_;       // constants
  std::vector<uint32_t> depths_;  // loops around where a fragment is made
  std::array<bool, kTiles> taken_ = {};
  uint32_t depth_ = 0;  // loops around
};

}  // namespace

Result<std::vector<uint8_t>> tile_registers(const Program& program) { return Walk(program).run(); }

}  // namespace leat
