// The program is run as flattened steps, so that a wave's state is a step number and its values,
// and a wave stops at a barrier by returning. A value is 32-bit words, component after component, a
// varying one with a word for each lane.
#include "leat/ir/interpret.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "leat/ir/interpret_machine.h"
#include "leat/ir/scalar_ops.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"

namespace leat::ir {
Machine::Machine(const Program& program, std::span<const std::span<std::byte>> buffers,
                 uint64_t steps_max, bool refuses_unwritten)
    : program_(program), steps_(flatten(program)), steps_left_(steps_max) {
  const bool meets = std::ranges::any_of(program.instructions, [](const Instruction& instruction) {
    return instruction.op == Opcode::last_group;
  });
  for (size_t i = 0; i < buffers.size(); ++i) {
    buffers_.emplace_back(program.parameters[i], buffers[i], program.wave_lanes,
                          meets ? &order_ : nullptr);
  }
  size_t word_count = 0;
  for (ValueId id = 0; id < program.values.size(); ++id) {
    offsets_.push_back(word_count);
    word_count += word_count_of(id);
  }
  for (uint32_t i = 0; i < program.waves_per_workgroup; ++i) {
    waves_.push_back({.number = i, .words = std::vector<Word>(word_count)});
  }
  for (const LocalMemory& local : program.locals) {
    locals_.emplace_back(local, program.wave_lanes, refuses_unwritten);
  }
}

std::vector<int64_t> Machine::written() const {
  std::vector<int64_t> counts;
  for (const GlobalBuffer& buffer : buffers_) counts.push_back(buffer.written_count());
  return counts;
}

Error Machine::wrong(const Instruction& instruction, std::string_view what) const {
  const size_t id = static_cast<size_t>(&instruction - program_.instructions.data());
  return Error(
      ErrorKind::internal,
      fmt::format("Kernel \"{}\" in workgroup ({}, {}, {}) has an instruction \"{}\" that {}.",
                  program_.name, group_[0], group_[1], group_[2],
                  print_instruction(program_, static_cast<InstructionId>(id)), what));
}

Operand Machine::value(ValueId id, const Wave& wave) const {
  const Type type = program_.values[id];
  const size_t lanes = lanes_of(id);
  return {.words = wave.words.data() + offsets_[id],
          .component_step = type.width == 1 ? 0 : lanes,
          .lane_step = type.varying ? 1u : 0u};
}

// --- Control ---

Result<void> Machine::run() {
  for (group_[2] = 0; group_[2] < program_.grid[2]; ++group_[2]) {
    for (group_[1] = 0; group_[1] < program_.grid[1]; ++group_[1]) {
      for (group_[0] = 0; group_[0] < program_.grid[0]; ++group_[0]) {
        TRY(run_group());
        first_wave_ += program_.waves_per_workgroup;
      }
    }
  }
  return {};
}

Result<void> Machine::run_group() {
  order_.start_group();
  for (Wave& wave : waves_) wave.step = 0;
  for (Wave& wave : waves_) wave.copies.assign(1, {});
  for (LocalBuffer& local : locals_) local.poison();
  bool at_barrier = true;
  while (at_barrier) {
    for (LocalBuffer& local : locals_) local.next_epoch();
    for (Wave& wave : waves_) {
      TRY_ASSIGN(const bool stopped, run_to_barrier(wave));
      const Wave& first = waves_[0];
      if (wave.number == 0) at_barrier = stopped;
      if (stopped != at_barrier || wave.step != first.step) {
        const uint32_t where = stopped ? wave.step : first.step;
        return wrong(program_.instructions[steps_[where - 1].instruction],
                     "is not reached by all waves of its workgroup");
      }
    }
    if (at_barrier) {
      TRY(meet(program_.instructions[steps_[waves_[0].step - 1].instruction]));
    }
  }
  return check_copies();
}

// All waves stand behind `instruction`, a barrier or a last_group.
Result<void> Machine::meet(const Instruction& instruction) {
  if (instruction.op == Opcode::barrier) return {};
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const int64_t index = scalar(operands[0], waves_[0]);
  GlobalBuffer& buffer = buffers_[instruction.slot];
  const AccessPoint point = {index, first_wave_, 0, false};
  bool is_last = false;
  const AccessFault fault = buffer.arrive(point, scalar(operands[1], waves_[0]), is_last);
  if (fault != AccessFault::none) {
    return wrong(instruction, fault_text(fault, point, buffer.element_count()));
  }
  order_.meet({instruction.slot, index}, is_last);
  for (Wave& wave : waves_) *words(instruction.first_result, wave) = is_last ? 1 : 0;
  return {};
}

// True at a barrier or a last_group, with the step after it next; false at the end.
Result<bool> Machine::run_to_barrier(Wave& wave) {
  while (wave.step < steps_.size()) {
    const Step& step = steps_[wave.step++];
    if (steps_left_-- == 0) {
      return Error(ErrorKind::unsupported,
                   fmt::format("Kernel \"{}\" takes more steps than it may.", program_.name));
    }
    const Instruction& instruction = program_.instructions[step.instruction];
    switch (step.kind) {
      case Step::Kind::plain:
        if (instruction.op == Opcode::barrier || instruction.op == Opcode::last_group) return true;
        TRY(run_plain(instruction, wave));
        break;
      case Step::Kind::loop_enter: enter_loop(instruction, wave, step.target); break;
      case Step::Kind::loop_next: next_round(instruction, wave, step.target); break;
      case Step::Kind::branch_test:
        if (scalar(program_.operands_of(instruction)[0], wave) == 0) wave.step = step.target;
        break;
      case Step::Kind::jump: wave.step = step.target; break;
    }
  }
  return false;
}

// Copies to consecutive values; through carried_, because a yield may swap what it carries.
void Machine::carry(std::span<const ValueId> from, ValueId first_to, Wave& wave) {
  if (from.empty()) return;
  carried_.clear();
  for (size_t i = 0; i < from.size(); ++i) {
    const ValueId to = first_to + static_cast<ValueId>(i);
    if (program_.values[to].is_fragment()) {
      const Word* first = words(from[i], wave);
      wave.products.erase(to);
      if (wave.products.contains(from[i])) wave.products.insert(to);
      carried_.insert(carried_.end(), first, first + word_count_of(to));
      continue;
    }
    const Operand source = value(from[i], wave);
    for (size_t c = 0; c < program_.values[to].width; ++c) {
      for (size_t lane = 0; lane < lanes_of(to); ++lane) carried_.push_back(source.word(c, lane));
    }
  }
  std::copy(carried_.begin(), carried_.end(), words(first_to, wave));
}

void Machine::enter_loop(const Instruction& loop, Wave& wave, uint32_t leave) {
  const std::span<const ValueId> operands = program_.operands_of(loop);
  const ValueId counter = program_.blocks[loop.regions[0]].first_argument;
  const int32_t lo = scalar(operands[0], wave);
  if (lo >= scalar(operands[1], wave)) {
    carry(operands.subspan(3), loop.first_result, wave);
    wave.step = leave;
    return;
  }
  *words(counter, wave) = word_of(lo);
  carry(operands.subspan(3), counter + 1, wave);
}

void Machine::next_round(const Instruction& loop, Wave& wave, uint32_t body) {
  const std::span<const ValueId> operands = program_.operands_of(loop);
  const Block& region = program_.blocks[loop.regions[0]];
  const Instruction& yield = program_.instructions[region.instructions.back()];
  const int64_t next = int64_t{scalar(region.first_argument, wave)} + scalar(operands[2], wave);
  if (next >= scalar(operands[1], wave)) {
    carry(program_.operands_of(yield), loop.first_result, wave);
    return;
  }
  carry(program_.operands_of(yield), region.first_argument + 1, wave);
  *words(region.first_argument, wave) = word_of(static_cast<int32_t>(next));
  wave.step = body;
}

// --- Arithmetic ---

template <typename Function>
void Machine::each1(const Instruction& instruction, Wave& wave, Function function) {
  const ValueId result = instruction.first_result;
  const Operand a = operand(instruction, 0, wave);
  Word* out = words(result, wave);
  const size_t lanes = lanes_of(result);
  for (size_t c = 0; c < program_.values[result].width; ++c) {
    for (size_t lane = 0; lane < lanes; ++lane) *out++ = function(a.word(c, lane));
  }
}

template <typename Function>
void Machine::each2(const Instruction& instruction, Wave& wave, Function function) {
  const ValueId result = instruction.first_result;
  const Operand a = operand(instruction, 0, wave);
  const Operand b = operand(instruction, 1, wave);
  Word* out = words(result, wave);
  const size_t lanes = lanes_of(result);
  for (size_t c = 0; c < program_.values[result].width; ++c) {
    for (size_t lane = 0; lane < lanes; ++lane) *out++ = function(a.word(c, lane), b.word(c, lane));
  }
}

template <typename Function>
void Machine::each3(const Instruction& instruction, Wave& wave, Function function) {
  const ValueId result = instruction.first_result;
  const Operand a = operand(instruction, 0, wave);
  const Operand b = operand(instruction, 1, wave);
  const Operand third = operand(instruction, 2, wave);
  Word* out = words(result, wave);
  const size_t lanes = lanes_of(result);
  for (size_t c = 0; c < program_.values[result].width; ++c) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      *out++ = function(a.word(c, lane), b.word(c, lane), third.word(c, lane));
    }
  }
}

