// Printing. A walk that numbers the values in text order, then a walk that writes. Both survive
// broken programs (ids out of range, regions that form a cycle), because the verifier prints what
// it refuses.
#include "leat/ir/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>

#include "leat/base/printable.h"

namespace leat::ir {
namespace {

std::string nan_text(float value) {
  return fmt::format("bits 0x{:08x}", std::bit_cast<uint32_t>(value));
}

std::string nan_text(double value) {
  return fmt::format("bits 0x{:016x}", std::bit_cast<uint64_t>(value));
}

template <typename Float>
std::string float_text(Float value) {
  if (std::isnan(value)) return nan_text(value);
  char text[32];
  const std::to_chars_result end = std::to_chars(std::begin(text), std::end(text), value);
  return std::string(text, end.ptr);
}

std::string_view scalar_name(Scalar scalar) {
  switch (scalar) {
    case Scalar::f32: return "f32";
    case Scalar::i32: return "i32";
    case Scalar::b1: return "b1";
    case Scalar::i64: return "i64";
    case Scalar::f64: return "f64";
  }
  return "?";
}

std::string element_text(std::string_view element, uint8_t width) {
  if (width == 1) return std::string(element);
  return fmt::format("{}x{}", element, width);
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::none: return "none";
    case Role::a: return "a";
    case Role::b: return "b";
    case Role::sum: return "sum";
  }
  return "?";
}

std::string fragment_text(const Fragment& fragment) {
  const std::string_view element = fragment.tf32 ? "tf32" : name_of(fragment.element);
  std::string text = fmt::format("{}.{}.m{}n{}k{}", role_name(fragment.role), element, fragment.m,
                                 fragment.n, fragment.k);
  if (fragment.waves != 1) text += fmt::format("w{}", fragment.waves);
  return text;
}

class Printer {
 public:
  explicit Printer(const Program& program, const SourceNotes* notes = nullptr)
      : program_(program),
        notes_(notes),
        numbers_(program.values.size(), kNone),
        visited_(program.blocks.size(), false) {
    number_block(0);
    visited_.assign(program.blocks.size(), false);
  }

  std::string whole();
  std::string line(const Instruction& instruction) const;
  uint32_t number_of(ValueId id) const { return numbers_[id]; }

 private:
  void write_line(int depth, std::string_view line, const SourceSpan* span);
  void write_comments_before(SourcePlace place, int depth);
  void write_blank_line_before(SourcePlace place);
  const SourceSpan* span_in(const std::vector<SourceSpan> SourceNotes::*list, size_t index) const {
    return notes_ != nullptr ? &(notes_->*list)[index] : nullptr;
  }
  void number(ValueId first, uint32_t count);
  void number_block(BlockId id);
  void write_block(BlockId id, int depth);
  void write_instruction(InstructionId id, int depth);
  void write_end(BlockId block, int depth, std::string_view line, BlockId next = kNone);
  bool ends_with_comment() const;
  std::string value(ValueId id) const;
  std::string typed(ValueId id) const;
  std::string list(std::span<const ValueId> ids) const;
  std::string body(const Instruction& instruction, std::span<const ValueId> operands) const;
  std::string constant_body(const Instruction& instruction) const;
  std::string memory_body(const Instruction& instruction, std::span<const ValueId> operands) const;
  std::string copy_body(const Instruction& instruction, std::span<const ValueId> operands) const;
  std::string fragment_body(const Instruction& instruction,
                            std::span<const ValueId> operands) const;
  std::string slot_name(const Instruction& instruction) const;
  std::string loop_body(const Instruction& instruction, std::span<const ValueId> operands) const;
  std::span<const ValueId> operands_of(const Instruction& instruction) const;

