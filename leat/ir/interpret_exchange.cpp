// What the lanes of a wave do together: reductions, shuffles, fragments. A fragment's words are its
// elements, row after row, as values; of a wavegroup every wave has all of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/ir/interpret_machine.h"
#include "leat/ir/scalar_ops.h"
#include "leat/ir/storage.h"

namespace leat::ir {

namespace {

float tf32_of(float value) {
  // Half a unit of the last kept bit, ties away from zero. Source: PTX ISA 8.0, cvt.rna.tf32.
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (!std::isfinite(value)) return value;
  return std::bit_cast<float>((bits + 0x1000u) & ~0x1fffu);
}

// As an element of the fragment holds it.
Word element_of(const Fragment& fragment, Word value) {
  if (fragment.tf32) return word_of(tf32_of(number<float>(value)));
  return widened(fragment.element, narrowed(fragment.element, value));
}

double as_double(const Fragment& fragment, Word word) {
  if (fragment.element == DType::f64) return number<double>(word);
  return static_cast<double>(number<float>(word));
}

Word as_word(const Fragment& fragment, double value) {
  if (fragment.element == DType::f64) return word_of(value);
  return element_of(fragment, word_of(static_cast<float>(value)));
}

}  // namespace

// Lane i takes in lane i + n/2, then n/4, ...: the order of the sum is part of the meaning.
void Machine::reduce(const Instruction& instruction, Wave& wave) {
  const ValueId source = program_.operands_of(instruction)[0];
  const bool is_real = program_.values[source].scalar == Scalar::f32;
  const Word* first = words(source, wave);
  std::vector<Word> lanes(first, first + lanes_of(source));
  const auto join = [&]<Opcode float_op, Opcode int_op>(Word a, Word b) {
    if (is_real) return word_of(apply_binary_float<float_op>(number<float>(a), number<float>(b)));
    return word_of(apply_binary_int<int_op>(number<int32_t>(a), number<int32_t>(b)));
  };
  for (size_t half = lanes.size() / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) {
      using enum Opcode;
      const Word a = lanes[i];
      const Word b = lanes[i + half];
      if (instruction.op == reduce_add) lanes[i] = join.operator()<add_f, add_i>(a, b);
      if (instruction.op == reduce_min) lanes[i] = join.operator()<min_f, min_i>(a, b);
      if (instruction.op == reduce_max) lanes[i] = join.operator()<max_f, max_i>(a, b);
    }
  }
  *words(instruction.first_result, wave) = lanes[0];
}

void Machine::shuffle(const Instruction& instruction, Wave& wave) {
  const Operand source = operand(instruction, 0, wave);
  const ValueId result = instruction.first_result;
  Word* out = words(result, wave);
  const uint32_t lanes = program_.wave_lanes;
  const uint32_t amount = static_cast<uint32_t>(instruction.imm);
  for (uint32_t lane = 0; lane < lanes_of(result); ++lane) {
    uint32_t from = lane;
    if (instruction.op == Opcode::shuffle) {
      from = low(operand(instruction, 1, wave).word(0, lane)) % lanes;
    }
    if (instruction.op == Opcode::shuffle_xor) from = lane ^ amount;
    if (instruction.op == Opcode::shuffle_up && lane >= amount) from = lane - amount;
    if (instruction.op == Opcode::shuffle_down && lane + amount < lanes) from = lane + amount;
    out[lane] = source.word(0, from);
  }
}

// --- Fragments ---

void Machine::fill_fragment(const Instruction& instruction, Wave& wave) {
  const ValueId result = instruction.first_result;
  const Word value = operand(instruction, 0, wave).word(0, 0);
  const Word element = element_of(program_.values[result].fragment, value);
  std::fill_n(words(result, wave), word_count_of(result), element);
}

