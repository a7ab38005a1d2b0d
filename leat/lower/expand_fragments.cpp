// expand_fragments: see passes.h. Of a fragment with R rows and C columns
//   a          R C uniform values, row after row
//   b, sum     for each row ceil(C / lanes) varying values: column j of block q is in lane j - q
//              lanes; the lanes behind the last column repeat it, and do not store
#include <fmt/format.h>

#include <algorithm>

#include "leat/ir/matrix_shape.h"
#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Fragment;
using ir::Instruction;
using ir::kNone;
using ir::Opcode;
using ir::Role;
using ir::ValueId;
using Values = std::vector<ValueId>;

class FragmentExpander {
 public:
  FragmentExpander(const ir::Program& program) : program_(program) {}

  ir::Replaced replace(Builder& b, const Instruction& instruction,
                       std::span<const ValueId> operands) const;

 private:
  struct Place {
    ValueId index = kNone;  // in the memory
    ValueId mask = kNone;   // lanes that have an element of their own
  };

  uint32_t lanes() const { return program_.wave_lanes; }
  uint32_t blocks_of(const Fragment& fragment) const {
    return (fragment.columns() + lanes() - 1) / lanes();
  }
  Place place_of(Builder& b, const Instruction& instruction, const Fragment& fragment,
                 std::span<const ValueId> operands, uint32_t row, uint32_t block) const;
  Values load(Builder& b, const Instruction& instruction, const Fragment& fragment,
              std::span<const ValueId> operands) const;
  void store(Builder& b, const Instruction& instruction, const Fragment& fragment,
             std::span<const ValueId> operands) const;
  Values multiply(Builder& b, const Fragment& fragment, std::span<const ValueId> operands) const;

  const ir::Program& program_;
};

ValueId tf32_of(Builder& b, ValueId value) {
  // Half a unit of the last kept bit, ties away from zero, as the matrix units' conversion has it.
  const ValueId bits = b.convert(Opcode::bits_from_float, value);
  const ValueId kept = b.i32(~0x1fff);
  const ValueId rounded = b.binary(Opcode::and_i, b.add(bits, b.i32(0x1000)), kept);
  return b.convert(Opcode::float_from_bits, rounded);
}

ir::Replaced FragmentExpander::replace(Builder& b, const Instruction& instruction,
                                       std::span<const ValueId> operands) const {
  const bool is_store =
      instruction.op == Opcode::fragment_store || instruction.op == Opcode::fragment_store_local;
  if (is_store) {
    const ValueId stored = program_.operands_of(instruction)[2];
    store(b, instruction, program_.values[stored].fragment, operands);
    return kNone;
  }
  if (instruction.result_count != 1) return std::nullopt;
  const Fragment& fragment = program_.values[instruction.first_result].fragment;
  if (instruction.op == Opcode::fragment_fill) {
    return Values(fragment.rows() * blocks_of(fragment), operands[0]);
  }
  if (ir::is_fragment_access(instruction.op)) return load(b, instruction, fragment, operands);
  if (instruction.op == Opcode::mma) return multiply(b, fragment, operands);
  if (instruction.op == Opcode::mma_wait) return Values(operands.begin(), operands.end());
  return std::nullopt;
}

FragmentExpander::Place FragmentExpander::place_of(Builder& b, const Instruction& instruction,
                                                   const Fragment& fragment,
                                                   std::span<const ValueId> operands, uint32_t row,
                                                   uint32_t block) const {
  const ValueId last = b.i32(int64_t{fragment.columns()} - 1);
  ValueId column = b.i32(block);
  Place place;
  if (fragment.role != Role::a) {
    const ValueId begun = b.i32(int64_t{block} * lanes());
    const ValueId own = b.add(b.lane_id(), begun);
    column = b.binary(Opcode::min_i, own, last);
    place.mask = b.binary(Opcode::le_i, own, last);
  }
  if ((instruction.imm & ir::kInWords) != 0) {
    const auto rows = static_cast<uint32_t>(ir::rows_in_word(size_bytes_of(fragment.element)));
    const ValueId line = b.add(operands[0], b.mul(b.i32(row / rows), operands[1]));
    const ValueId in_word = b.i32(row % rows);
    place.index = b.add(b.add(line, b.mul(column, b.i32(rows))), in_word);
    return place;
  }
  const bool by_columns = (instruction.imm & ir::kByColumns) != 0;
  const ValueId far = by_columns ? column : b.i32(row), near = by_columns ? b.i32(row) : column;
  place.index = b.add(b.add(operands[0], b.mul(far, operands[1])), near);
  return place;
}