  const Program& program_;
  const SourceNotes* notes_;  // null: values are numbered
  size_t next_comment_ = 0;   // of those not written yet
  std::vector<uint32_t> numbers_;
  std::vector<bool> visited_;
  uint32_t next_number_ = 0;
  std::string text_;
};

void Printer::number(ValueId first, uint32_t count) {
  for (uint64_t id = first; id < uint64_t{first} + count && id < numbers_.size(); ++id) {
    if (numbers_[id] == kNone) numbers_[id] = next_number_++;
  }
}

void Printer::number_block(BlockId id) {
  if (id >= program_.blocks.size() || visited_[id]) return;
  visited_[id] = true;
  const Block& block = program_.blocks[id];
  number(block.first_argument, block.argument_count);
  for (InstructionId i : block.instructions) {
    if (i >= program_.instructions.size()) continue;
    const Instruction& instruction = program_.instructions[i];
    number(instruction.first_result, instruction.result_count);
    for (BlockId region : instruction.regions) number_block(region);
  }
}

std::span<const ValueId> Printer::operands_of(const Instruction& instruction) const {
  const uint64_t end = uint64_t{instruction.first_operand} + instruction.operand_count;
  if (end > program_.operands.size()) return {};
  return program_.operands_of(instruction);
}

std::string Printer::value(ValueId id) const {
  if (id >= numbers_.size() || numbers_[id] == kNone) return "%?";
  if (notes_ != nullptr) return "%" + notes_->names[id];
  return fmt::format("%{}", numbers_[id]);
}

std::string Printer::typed(ValueId id) const {
  if (id >= program_.values.size()) return "%?";
  return value(id) + " : " + print_type(program_.values[id]);
}

std::string Printer::list(std::span<const ValueId> ids) const {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) text += (i == 0 ? "" : ", ") + value(ids[i]);
  return text;
}

std::string Printer::constant_body(const Instruction& instruction) const {
  const ValueId result = instruction.first_result;
  const Scalar scalar =
      result < program_.values.size() ? program_.values[result].scalar : Scalar::i32;
  if (scalar == Scalar::f32) {
    return float_text(std::bit_cast<float>(static_cast<uint32_t>(instruction.imm)));
  }
  if (scalar == Scalar::f64) return float_text(std::bit_cast<double>(instruction.imm));
  if (scalar == Scalar::b1) return instruction.imm != 0 ? "true" : "false";
  return std::to_string(instruction.imm);
}

std::string Printer::slot_name(const Instruction& instruction) const {
  const bool is_local = is_local_access(instruction.op);
  if (is_local && instruction.slot < program_.locals.size()) {
    return program_.locals[instruction.slot].name;
  }
  if (!is_local && instruction.slot < program_.parameters.size()) {
    return program_.parameters[instruction.slot].name;
  }
  return "?";
}

// local[index], parameter[index] of count if mask
std::string Printer::copy_body(const Instruction& instruction,
                               std::span<const ValueId> operands) const {
  if (operands.size() < 2) return "?";
  const bool is_known = instruction.source < program_.parameters.size();
  std::string text = fmt::format("{}[{}], {}[{}] of {}", slot_name(instruction), value(operands[0]),
                                 is_known ? program_.parameters[instruction.source].name : "?",
                                 value(operands[1]), instruction.imm);
  if (instruction.masked && operands.size() > 2) text += " if " + value(operands[2]);
  return text;
}

// name[index by stride columns], fragment
std::string Printer::fragment_body(const Instruction& instruction,
                                   std::span<const ValueId> operands) const {
  if (operands.size() < 2) return "?";
  std::string text =
      fmt::format("{}[{} by {}{}{}{}]", slot_name(instruction), value(operands[0]),
                  value(operands[1]), (instruction.imm & kByColumns) != 0 ? " columns" : "",
                  (instruction.imm & kSwizzled) != 0 ? " swizzled" : "",
                  (instruction.imm & kInWords) != 0 ? " words" : "");
  if (operands.size() > 2) text += ", " + value(operands[2]);
  return text;
}

// name[index + lane * stride], value if mask
std::string Printer::memory_body(const Instruction& instruction,
                                 std::span<const ValueId> operands) const {
  const bool is_local = is_local_access(instruction.op);
  std::string text = slot_name(instruction);
  text += '[' + (operands.empty() ? "%?" : value(operands[0]));
  if (!is_local && instruction.lane_stride != kIndexed) {
    text += fmt::format(" + lane * {}", instruction.lane_stride);
  }
  text += ']';
  if (operands.size() < 2) return text;
  std::span<const ValueId> rest = operands.subspan(1);
  if (instruction.op != Opcode::load && instruction.op != Opcode::load_local) {
    text += ", " + value(rest[0]);
    rest = rest.subspan(1);
  }
  if (instruction.masked && !rest.empty()) text += " if " + value(rest[0]);
  return text;
}

// counter = lo to hi step s unroll n carry a = init, b = init
std::string Printer::loop_body(const Instruction& instruction,
                               std::span<const ValueId> operands) const {
  const BlockId region = instruction.regions[0];
  if (operands.size() < 3 || region >= program_.blocks.size()) return "?";
  const ValueId counter = program_.blocks[region].first_argument;
  std::string text = fmt::format("{} = {} to {} step {}", typed(counter), value(operands[0]),
                                 value(operands[1]), value(operands[2]));
  if (instruction.imm != 1) text += fmt::format(" unroll {}", instruction.imm);
  for (size_t i = 3; i < operands.size(); ++i) {
    text += i == 3 ? " carry " : ", ";
    text += typed(counter + static_cast<ValueId>(i - 2)) + " = " + value(operands[i]);
  }
  return text;
}

