// The parser's inside: one class over two files, parse.cpp (tokens, names, declarations) and
// parse_instructions.cpp (what stands in blocks). For users: parse.h.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "leat/base/result.h"
#include "leat/ir/ir.h"
#include "leat/ir/lexer.h"
#include "leat/ir/source_notes.h"

namespace leat::ir {

/// "u.f32", "v.i32x4".
std::optional<Type> type_named(std::string_view name);

/// A name and type before the "=" of an instruction.
struct Declared {
  Token name;
  Type type;
};

class Parser {
 public:
  Parser(std::string_view text, std::string_view file, SourceNotes& notes)
      : lexer_(text), file_(file), notes_(notes) {
    take();
  }
  Result<Program> parse();

 private:
  Token take();
  SourcePlace next_place() const { return {token_.line, token_.column}; }
  bool is_word(std::string_view word) const {
    return token_.kind == Token::Kind::word && token_.text == word;
  }
  bool is_symbol(char symbol) const {
    return token_.kind == Token::Kind::symbol && token_.text[0] == symbol;
  }
  bool skip_symbol(char symbol);
  bool skip_word(std::string_view word);
  /// "The text has <token> where <what> is expected."
  Error expected(std::string_view what) const { return error_at(token_, what); }
  Error error_at(const Token& token, std::string_view what) const;
  Error misused(const Token& token, std::string message) const;

  Result<void> parse_symbol(char symbol);
  Result<void> parse_word(std::string_view word);
  Result<int64_t> parse_int(int64_t lo, int64_t hi, std::string_view what);
  Result<std::string> parse_string();
  Result<std::string> parse_new_name();

  Result<void> parse_head();
  Result<void> parse_parameter();
  Result<void> parse_local();
  Result<void> parse_instructions(int depth);
  Result<void> parse_instruction(int depth);
  Result<std::vector<Declared>> parse_results();
  Result<void> parse_plain(Instruction instruction, const std::vector<Declared>& results);
  Result<void> parse_constant(const std::vector<Declared>& results);
  Result<int64_t> parse_constant_bits(Scalar scalar);
  template <typename Float, typename Bits>
  Result<int64_t> parse_float_bits();
  Result<void> parse_memory(Instruction instruction, const std::vector<Declared>& results);
  Result<uint32_t> parse_slot(bool is_local);
  Result<void> parse_copy();
  Result<void> parse_prefetch();
  Result<void> parse_fragment(Instruction instruction, const std::vector<Declared>& results);
  Result<void> parse_loop(const std::vector<Declared>& results, int depth);
  Result<void> parse_branch(int depth);
  Result<void> parse_block(BlockId block, int depth);

  Result<ValueId> parse_use();
  Result<Declared> parse_declared();
  Result<std::vector<ValueId>> parse_uses();
  Result<ValueId> define(const Declared& declared);
  void open_scope() { scopes_.emplace_back(); }
  void close_scope();
  Result<void> append(Instruction instruction, std::span<const ValueId> operands,
                      const std::vector<Declared>& results);

  Lexer lexer_;
  std::string file_;
  Token token_;
  SourcePlace taken_;  // of the last token that was taken
  SourceNotes& notes_;
  Program program_;
  BlockId block_ = 0;
  std::unordered_map<std::string_view, ValueId> names_;
  std::vector<std::vector<std::string_view>> scopes_;
};

}  // namespace leat::ir
