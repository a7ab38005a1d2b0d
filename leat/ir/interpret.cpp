// The program is run as flattened steps, so that a wave's state is a step number and its values,
// and a wave stops at a barrier by returning. A value is 32-bit words, component after component, a
// varying one with a word for each lane.
#include "leat/ir/interpret.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "leat/ir/flatten.h"
#include "leat/ir/interpret_memory.h"
#include "leat/ir/scalar_ops.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"

namespace leat::ir {
namespace {

/// A value's words as an operand: word(component, lane) for any width and lane of the result.
struct Operand {
  const uint32_t* words = nullptr;
  size_t component_step = 0;
  size_t lane_step = 0;

  uint32_t word(size_t component, size_t lane) const {
    return words[component * component_step + lane * lane_step];
  }
};

float as_float(uint32_t word) { return std::bit_cast<float>(word); }
uint32_t as_word(float value) { return std::bit_cast<uint32_t>(value); }

struct Wave {
  uint32_t number = 0;  // in its workgroup
  uint32_t step = 0;
  std::vector<uint32_t> words;
};

class Machine {
 public:
  Machine(const Program& program, std::vector<GlobalBuffer> buffers);
  Result<void> run();

 private:
  Result<void> run_group();
  Result<bool> run_to_barrier(Wave& wave);
  Result<void> run_plain(const Instruction& instruction, Wave& wave);
  void enter_loop(const Instruction& loop, Wave& wave, uint32_t leave);
  void next_round(const Instruction& loop, Wave& wave, uint32_t body);
  void carry(std::span<const ValueId> from, ValueId first_to, Wave& wave);
  Error wrong(const Instruction& instruction, std::string_view what) const;

  template <Opcode op>
  Result<void> execute(const Instruction& instruction, Wave& wave);
  template <typename Function>
  void each1(const Instruction& instruction, Wave& wave, Function function);
  template <typename Function>
  void each2(const Instruction& instruction, Wave& wave, Function function);
  template <typename Function>
  void each3(const Instruction& instruction, Wave& wave, Function function);
  void fill(ValueId value, Wave& wave, uint32_t word, uint32_t lane_step);
  void make_vector(const Instruction& instruction, Wave& wave);
  void reduce(const Instruction& instruction, Wave& wave);
  Result<void> access_global(const Instruction& instruction, Wave& wave);
  Result<void> access_local(const Instruction& instruction, Wave& wave);

  Operand operand(const Instruction& instruction, size_t i, const Wave& wave) const {
    return value(program_.operands_of(instruction)[i], wave);
  }
  Operand value(ValueId id, const Wave& wave) const;
  uint32_t* words(ValueId id, Wave& wave) const { return wave.words.data() + offsets_[id]; }
  uint32_t lanes_of(ValueId id) const {
    return program_.values[id].varying ? program_.wave_lanes : 1;
  }
  int32_t scalar(ValueId id, const Wave& wave) const {
    return static_cast<int32_t>(wave.words[offsets_[id]]);
  }