void Machine::fill(ValueId value, Wave& wave, Word word, uint32_t lane_step) {
  Word* out = words(value, wave);
  for (uint32_t lane = 0; lane < lanes_of(value); ++lane) out[lane] = word + lane * lane_step;
}

void Machine::make_vector(const Instruction& instruction, Wave& wave) {
  Word* out = words(instruction.first_result, wave);
  const size_t lanes = lanes_of(instruction.first_result);
  for (size_t c = 0; c < instruction.operand_count; ++c) {
    const Operand component = operand(instruction, c, wave);
    for (size_t lane = 0; lane < lanes; ++lane) *out++ = component.word(0, lane);
  }
}

template <Opcode op>
Result<void> Machine::execute(const Instruction& instruction, Wave& wave) {
  using enum Opcode;
  constexpr OpClass kClass = class_constant(op);
  const ValueId result = instruction.first_result;
  const size_t imm = static_cast<size_t>(instruction.imm);
  const auto scalar_of = [&](size_t i) {
    return program_.values[program_.operands_of(instruction)[i]].scalar;
  };
  if constexpr (is_unary_float(op)) {
    each1(instruction, wave, [scalar = scalar_of(0)](Word a) {
      return with_float(
          scalar, [&]<typename T>(T) { return word_of(apply_unary_float<op>(number<T>(a))); });
    });
  } else if constexpr (is_binary_float(op)) {
    each2(instruction, wave, [scalar = scalar_of(0)](Word a, Word b) {
      return with_float(scalar, [&]<typename T>(T) {
        return word_of(apply_binary_float<op>(number<T>(a), number<T>(b)));
      });
    });
  } else if constexpr (kClass == OpClass::unary_int) {
    each1(instruction, wave, [scalar = scalar_of(0)](Word a) {
      return with_int(scalar,
                      [&]<typename T>(T) { return word_of(apply_unary_int<op>(number<T>(a))); });
    });
  } else if constexpr (kClass == OpClass::binary_int) {
    each2(instruction, wave, [scalar = scalar_of(0)](Word a, Word b) {
      return with_int(scalar, [&]<typename T>(T) {
        return word_of(apply_binary_int<op>(number<T>(a), number<T>(b)));
      });
    });
  } else if constexpr (kClass == OpClass::binary_bool) {
    each2(instruction, wave,
          [](Word a, Word b) { return word_of(apply_binary_bool<op>(a != 0, b != 0)); });
  } else if constexpr (kClass == OpClass::compare) {
    each2(instruction, wave, [is_wide = bytes_of(scalar_of(0)) == 8](Word a, Word b) {
      const auto compared = [&]<typename Float, typename Int>(Float, Int) {
        return word_of(
            apply_compare<op>(number<Float>(a), number<Float>(b), number<Int>(a), number<Int>(b)));
      };
      return is_wide ? compared(double{}, int64_t{}) : compared(float{}, int32_t{});
    });
  } else if constexpr (op == constant) {
    const bool is_wide = bytes_of(program_.values[result].scalar) == 8;
    const Word bits = static_cast<Word>(instruction.imm);
    fill(result, wave, is_wide ? bits : low(bits), 0);
  } else if constexpr (op == lane_id) {
    fill(result, wave, 0, 1);
  } else if constexpr (op == wave_id) {
    fill(result, wave, wave.number, 0);
  } else if constexpr (op == group_id) {
    fill(result, wave, group_[imm], 0);
  } else if constexpr (op == fma) {
    each3(instruction, wave, [scalar = scalar_of(0)](Word a, Word b, Word c) {
      return with_float(scalar, [&]<typename T>(T) {
        return word_of(std::fma(number<T>(a), number<T>(b), number<T>(c)));
      });
    });
  } else if constexpr (op == select) {
    each3(instruction, wave, [](Word c, Word a, Word b) { return c != 0 ? a : b; });
  } else if constexpr (op == not_b) {
    each1(instruction, wave, [](Word a) { return a ^ 1u; });
  } else if constexpr (op == int_from_float) {
    const Scalar to = program_.values[result].scalar;
    each1(instruction, wave, [from = scalar_of(0), to](Word a) {
      return with_float(from, [&]<typename From>(From) {
        return with_int(to, [&]<typename To>(To) {
          return word_of(int_from_float_saturated<To>(number<From>(a)));
        });
      });
    });
  } else if constexpr (op == float_from_int) {
    const Scalar to = program_.values[result].scalar;
    each1(instruction, wave, [from = scalar_of(0), to](Word a) {
      return with_int(from, [&]<typename From>(From) {
        return with_float(
            to, [&]<typename To>(To) { return word_of(static_cast<To>(number<From>(a))); });
      });
    });
  } else if constexpr (op == widen_i) {
    each1(instruction, wave, [](Word a) { return word_of(int64_t{number<int32_t>(a)}); });
  } else if constexpr (op == narrow_i) {
    each1(instruction, wave, [](Word a) { return Word{low(a)}; });
  } else if constexpr (op == widen_f) {
    each1(instruction, wave, [](Word a) { return word_of(static_cast<double>(number<float>(a))); });
  } else if constexpr (op == narrow_f) {
    each1(instruction, wave, [](Word a) { return word_of(static_cast<float>(number<double>(a))); });
  } else if constexpr (op == widen_u || op == int_from_bool || op == bits_from_float ||
                       op == float_from_bits) {
    each1(instruction, wave, [](Word a) { return a; });
  } else if constexpr (op == vector) {
    make_vector(instruction, wave);
  } else if constexpr (op == extract) {
    Operand whole = operand(instruction, 0, wave);
    Word* out = words(result, wave);
    for (size_t lane = 0; lane < lanes_of(result); ++lane) out[lane] = whole.word(imm, lane);
  } else if constexpr (op == load || op == store) {
    return access_global(instruction, wave);
  } else if constexpr (op == load_local || op == store_local) {
    return access_local(instruction, wave);
  } else if constexpr (op == atomic_add) {
    return add_atomically(instruction, wave);
  } else if constexpr (op == ir::Opcode::shuffle || op == shuffle_xor || op == shuffle_up ||
                       op == shuffle_down) {
    this->shuffle(instruction, wave);
  } else if constexpr (op == dot_ss || op == dot_us || op == dot_uu) {
    each3(instruction, wave, [](Word a, Word b, Word c) {
      return word_of(dot_of_bytes(op, number<int32_t>(a), number<int32_t>(b), number<int32_t>(c)));
    });
  } else if constexpr (op == dot_bf16) {
    each3(instruction, wave, [](Word a, Word b, Word c) {
      return word_of(dot_of_bfloats(number<int32_t>(a), number<int32_t>(b), number<float>(c)));
    });
  } else if constexpr (op == copy_async) {
    return start_copy(instruction, wave);
  } else if constexpr (op == copy_commit) {
    wave.copies.emplace_back();
  } else if constexpr (op == copy_wait) {
    return finish_copies(instruction, wave, imm);
  } else if constexpr (op == prefetch) {
    return check_prefetch(instruction, wave);
  } else if constexpr (op == fragment_fill) {
    fill_fragment(instruction, wave);
  } else if constexpr (op == fragment_load || op == fragment_load_local || op == fragment_store ||
                       op == fragment_store_local) {
    return access_fragment(instruction, wave);
  } else if constexpr (op == mma) {
    multiply(instruction, wave);
  } else if constexpr (op == mma_wait) {
    const Word* first = words(program_.operands_of(instruction)[0], wave);
    std::copy_n(first, word_count_of(result), words(result, wave));
    if (imm > 0 && program_.values[result].fragment.waves > 1) wave.products.insert(result);
  } else if constexpr (op == fragment_part || op == fragment_row || op == fragment_column) {
    TRY(check_products(instruction, program_.operands_of(instruction)[0], wave));
    take_element(instruction, wave);
  } else if constexpr (op == reduce_add || op == reduce_min || op == reduce_max) {
    reduce(instruction, wave);
  } else if constexpr (op == rounds) {
    const Word* own = words(program_.operands_of(instruction)[0], wave);
    const size_t lanes = lanes_of(program_.operands_of(instruction)[0]);
    const auto less = [](Word a, Word b) { return number<int32_t>(a) < number<int32_t>(b); };
    *words(result, wave) = *std::max_element(own, own + lanes, less);
  } else {
    static_assert(op == barrier || op == last_group || op == loop || op == branch || op == yield,
                  "an instruction without a meaning");
  }
  return {};
}