std::string Printer::body(const Instruction& instruction, std::span<const ValueId> operands) const {
  using enum Opcode;
  const Opcode op = instruction.op;
  if (op == constant) return constant_body(instruction);
  if (op == group_id || op == copy_wait) return std::to_string(instruction.imm);
  const bool is_exchange = is_shuffle(op) && op != shuffle;
  const bool has_number = op == extract || is_exchange || is_fragment_element(op) || op == mma_wait;
  if (has_number) return list(operands) + ", " + std::to_string(instruction.imm);
  if (op == copy_async) return copy_body(instruction, operands);
  if (op == prefetch) {
    return fmt::format("{}[{}] of {}", slot_name(instruction), list(operands), instruction.imm);
  }
  if (is_fragment_access(op)) return fragment_body(instruction, operands);
  if (is_global_access(op) || is_local_access(op)) {
    return memory_body(instruction, operands);
  }
  if (op == loop) return loop_body(instruction, operands);
  return list(operands);
}

std::string Printer::line(const Instruction& instruction) const {
  std::string text;
  for (ValueId i = 0; i < instruction.result_count; ++i) {
    text += (i == 0 ? "" : ", ") + typed(instruction.first_result + i);
  }
  if (instruction.result_count > 0) text += " = ";
  text += name_of(instruction.op);
  const std::string rest = body(instruction, operands_of(instruction));
  return rest.empty() ? text : text + ' ' + rest;
}

// Blank lines are kept where they stood, one for several, save at the begin of a block.
void Printer::write_blank_line_before(SourcePlace place) {
  const bool is_first = text_.empty() || text_.ends_with("{\n") || text_.ends_with("\n\n");
  if (place.line >= 2 && notes_->is_blank[place.line - 2] && !is_first) text_ += '\n';
}

void Printer::write_comments_before(SourcePlace place, int depth) {
  for (; next_comment_ < notes_->comments.size(); ++next_comment_) {
    const SourceComment& comment = notes_->comments[next_comment_];
    if (comment.place > place) return;
    write_blank_line_before(comment.place);
    text_ += std::string(static_cast<size_t>(depth) * 2, ' ') + comment.text + '\n';
  }
}

// `span` is null without notes.
void Printer::write_line(int depth, std::string_view line, const SourceSpan* span) {
  if (span != nullptr) {
    write_comments_before(span->first, depth);
    write_blank_line_before(span->first);
  }
  text_ += std::string(static_cast<size_t>(depth) * 2, ' ');
  text_ += line;
  const bool has_comment = span != nullptr && next_comment_ < notes_->comments.size() &&
                           notes_->comments[next_comment_].behind == span->last;
  if (has_comment) text_ += "  " + notes_->comments[next_comment_++].text;
  text_ += '\n';
}

/// Whether a comment stands right above, which then belongs to what comes.
bool Printer::ends_with_comment() const {
  const size_t before = text_.size() < 2 ? std::string::npos : text_.rfind('\n', text_.size() - 2);
  return text_.compare(before == std::string::npos ? 0 : before + 1, 1, "#") == 0;
}

void Printer::write_instruction(InstructionId id, int depth) {
  const Instruction& instruction = program_.instructions[id];
  const bool has_block = instruction.op == Opcode::loop || instruction.op == Opcode::branch;
  write_line(depth, line(instruction) + (has_block ? " {" : ""),
             span_in(&SourceNotes::instructions, id));
  if (!has_block) return;
  write_block(instruction.regions[0], depth + 1);
  if (instruction.regions[1] != kNone) {
    write_end(instruction.regions[0], depth, "} else {", instruction.regions[1]);
    write_block(instruction.regions[1], depth + 1);
  }
  write_end(instruction.regions[instruction.regions[1] != kNone ? 1 : 0], depth, "}");
}

// `next` is the block that begins in the same line, if one does.
void Printer::write_end(BlockId block, int depth, std::string_view line, BlockId next) {
  if (notes_ == nullptr) return write_line(depth, line, nullptr);
  const SourcePlace end = notes_->blocks[block].last;
  write_comments_before(end, depth + 1);
  const SourceSpan span = {{}, next == kNone ? end : notes_->blocks[next].first};
  write_line(depth, line, &span);
}