  const Program& program_;
  std::vector<Step> steps_;
  std::vector<size_t> offsets_;  // value -> its first word
  std::vector<Wave> waves_;
  std::vector<GlobalBuffer> buffers_;
  std::vector<LocalBuffer> locals_;
  std::array<uint32_t, 3> group_ = {0, 0, 0};
  uint32_t first_wave_ = 0;  // of the workgroup, counted over the whole grid
  std::vector<uint32_t> carried_;
};

Machine::Machine(const Program& program, std::vector<GlobalBuffer> buffers)
    : program_(program), steps_(flatten(program)), buffers_(std::move(buffers)) {
  size_t word_count = 0;
  for (ValueId id = 0; id < program.values.size(); ++id) {
    offsets_.push_back(word_count);
    word_count += size_t{program.values[id].width} * lanes_of(id);
  }
  for (uint32_t i = 0; i < program.waves_per_workgroup; ++i) {
    waves_.push_back({.number = i, .words = std::vector<uint32_t>(word_count)});
  }
  for (const LocalMemory& local : program.locals) locals_.emplace_back(local, program.wave_lanes);
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
  for (Wave& wave : waves_) wave.step = 0;
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
  }
  return {};
}

// True at a barrier, with the step after it next; false at the end.
Result<bool> Machine::run_to_barrier(Wave& wave) {
  while (wave.step < steps_.size()) {
    const Step& step = steps_[wave.step++];
    const Instruction& instruction = program_.instructions[step.instruction];
    switch (step.kind) {
      case Step::Kind::plain:
        if (instruction.op == Opcode::barrier) return true;
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
  *words(counter, wave) = static_cast<uint32_t>(lo);
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
  *words(region.first_argument, wave) = static_cast<uint32_t>(next);
  wave.step = body;
}

// --- Arithmetic ---

template <typename Function>
void Machine::each1(const Instruction& instruction, Wave& wave, Function function) {
  const ValueId result = instruction.first_result;
  const Operand a = operand(instruction, 0, wave);
  uint32_t* out = words(result, wave);
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
  uint32_t* out = words(result, wave);
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
  uint32_t* out = words(result, wave);
  const size_t lanes = lanes_of(result);
  for (size_t c = 0; c < program_.values[result].width; ++c) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      *out++ = function(a.word(c, lane), b.word(c, lane), third.word(c, lane));
    }
  }
}

void Machine::fill(ValueId value, Wave& wave, uint32_t word, uint32_t lane_step) {
  uint32_t* out = words(value, wave);
  for (uint32_t lane = 0; lane < lanes_of(value); ++lane) out[lane] = word + lane * lane_step;
}

void Machine::make_vector(const Instruction& instruction, Wave& wave) {
  uint32_t* out = words(instruction.first_result, wave);
  const size_t lanes = lanes_of(instruction.first_result);
  for (size_t c = 0; c < instruction.operand_count; ++c) {
    const Operand component = operand(instruction, c, wave);
    for (size_t lane = 0; lane < lanes; ++lane) *out++ = component.word(0, lane);
  }
}

// Lane i takes in lane i + n/2, then n/4, ...: the order of the sum is part of the meaning.
void Machine::reduce(const Instruction& instruction, Wave& wave) {
  const ValueId source = program_.operands_of(instruction)[0];
  const bool is_float = program_.values[source].scalar == Scalar::f32;
  const uint32_t* first = words(source, wave);
  std::vector<uint32_t> lanes(first, first + lanes_of(source));
  const auto join = [&]<Opcode float_op, Opcode int_op>(uint32_t a, uint32_t b) {
    if (is_float) return as_word(apply_binary_float<float_op>(as_float(a), as_float(b)));
    return static_cast<uint32_t>(
        apply_binary_int<int_op>(static_cast<int32_t>(a), static_cast<int32_t>(b)));
  };
  for (size_t half = lanes.size() / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) {
      using enum Opcode;
      const uint32_t a = lanes[i];
      const uint32_t b = lanes[i + half];
      if (instruction.op == reduce_add) lanes[i] = join.operator()<add_f, add_i>(a, b);
      if (instruction.op == reduce_min) lanes[i] = join.operator()<min_f, min_i>(a, b);
      if (instruction.op == reduce_max) lanes[i] = join.operator()<max_f, max_i>(a, b);
    }
  }
  *words(instruction.first_result, wave) = lanes[0];
}

template <Opcode op>
Result<void> Machine::execute(const Instruction& instruction, Wave& wave) {
  using enum Opcode;
  constexpr OpClass kClass = class_constant(op);
  const ValueId result = instruction.first_result;
  const uint32_t imm = static_cast<uint32_t>(instruction.imm);
  if constexpr (is_unary_float(op)) {
    each1(instruction, wave,
          [](uint32_t a) { return as_word(apply_unary_float<op>(as_float(a))); });
  } else if constexpr (is_binary_float(op)) {
    each2(instruction, wave, [](uint32_t a, uint32_t b) {
      return as_word(apply_binary_float<op>(as_float(a), as_float(b)));
    });
  } else if constexpr (kClass == OpClass::binary_int) {
    each2(instruction, wave, [](uint32_t a, uint32_t b) {
      const int32_t value = apply_binary_int<op>(static_cast<int32_t>(a), static_cast<int32_t>(b));
      return static_cast<uint32_t>(value);
    });
  } else if constexpr (kClass == OpClass::binary_bool) {
    each2(instruction, wave, [](uint32_t a, uint32_t b) -> uint32_t {
      return apply_binary_bool<op>(a != 0, b != 0) ? 1 : 0;
    });
  } else if constexpr (kClass == OpClass::compare) {
    each2(instruction, wave,
          [](uint32_t a, uint32_t b) -> uint32_t { return apply_compare<op>(a, b) ? 1 : 0; });
  } else if constexpr (op == constant) {
    fill(result, wave, imm, 0);
  } else if constexpr (op == lane_id) {
    fill(result, wave, 0, 1);
  } else if constexpr (op == wave_id) {
    fill(result, wave, wave.number, 0);
  } else if constexpr (op == group_id) {
    fill(result, wave, group_[imm], 0);
  } else if constexpr (op == fma) {
    each3(instruction, wave, [](uint32_t a, uint32_t b, uint32_t c) {
      return as_word(std::fma(as_float(a), as_float(b), as_float(c)));
    });
  } else if constexpr (op == select) {
    each3(instruction, wave, [](uint32_t c, uint32_t a, uint32_t b) { return c != 0 ? a : b; });
  } else if constexpr (op == not_b) {
    each1(instruction, wave, [](uint32_t a) { return a ^ 1u; });
  } else if constexpr (op == int_from_float) {
    each1(instruction, wave,
          [](uint32_t a) { return static_cast<uint32_t>(int_from_float_saturated(as_float(a))); });
  } else if constexpr (op == float_from_int) {
    each1(instruction, wave,
          [](uint32_t a) { return as_word(static_cast<float>(static_cast<int32_t>(a))); });
  } else if constexpr (op == int_from_bool || op == bits_from_float || op == float_from_bits) {
    each1(instruction, wave, [](uint32_t a) { return a; });
  } else if constexpr (op == vector) {
    make_vector(instruction, wave);
  } else if constexpr (op == extract) {
    Operand whole = operand(instruction, 0, wave);
    uint32_t* out = words(result, wave);
    for (size_t lane = 0; lane < lanes_of(result); ++lane) out[lane] = whole.word(imm, lane);
  } else if constexpr (op == load || op == store) {
    return access_global(instruction, wave);
  } else if constexpr (op == load_local || op == store_local) {
    return access_local(instruction, wave);
  } else if constexpr (op == reduce_add || op == reduce_min || op == reduce_max) {
    reduce(instruction, wave);
  } else {
    static_assert(op == barrier || op == loop || op == branch || op == yield,
                  "an instruction without a meaning");
  }
  return {};
}