Result<void> Machine::run_plain(const Instruction& instruction, Wave& wave) {
  Result<void> result;
  visit_opcode(instruction.op, [&]<Opcode op>() { result = execute<op>(instruction, wave); });
  return result;
}

Result<void> interpret(const Program& program, std::span<const std::span<std::byte>> buffers,
                       uint64_t steps_max) {
  return interpret(program, buffers, InterpretOptions{.steps_max = steps_max});
}

Result<void> interpret(const Program& program, std::span<const std::span<std::byte>> buffers,
                       const InterpretOptions& options) {
  TRY(verify(program));
  if (buffers.size() != program.parameters.size()) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Kernel \"{}\" is given a number of buffers ({}) other than that of its "
                    "parameters ({}).",
                    program.name, buffers.size(), program.parameters.size()));
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Parameter& parameter = program.parameters[i];
    const int64_t needed = parameter.element_count * size_bytes_of(parameter.storage);
    if (buffers[i].size() < static_cast<size_t>(needed)) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("Parameter \"{}\" of kernel \"{}\" is given fewer bytes ({}) than it "
                      "needs ({}).",
                      parameter.name, program.name, buffers[i].size(), needed));
    }
  }
  Machine machine(program, buffers, options.steps_max, options.refuses_unwritten);
  TRY(machine.run());
  if (options.written != nullptr) *options.written = machine.written();
  if (options.steps != nullptr) *options.steps = options.steps_max - machine.steps_left();
  return {};
}

}  // namespace leat::ir
