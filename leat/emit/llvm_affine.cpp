// See llvm_affine.h. Division and remainder of the lane by a constant (a lane grid that is one row)
// are seen through when every other part is a multiple of the divisor.
#include "leat/emit/llvm_affine.h"

#include <algorithm>

#include "leat/ir/scalar_ops.h"

namespace leat {

using namespace ir;

namespace {

// An index with more parts than this is kept as one leaf: its address costs more than its sum.
constexpr size_t kTermsMax = 12;

// a + sign * b, like terms joined; the terms of both stand in the same order.
AffineIndex added(const AffineIndex& a, const AffineIndex& b, int64_t sign) {
  AffineIndex result = a;
  result.constant += sign * b.constant;
  result.lane_stride += sign * b.lane_stride;
  for (const AffineTerm& term : b.terms) {
    auto same = std::ranges::find(result.terms, term.leaf, &AffineTerm::leaf);
    if (same == result.terms.end()) {
      result.terms.push_back({term.leaf, sign * term.factor});
    } else {
      same->factor += sign * term.factor;
    }
  }
  std::erase_if(result.terms, [](const AffineTerm& term) { return term.factor == 0; });
  return result;
}

// The divisor that an instruction with the constant `operand` stands for; 0 when it is none. Shifts
// and masks count where they equal a division of a number that is not negative, which lane_quotient
// makes sure of.
int64_t divisor_of(Opcode op, int64_t operand) {
  if (op == Opcode::div_i || op == Opcode::rem_i) return operand;
  if (op == Opcode::and_i) return (operand & (operand + 1)) == 0 ? operand + 1 : 0;
  const bool is_shift = op == Opcode::shr_u || op == Opcode::shr_s;
  return is_shift && operand < 31 ? int64_t{1} << operand : 0;
}

}  // namespace

AffineIndices::AffineIndices(const Program& program, bool lane_is_thread)
    : program_(program),
      lane_is_thread_(lane_is_thread),
      definitions_(program.values.size(), kNone),
      depths_(program.values.size(), 0),
      never_negative_(program.values.size(), false),
      ranges_(program.values.size()),
      known_(program.values.size()),
      looked_at_(program.values.size(), false) {
  visit(0, 0);
}

void AffineIndices::visit(BlockId block, uint32_t depth) {
  for (InstructionId id : program_.blocks[block].instructions) {
    const Instruction& instruction = program_.instructions[id];
    uint32_t own_depth = is_pure(instruction.op) ? 0 : depth;
    for (ValueId operand : program_.operands_of(instruction)) {
      own_depth = std::max(own_depth, depths_[operand]);
    }
    for (uint32_t i = 0; i < instruction.result_count; ++i) {
      definitions_[instruction.first_result + i] = id;
      depths_[instruction.first_result + i] = own_depth;
    }
    const bool is_number = instruction.op == Opcode::group_id ||
                           instruction.op == Opcode::lane_id || instruction.op == Opcode::wave_id;
    if (is_number) never_negative_[instruction.first_result] = true;
    const bool is_loop = instruction.op == Opcode::loop;
    if (is_loop) visit_loop(instruction, depth);
    for (BlockId region : instruction.regions) {
      if (region != kNone) visit(region, depth + (is_loop ? 1 : 0));
    }
  }
}

void AffineIndices::visit_loop(const Instruction& loop, uint32_t depth) {
  const Block& body = program_.blocks[loop.regions[0]];
  for (uint32_t i = 0; i < body.argument_count; ++i) depths_[body.first_argument + i] = depth + 1;
  const std::span<const ValueId> operands = program_.operands_of(loop);
  const std::optional<int64_t> lo = constant_of(operands[0]);
  const std::optional<int64_t> hi = constant_of(operands[1]);
  const std::optional<int64_t> step = constant_of(operands[2]);
  never_negative_[body.first_argument] = lo && *lo >= 0;
  if (lo && hi && step && *lo < *hi) {
    ranges_[body.first_argument] = {*lo, *lo + (*hi - 1 - *lo) / *step * *step};
  }
}

std::optional<AffineIndex> AffineIndices::split(ValueId index) {
  if (!looked_at_[index]) {
    std::optional<AffineIndex> result = compute(index);
    const bool is_term = lane_is_thread_ || !program_.values[index].varying;
    if (is_term && (!result || result->terms.size() > kTermsMax)) result = leaf(index);
    if (result) {
      std::ranges::stable_sort(result->terms, [&](const AffineTerm& a, const AffineTerm& b) {
        return std::pair(depths_[a.leaf], a.leaf) < std::pair(depths_[b.leaf], b.leaf);
      });
    }
    known_[index] = std::move(result);
    looked_at_[index] = true;
  }
  return known_[index];
}

std::optional<AffineIndex> AffineIndices::compute(ValueId value) {
  if (definitions_[value] == kNone) return std::nullopt;
  const Instruction& instruction = program_.instructions[definitions_[value]];
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const Opcode op = instruction.op;
  if (op == Opcode::constant) return AffineIndex{{}, *constant_of(value), 0};
  if (op == Opcode::lane_id && !lane_is_thread_) return AffineIndex{{}, 0, 1};
  if (op == Opcode::add_i) return sum(operands[0], operands[1], 1);
  if (op == Opcode::sub_i) return sum(operands[0], operands[1], -1);
  if (class_of(op) != OpClass::binary_int) return std::nullopt;

  const std::optional<int64_t> right = constant_of(operands[1]);
  if (op == Opcode::mul_i && right) return scaled(operands[0], *right);
  if (op == Opcode::mul_i) {
    const std::optional<int64_t> left = constant_of(operands[0]);
    return left ? scaled(operands[1], *left) : std::nullopt;
  }
  if (!right || *right < 0) return std::nullopt;
  if (op == Opcode::shl_i) {
    return *right < 31 ? scaled(operands[0], int64_t{1} << *right) : std::nullopt;
  }
  if (op == Opcode::rem_i || op == Opcode::and_i) {
    return remainder(operands[0], divisor_of(op, *right));
  }
  return quotient(operands[0], divisor_of(op, *right));
}

std::optional<AffineIndex> AffineIndices::sum(ValueId a, ValueId b, int64_t sign) {
  const std::optional<AffineIndex> left = split(a);
  const std::optional<AffineIndex> right = split(b);
  if (!left || !right) return std::nullopt;
  return added(*left, *right, sign);
}

std::optional<AffineIndex> AffineIndices::scaled(ValueId a, int64_t factor) {
  std::optional<AffineIndex> index = split(a);
  if (!index) return std::nullopt;
  if (factor == 0) return AffineIndex{};
  for (AffineTerm& term : index->terms) term.factor *= factor;
  index->constant *= factor;
  index->lane_stride *= factor;
  return index;
}

// The quotient of the constant and lane parts by `divisor` when it is the same for every lane and
// all the terms are multiples of the divisor and not negative.
std::optional<int64_t> AffineIndices::lane_quotient(const AffineIndex& index,
                                                    int64_t divisor) const {
  if (divisor <= 0 || index.constant < 0 || index.lane_stride < 0) return std::nullopt;
  for (const AffineTerm& term : index.terms) {
    const bool fits = term.factor > 0 && term.factor % divisor == 0 && never_negative_[term.leaf];
    if (!fits) return std::nullopt;
  }
  const int64_t last = index.constant + index.lane_stride * (int64_t{program_.wave_lanes} - 1);
  if (index.constant / divisor != last / divisor) return std::nullopt;
  return index.constant / divisor;
}

std::optional<AffineIndex> AffineIndices::quotient(ValueId a, int64_t divisor) {
  std::optional<AffineIndex> index = split(a);
  if (!index) return std::nullopt;
  const std::optional<int64_t> constant = lane_quotient(*index, divisor);
  if (!constant) return std::nullopt;
  for (AffineTerm& term : index->terms) term.factor /= divisor;
  return AffineIndex{std::move(index->terms), *constant, 0};
}

std::optional<AffineIndex> AffineIndices::remainder(ValueId a, int64_t divisor) {
  const std::optional<AffineIndex> index = split(a);
  if (!index) return std::nullopt;
  const std::optional<int64_t> constant = lane_quotient(*index, divisor);
  if (!constant) return std::nullopt;
  return AffineIndex{{}, index->constant - *constant * divisor, index->lane_stride};
}

std::optional<int64_t> AffineIndices::constant_of(ValueId value) const {
  if (definitions_[value] == kNone) return std::nullopt;
  const Instruction& instruction = program_.instructions[definitions_[value]];
  const bool is_int = program_.values[value].scalar == Scalar::i32;
  if (instruction.op != Opcode::constant || !is_int) return std::nullopt;
  return static_cast<int32_t>(instruction.imm);
}

}  // namespace leat