Result<void> Machine::run_plain(const Instruction& instruction, Wave& wave) {
  Result<void> result;
  visit_opcode(instruction.op, [&]<Opcode op>() { result = execute<op>(instruction, wave); });
  return result;
}

// --- Memory ---

Result<void> Machine::access_global(const Instruction& instruction, Wave& wave) {
  const bool is_store = instruction.op == Opcode::store;
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const ValueId value_id = is_store ? operands[1] : instruction.first_result;
  const uint32_t width = program_.values[value_id].width;
  const Operand index = operand(instruction, 0, wave);
  const bool has_stride = instruction.lane_stride != kIndexed;
  const bool varying = has_stride || program_.values[operands[0]].varying;
  const Operand stored = value(value_id, wave);
  uint32_t* loaded = is_store ? nullptr : words(value_id, wave);
  const Operand mask =
      instruction.masked ? operand(instruction, operands.size() - 1, wave) : Operand{};
  GlobalBuffer& buffer = buffers_[instruction.slot];
  const uint32_t lanes = varying ? program_.wave_lanes : 1;
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    const bool is_off = instruction.masked && mask.word(0, lane) == 0;
    const int64_t offset = has_stride ? int64_t{lane} * instruction.lane_stride : 0;
    const int64_t at = int64_t{static_cast<int32_t>(index.word(0, lane))} + offset;
    const uint32_t wave_number = first_wave_ + wave.number;
    for (uint32_t c = 0; c < width; ++c) {
      uint32_t word = is_store ? stored.word(c, lane) : 0;
      if (!is_off) {
        const AccessPoint point = {at * width + c, wave_number, lane, varying};
        const AccessFault fault = is_store ? buffer.store(point, word) : buffer.load(point, word);
        if (fault != AccessFault::none) {
          return wrong(instruction, fault_text(fault, point, buffer.element_count()));
        }
      }
      if (!is_store) loaded[c * lanes + lane] = word;
    }
  }
  return {};
}

Result<void> Machine::access_local(const Instruction& instruction, Wave& wave) {
  const bool is_store = instruction.op == Opcode::store_local;
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const ValueId value_id = is_store ? operands[1] : instruction.first_result;
  const uint32_t width = program_.values[value_id].width;
  const bool varying = program_.values[operands[0]].varying;
  const Operand index = operand(instruction, 0, wave);
  const Operand stored = value(value_id, wave);
  uint32_t* loaded = is_store ? nullptr : words(value_id, wave);
  LocalBuffer& local = locals_[instruction.slot];
  const uint32_t lanes = varying ? program_.wave_lanes : 1;
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    const int64_t at = static_cast<int32_t>(index.word(0, lane));
    for (uint32_t c = 0; c < width; ++c) {
      uint32_t word = is_store ? stored.word(c, lane) : 0;
      const AccessPoint point = {at * width + c, wave.number, lane, varying};
      const AccessFault fault = is_store ? local.store(point, word) : local.load(point, word);
      if (fault != AccessFault::none) {
        return wrong(instruction, fault_text(fault, point, local.element_count()));
      }
      if (!is_store) loaded[c * lanes + lane] = word;
    }
  }
  return {};
}

}  // namespace

Result<void> interpret(const Program& program, std::span<const std::span<std::byte>> buffers) {
  TRY(verify(program));
  if (buffers.size() != program.parameters.size()) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Kernel \"{}\" is given a number of buffers ({}) other than that of its "
                    "parameters ({}).",
                    program.name, buffers.size(), program.parameters.size()));
  }
  std::vector<GlobalBuffer> globals;
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
    globals.emplace_back(parameter, buffers[i], program.wave_lanes);
  }
  return Machine(program, std::move(globals)).run();
}

}  // namespace leat::ir