Result<void> Machine::access_fragment(const Instruction& instruction, Wave& wave) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const bool is_store = instruction.result_count == 0;
  const ValueId id = is_store ? operands[2] : instruction.first_result;
  const Fragment& fragment = program_.values[id].fragment;
  const bool is_local = is_local_access(instruction.op);
  const int64_t first = scalar(operands[0], wave), stride = scalar(operands[1], wave);
  const bool by_columns = (instruction.imm & kByColumns) != 0;
  const int64_t element_bytes = size_bytes_of(fragment.element);
  const int64_t inner = by_columns ? fragment.rows() : fragment.columns();
  const int64_t bytes = std::min<int64_t>(16, inner * size_bytes_of(fragment.element));
  const int64_t aligned = bytes / size_bytes_of(fragment.element);
  if (is_store) TRY(check_products(instruction, id, wave));
  if (first % aligned != 0 || stride % aligned != 0 || stride < 0) {
    return wrong(instruction, fmt::format("has an index ({}) or a stride ({}) that is no multiple "
                                          "of ({})",
                                          first, stride, aligned));
  }
  Word* word = words(id, wave);
  for (int64_t row = 0; row < fragment.rows(); ++row) {
    for (int64_t column = 0; column < fragment.columns(); ++column, ++word) {
      const int64_t outer_at = by_columns ? column : row, inner_at = by_columns ? row : column;
      int64_t place = first + outer_at * stride + inner_at;
      if ((instruction.imm & kSwizzled) != 0) {
        // Rows of 128 bytes; what is longer goes on `stride` behind.
        const int64_t in_row = kSwizzledRowBytes / element_bytes;
        place = swizzled(first + inner_at / in_row * stride + outer_at * in_row + inner_at % in_row,
                         element_bytes);
      }
      if ((instruction.imm & kInWords) != 0) {
        const int64_t rows = rows_in_word(element_bytes);
        place = first + row / rows * stride + column * rows + row % rows;
      }
      // The lanes of a wave share the matrix in an unknown way: all of them touch each element.
      const uint32_t wave_number = wave.number + (is_local ? 0 : first_wave_);
      const AccessPoint point = {place, wave_number, 0, false};
      AccessFault fault = AccessFault::none;
      if (is_local) {
        LocalBuffer& local = locals_[instruction.slot];
        fault = is_store ? local.store(point, *word) : local.load(point, *word);
      } else {
        GlobalBuffer& buffer = buffers_[instruction.slot];
        fault = is_store ? buffer.store(point, *word) : buffer.load(point, *word);
      }
      if (fault != AccessFault::none) {
        const int64_t count = is_local ? locals_[instruction.slot].element_count()
                                       : buffers_[instruction.slot].element_count();
        return wrong(instruction, fault_text(fault, point, count));
      }
      if (!is_store) *word = element_of(fragment, *word);
    }
  }
  return {};
}

Result<void> Machine::check_products(const Instruction& instruction, ValueId sum,
                                     const Wave& wave) const {
  if (!wave.products.contains(sum)) return {};
  return wrong(instruction, "takes a sum whose products have not been waited for");
}

// Pairs of neighbours, the lanes' first ones row after row, then their second ones.
void Machine::take_element(const Instruction& instruction, Wave& wave) {
  const ValueId sum = program_.operands_of(instruction)[0];
  const Fragment& fragment = program_.values[sum].fragment;
  const Word* elements = words(sum, wave);
  Word* out = words(instruction.first_result, wave);
  const int64_t lanes = program_.wave_lanes, pair = instruction.imm / 2;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const int64_t holder = wave.number % fragment.waves * lanes + lane;
    const int64_t at = 2 * (pair * lanes * fragment.waves + holder) + instruction.imm % 2;
    const auto row = static_cast<int32_t>(at / fragment.n);
    const auto column = static_cast<int32_t>(at % fragment.n);
    if (instruction.op == Opcode::fragment_part) out[lane] = elements[at];
    if (instruction.op == Opcode::fragment_row) out[lane] = word_of(row);
    if (instruction.op == Opcode::fragment_column) out[lane] = word_of(column);
  }
}

void Machine::multiply(const Instruction& instruction, Wave& wave) {
  const ValueId sum = instruction.first_result;
  if (program_.values[sum].fragment.waves > 1) wave.products.insert(sum);
  if (is_float(program_.values[instruction.first_result].scalar)) {
    multiply_floats(instruction, wave);
  } else {
    multiply_ints(instruction, wave);
  }
}

// Sums in f64, rounded once: a unit's own sum is as near to it as its order and its width allow.
void Machine::multiply_floats(const Instruction& instruction, Wave& wave) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const Fragment& fa = program_.values[operands[0]].fragment;
  const Fragment& fb = program_.values[operands[1]].fragment;
  const Fragment& sum_type = program_.values[operands[2]].fragment;
  const Word* a = words(operands[0], wave);
  const Word* b = words(operands[1], wave);
  const Word* c = words(operands[2], wave);
  Word* out = words(instruction.first_result, wave);
  const size_t n = sum_type.n, depth = sum_type.k;
  for (size_t i = 0; i < sum_type.m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = as_double(sum_type, c[i * n + j]);
      for (size_t k = 0; k < depth; ++k) {
        sum += as_double(fa, a[i * depth + k]) * as_double(fb, b[k * n + j]);
      }
      out[i * n + j] = as_word(sum_type, sum);
    }
  }
}

void Machine::multiply_ints(const Instruction& instruction, Wave& wave) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const Fragment& shape = program_.values[operands[2]].fragment;
  const Word* a = words(operands[0], wave);
  const Word* b = words(operands[1], wave);
  const Word* c = words(operands[2], wave);
  Word* out = words(instruction.first_result, wave);
  const size_t n = shape.n, depth = shape.k;
  for (size_t i = 0; i < shape.m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      uint32_t sum = low(c[i * n + j]);
      for (size_t k = 0; k < depth; ++k) sum += low(a[i * depth + k]) * low(b[k * n + j]);
      out[i * n + j] = sum;
    }
  }
}

}  // namespace leat::ir