Values FragmentExpander::load(Builder& b, const Instruction& instruction, const Fragment& fragment,
                              std::span<const ValueId> operands) const {
  const bool is_local = instruction.op == Opcode::fragment_load_local;
  const uint32_t parts = fragment.role == Role::a ? fragment.columns() : blocks_of(fragment);
  Values values;
  for (uint32_t row = 0; row < fragment.rows(); ++row) {
    for (uint32_t part = 0; part < parts; ++part) {
      const Place place = place_of(b, instruction, fragment, operands, row, part);
      const ValueId value = is_local ? b.load_local(instruction.slot, place.index)
                                     : b.load(instruction.slot, place.index);
      values.push_back(fragment.tf32 ? tf32_of(b, value) : value);
    }
  }
  return values;
}

// In local memory, which has no masks, the lanes behind the last column store the same once more.
void FragmentExpander::store(Builder& b, const Instruction& instruction, const Fragment& fragment,
                             std::span<const ValueId> operands) const {
  const bool is_local = instruction.op == Opcode::fragment_store_local;
  const uint32_t parts = blocks_of(fragment);
  for (uint32_t row = 0; row < fragment.rows(); ++row) {
    for (uint32_t part = 0; part < parts; ++part) {
      const Place place = place_of(b, instruction, fragment, operands, row, part);
      const ValueId value = operands[2 + row * parts + part];
      if (is_local) {
        b.store_local(instruction.slot, place.index, value);
      } else {
        b.store(instruction.slot, place.index, value, place.mask);
      }
    }
  }
}

Values FragmentExpander::multiply(Builder& b, const Fragment& fragment,
                                  std::span<const ValueId> operands) const {
  const size_t parts = blocks_of(fragment), m = fragment.m, depth = fragment.k;
  const std::span<const ValueId> left = operands.first(m * depth);
  const std::span<const ValueId> right = operands.subspan(m * depth, depth * parts);
  const std::span<const ValueId> sums = operands.subspan(m * depth + depth * parts);
  const bool is_real = is_float(fragment.element);
  Values values(sums.begin(), sums.end());
  for (size_t i = 0; i < m; ++i) {
    for (size_t part = 0; part < parts; ++part) {
      ValueId& sum = values[i * parts + part];
      for (size_t k = 0; k < depth; ++k) {
        const ValueId x = left[i * depth + k], y = right[k * parts + part];
        sum = is_real ? b.fma(x, y, sum) : b.add(sum, b.mul(x, y));
      }
    }
  }
  return values;
}

}  // namespace

Result<ir::Program> expand_fragments(const ir::Program& program, const TargetFacts& facts) {
  const auto is_missing = [&](const Instruction& instruction) {
    return instruction.op == Opcode::mma && !ir::has_product(program, instruction, facts);
  };
  const auto uses = [](const Instruction& instruction) {
    return instruction.op == Opcode::fragment_fill || ir::is_fragment_access(instruction.op);
  };
  const auto has_none_like_it = [&](const ir::Type& type) {
    return type.fragment.role != ir::Role::none && !ir::has_fragment(type.fragment, facts);
  };
  const bool all_there = !facts.matrix_shapes.empty() &&
                         std::ranges::none_of(program.instructions, is_missing) &&
                         std::ranges::none_of(program.values, has_none_like_it);
  if (all_there || std::ranges::none_of(program.instructions, uses)) return program;
  const auto is_shared = [](const ir::Type& type) { return type.fragment.waves > 1; };
  const auto asks_for_elements = [](const Instruction& instruction) {
    return ir::is_fragment_element(instruction.op);
  };
  if (std::ranges::any_of(program.values, is_shared) ||
      std::ranges::any_of(program.instructions, asks_for_elements)) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("Kernel \"{}\" has fragments of several waves, or asks which elements a "
                    "lane holds (mma), which the target lacks.",
                    program.name));
  }
  const FragmentExpander expander(program);
  return ir::rewrite(
      program, [&](Builder& b, const Instruction& instruction, std::span<const ValueId> operands) {
        return expander.replace(b, instruction, operands);
      });
}

}  // namespace leat