void Printer::write_block(BlockId id, int depth) {
  if (id >= program_.blocks.size() || visited_[id]) return;
  visited_[id] = true;
  for (InstructionId i : program_.blocks[id].instructions) {
    if (i < program_.instructions.size()) write_instruction(i, depth);
  }
}

std::string Printer::whole() {
  const Program& p = program_;
  write_line(0, fmt::format("leat-kernel {}", text_version_of(p)),
             notes_ != nullptr ? &notes_->version : nullptr);
  write_line(0,
             fmt::format("kernel {} lanes {} waves {} grid {} {} {}", quoted(p.name), p.wave_lanes,
                         p.waves_per_workgroup, p.grid[0], p.grid[1], p.grid[2]),
             notes_ != nullptr ? &notes_->kernel : nullptr);
  for (size_t i = 0; i < p.parameters.size(); ++i) {
    const Parameter& parameter = p.parameters[i];
    write_line(0,
               fmt::format("parameter {} : {}[{}] {}", parameter.name, name_of(parameter.storage),
                           parameter.element_count, parameter.written ? "write" : "read"),
               span_in(&SourceNotes::parameters, i));
  }
  for (size_t i = 0; i < p.locals.size(); ++i) {
    const LocalMemory& local = p.locals[i];
    write_line(0,
               fmt::format("local {} : {}[{}]", local.name,
                           element_text(name_of(local.storage), local.width), local.count),
               span_in(&SourceNotes::locals, i));
  }
  if (notes_ != nullptr) write_comments_before(notes_->blocks[0].first, 0);
  if (!text_.ends_with("\n\n") && (notes_ == nullptr || !ends_with_comment())) text_ += '\n';
  const SourceSpan open = {{}, notes_ != nullptr ? notes_->blocks[0].first : SourcePlace{}};
  write_line(0, "{", notes_ != nullptr ? &open : nullptr);
  write_block(0, 1);
  write_end(0, 0, "}");
  if (notes_ != nullptr) write_comments_before({UINT32_MAX, 0}, 0);
  return std::move(text_);
}

}  // namespace

int text_version_of(const Program& program) {
  const auto is_first_type = [](DType storage) {
    return storage == DType::f32 || storage == DType::f16 || storage == DType::i32;
  };
  const auto is_first_parameter = [&](const Parameter& parameter) {
    return is_first_type(parameter.storage);
  };
  const auto is_first_local = [&](const LocalMemory& local) {
    return local.storage != DType::f16 && is_first_type(local.storage);
  };
  const auto is_first_value = [](const Type& type) { return bytes_of(type.scalar) == 4; };
  const auto is_first_op = [](const Instruction& instruction) {
    return version_of(instruction.op) == 1;
  };
  const bool is_first = std::ranges::all_of(program.parameters, is_first_parameter) &&
                        std::ranges::all_of(program.locals, is_first_local) &&
                        std::ranges::all_of(program.values, is_first_value) &&
                        std::ranges::all_of(program.instructions, is_first_op);
  return is_first ? 1 : 2;
}

std::string print_program(const Program& program) { return Printer(program).whole(); }

std::string print_program(const Program& program, const SourceNotes& notes) {
  return Printer(program, &notes).whole();
}

std::string with_names(std::string_view sentence, const Program& program,
                       const SourceNotes& notes) {
  const Printer printer(program);
  std::vector<std::string_view> names(program.values.size());
  for (ValueId id = 0; id < names.size(); ++id) {
    if (printer.number_of(id) < names.size()) names[printer.number_of(id)] = notes.names[id];
  }
  std::string result;
  while (!sentence.empty()) {
    size_t number = 0;
    const char* const end = sentence.data() + sentence.size();
    const std::from_chars_result read = std::from_chars(sentence.data() + 1, end, number);
    const bool is_value = sentence[0] == '%' && read.ec == std::errc() && number < names.size();
    result += sentence[0];
    if (is_value) result += names[number];
    sentence.remove_prefix(is_value ? static_cast<size_t>(read.ptr - sentence.data()) : 1);
  }
  return result;
}

std::string print_instruction(const Program& program, InstructionId instruction) {
  if (instruction >= program.instructions.size()) return "?";
  return Printer(program).line(program.instructions[instruction]);
}

std::string print_type(Type type) {
  if (type.is_fragment()) return fragment_text(type.fragment);
  return (type.varying ? "v." : "u.") + element_text(scalar_name(type.scalar), type.width);
}

}  // namespace leat::ir
