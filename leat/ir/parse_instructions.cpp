// The parser's blocks: instructions, loops and branches.
#include <fmt/format.h>

#include <bit>
#include <charconv>

#include "leat/ir/parse.h"
#include "leat/ir/parser.h"

namespace leat::ir {
namespace {

using Kind = Token::Kind;

std::optional<Opcode> opcode_of(std::string_view name) {
#define LEAT_IR_OP(op, operands, kind, version) \
  if (name == #op) return Opcode::op;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  return std::nullopt;
}

}  // namespace

Result<std::vector<Declared>> Parser::parse_results() {
  std::vector<Declared> results;
  if (token_.kind != Kind::value) return results;
  do {
    TRY_ASSIGN(Declared declared, parse_declared());
    results.push_back(declared);
    if (results.size() > UINT8_MAX - 3) {
      return misused(
          declared.name,
          fmt::format("The list of results is longer than the limit ({}).", UINT8_MAX - 3));
    }
  } while (skip_symbol(','));
  TRY(parse_symbol('='));
  return results;
}

Result<void> Parser::parse_instruction(int depth) {
  using enum Opcode;
  const Token start = token_;
  TRY_ASSIGN(const std::vector<Declared> results, parse_results());
  const std::optional<Opcode> op =
      token_.kind == Kind::word ? opcode_of(token_.text) : std::nullopt;
  if (!op) return expected("an instruction");
  const bool has_no_result = *op == store || *op == store_local || *op == barrier || *op == yield ||
                             *op == branch || *op == copy_async || *op == copy_commit ||
                             *op == copy_wait || *op == prefetch || *op == fragment_store ||
                             *op == fragment_store_local;
  if (*op != loop && results.size() != (has_no_result ? 0 : 1)) {
    return misused(start, fmt::format("Instruction {} has {} results in place of {}.", name_of(*op),
                                      results.size(), has_no_result ? 0 : 1));
  }
  take();
  if (*op == constant) return parse_constant(results);
  if (*op == loop) return parse_loop(results, depth);
  if (*op == branch) return parse_branch(depth);
  const Instruction instruction{.op = *op};
  if (*op == copy_async) return parse_copy();
  if (*op == prefetch) return parse_prefetch();
  if (is_fragment_access(*op)) return parse_fragment(instruction, results);
  if (is_global_access(*op) || is_local_access(*op)) {
    return parse_memory(instruction, results);
  }
  return parse_plain(instruction, results);
}

Result<void> Parser::parse_plain(Instruction instruction, const std::vector<Declared>& results) {
  const Opcode op = instruction.op;
  const Token start = token_;
  std::vector<ValueId> operands;
  if (op == Opcode::extract) {
    TRY_ASSIGN(const ValueId vector, parse_use());
    operands.push_back(vector);
    TRY(parse_symbol(','));
    TRY_ASSIGN(instruction.imm, parse_int(0, 3, "a component"));
  } else if (is_shuffle(op) && op != Opcode::shuffle) {
    TRY_ASSIGN(const ValueId value, parse_use());
    operands.push_back(value);
    TRY(parse_symbol(','));
    TRY_ASSIGN(instruction.imm, parse_int(0, INT32_MAX, "a number of lanes"));
  } else if (is_fragment_element(op)) {
    TRY_ASSIGN(const ValueId sum, parse_use());
    operands.push_back(sum);
    TRY(parse_symbol(','));
    TRY_ASSIGN(instruction.imm, parse_int(0, INT32_MAX, "a number of an element"));
  } else if (op == Opcode::mma_wait) {
    TRY_ASSIGN(const ValueId sum, parse_use());
    operands.push_back(sum);
    TRY(parse_symbol(','));
    TRY_ASSIGN(instruction.imm, parse_int(0, INT32_MAX, "a number of products"));
  } else if (op == Opcode::copy_wait) {
    TRY_ASSIGN(instruction.imm, parse_int(0, INT32_MAX, "a number of groups"));
  } else if (op == Opcode::group_id) {
    TRY_ASSIGN(instruction.imm, parse_int(0, 2, "an axis"));
  } else if (operand_count_of(op) != 0) {
    TRY_ASSIGN(operands, parse_uses());
  }
  const int expected_count = operand_count_of(op);
  if (expected_count >= 0 && operands.size() != static_cast<size_t>(expected_count)) {
    return misused(start, fmt::format("Instruction {} has {} operands in place of {}.", name_of(op),
                                      operands.size(), expected_count));
  }
  return append(instruction, operands, results);
}

Result<void> Parser::parse_constant(const std::vector<Declared>& results) {
  Instruction instruction{.op = Opcode::constant};
  TRY_ASSIGN(instruction.imm, parse_constant_bits(results[0].type.scalar));
  return append(instruction, {}, results);
}

Result<int64_t> Parser::parse_constant_bits(Scalar scalar) {
  switch (scalar) {
    case Scalar::i32: return parse_int(INT32_MIN, INT32_MAX, "a whole number");
    case Scalar::i64: return parse_int(INT64_MIN, INT64_MAX, "a whole number");
    case Scalar::f32: return parse_float_bits<float, uint32_t>();
    case Scalar::f64: return parse_float_bits<double, uint64_t>();
    case Scalar::b1: break;
  }
  if (!is_word("true") && !is_word("false")) return expected("\"true\" or \"false\"");
  return take().text == "true" ? 1 : 0;
}

template <typename Float, typename Bits>
Result<int64_t> Parser::parse_float_bits() {
  if (skip_word("bits")) {
    Bits bits = 0;
    const char* end = token_.text.data() + token_.text.size();
    const bool is_hex = token_.kind == Kind::number && token_.text.starts_with("0x");
    if (!is_hex || std::from_chars(token_.text.data() + 2, end, bits, 16).ptr != end ||
        token_.text.size() != 2 + 2 * sizeof(Bits)) {
      return expected(sizeof(Bits) == 4 ? "0x and eight hex digits" : "0x and sixteen hex digits");
    }
    take();
    return static_cast<int64_t>(bits);
  }
  Float value = 0;
  const char* end = token_.text.data() + token_.text.size();
  const std::from_chars_result read = std::from_chars(token_.text.data(), end, value);
  const bool is_number = token_.kind == Kind::number || is_word("inf");
  if (!is_number || read.ec != std::errc() || read.ptr != end || value != value) {
    return expected("a number, \"inf\", \"-inf\" or \"bits\"");
  }
  take();
  return static_cast<int64_t>(std::bit_cast<Bits>(value));
}

Result<uint32_t> Parser::parse_slot(bool is_local) {
  if (token_.kind != Kind::word) return expected("the name of a buffer");
  const Token token = take();
  const auto find = [&](const auto& declared) {
    for (uint32_t i = 0; i < declared.size(); ++i) {
      if (declared[i].name == token.text) return i;
    }
    return kNone;
  };
  const uint32_t slot = is_local ? find(program_.locals) : find(program_.parameters);
  if (slot != kNone) return slot;
  return misused(token, fmt::format("The name \"{}\" is not declared as a {}.", token.text,
                                    is_local ? "local memory" : "parameter"));
}

// local[%index], parameter[%source] of 4 if %mask
Result<void> Parser::parse_copy() {
  Instruction instruction{.op = Opcode::copy_async};
  std::vector<ValueId> operands;
  for (const bool is_local : {true, false}) {
    if (!is_local) TRY(parse_symbol(','));
    TRY_ASSIGN(const uint32_t slot, parse_slot(is_local));
    (is_local ? instruction.slot : instruction.source) = slot;
    TRY(parse_symbol('['));
    TRY_ASSIGN(const ValueId index, parse_use());
    operands.push_back(index);
    TRY(parse_symbol(']'));
  }
  TRY(parse_word("of"));
  TRY_ASSIGN(instruction.imm, parse_int(1, 16, "a number of elements"));
  instruction.masked = skip_word("if");
  if (instruction.masked) {
    TRY_ASSIGN(const ValueId mask, parse_use());
    operands.push_back(mask);
  }
  return append(instruction, operands, {});
}

// name[%index] of count
Result<void> Parser::parse_prefetch() {
  Instruction instruction{.op = Opcode::prefetch};
  TRY_ASSIGN(instruction.slot, parse_slot(false));
  TRY(parse_symbol('['));
  TRY_ASSIGN(const ValueId index, parse_use());
  TRY(parse_symbol(']'));
  TRY(parse_word("of"));
  TRY_ASSIGN(instruction.imm, parse_int(1, INT32_MAX, "a number of elements"));
  return append(instruction, std::vector{index}, {});
}

// name[%index by %stride columns], %fragment
Result<void> Parser::parse_fragment(Instruction instruction, const std::vector<Declared>& results) {
  TRY_ASSIGN(instruction.slot, parse_slot(is_local_access(instruction.op)));
  TRY(parse_symbol('['));
  TRY_ASSIGN(const ValueId index, parse_use());
  TRY(parse_word("by"));
  TRY_ASSIGN(const ValueId stride, parse_use());
  if (skip_word("columns")) instruction.imm |= kByColumns;
  if (skip_word("swizzled")) instruction.imm |= kSwizzled;
  if (skip_word("words")) instruction.imm |= kInWords;
  TRY(parse_symbol(']'));
  std::vector<ValueId> operands = {index, stride};
  if (results.empty()) {
    TRY(parse_symbol(','));
    TRY_ASSIGN(const ValueId fragment, parse_use());
    operands.push_back(fragment);
  }
  return append(instruction, operands, results);
}

// name[%index + lane * 4], %value if %mask
Result<void> Parser::parse_memory(Instruction instruction, const std::vector<Declared>& results) {
  const bool has_lanes = is_global_access(instruction.op) && instruction.op != Opcode::last_group;
  const bool is_load = instruction.op == Opcode::load || instruction.op == Opcode::load_local;
  TRY_ASSIGN(instruction.slot, parse_slot(is_local_access(instruction.op)));
  TRY(parse_symbol('['));
  std::vector<ValueId> operands;
  TRY_ASSIGN(const ValueId index, parse_use());
  operands.push_back(index);
  if (has_lanes && skip_symbol('+')) {
    TRY(parse_word("lane"));
    TRY(parse_symbol('*'));
    TRY_ASSIGN(const int64_t stride, parse_int(-INT32_MAX, INT32_MAX, "a stride"));
    instruction.lane_stride = static_cast<int32_t>(stride);
  }
  TRY(parse_symbol(']'));
  if (!is_load) {
    TRY(parse_symbol(','));
    TRY_ASSIGN(const ValueId value, parse_use());
    operands.push_back(value);
  }
  if (has_lanes && skip_word("if")) {
    TRY_ASSIGN(const ValueId mask, parse_use());
    operands.push_back(mask);
    instruction.masked = true;
  }
  return append(instruction, operands, results);
}

// --- Regions ---

// loop %i : u.i32 = %lo to %hi step %step unroll 4 carry %a : v.f32 = %init { ... yield %next }
Result<void> Parser::parse_loop(const std::vector<Declared>& results, int depth) {
  const Token start = token_;
  std::vector<Declared> arguments;
  std::vector<ValueId> operands;
  TRY_ASSIGN(const Declared counter, parse_declared());
  arguments.push_back(counter);
  for (const char* word : {"=", "to", "step"}) {
    TRY(word[0] == '=' ? parse_symbol('=') : parse_word(word));
    TRY_ASSIGN(const ValueId bound, parse_use());
    operands.push_back(bound);
  }
  Instruction instruction{.op = Opcode::loop, .imm = 1};
  if (skip_word("unroll")) {
    TRY_ASSIGN(instruction.imm, parse_int(0, INT32_MAX, "an unroll factor"));
  }
  if (skip_word("carry")) {
    do {
      TRY_ASSIGN(const Declared carried, parse_declared());
      TRY(parse_symbol('='));
      TRY_ASSIGN(const ValueId init, parse_use());
      arguments.push_back(carried);
      operands.push_back(init);
    } while (arguments.size() <= results.size() && skip_symbol(','));
  }
  if (arguments.size() != results.size() + 1) {
    return misused(start, fmt::format("The loop has {} results and carries {} values.",
                                      results.size(), arguments.size() - 1));
  }
  const BlockId region = static_cast<BlockId>(program_.blocks.size());
  program_.blocks.emplace_back();
  program_.blocks[region].first_argument = static_cast<ValueId>(program_.values.size());
  program_.blocks[region].argument_count = static_cast<uint32_t>(arguments.size());
  open_scope();
  for (const Declared& argument : arguments) TRY(define(argument));
  TRY(parse_block(region, depth));
  close_scope();
  instruction.regions[0] = region;
  return append(instruction, operands, results);
}

// branch %condition { ... } else { ... }
Result<void> Parser::parse_branch(int depth) {
  Instruction instruction{.op = Opcode::branch};
  TRY_ASSIGN(const ValueId condition, parse_use());
  for (BlockId& region : instruction.regions) {
    region = static_cast<BlockId>(program_.blocks.size());
    program_.blocks.emplace_back();
    open_scope();
    TRY(parse_block(region, depth));
    close_scope();
    if (region == instruction.regions[1] || !skip_word("else")) break;
  }
  return append(instruction, std::span(&condition, 1), {});
}

Result<void> Parser::parse_block(BlockId block, int depth) {
  if (depth >= kNestingMax) {
    return misused(
        token_, fmt::format("Blocks stand deeper in each other than the limit ({}).", kNestingMax));
  }
  const BlockId outer = block_;
  block_ = block;
  TRY(parse_symbol('{'));
  notes_.blocks.resize(program_.blocks.size());
  notes_.blocks[block].first = taken_;
  TRY(parse_instructions(depth + 1));
  TRY(parse_symbol('}'));
  notes_.blocks[block].last = taken_;
  block_ = outer;
  return {};
}

Result<void> Parser::parse_instructions(int depth) {
  while (!is_symbol('}') && token_.kind != Kind::end) {
    const SourcePlace first = next_place();
    TRY(parse_instruction(depth));
    const Instruction& parsed = program_.instructions.back();
    const bool has_block = parsed.regions[0] != kNone;
    notes_.instructions.resize(program_.instructions.size());
    notes_.instructions.back() = {first,
                                  has_block ? notes_.blocks[parsed.regions[0]].first : taken_};
  }
  return {};
}

}  // namespace leat::ir
