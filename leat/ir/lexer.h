// The words of the text form. Line ends count as blanks; "#" opens a comment that ends with its
// line.
#pragma once

#include <cstdint>
#include <string_view>

namespace leat::ir {

struct Token {
  /// value: %name, its text is the name. string: its text is what stands between the quotes,
  /// escapes untouched. symbol: one character. bad: a character that opens no token, or an open
  /// string.
  enum class Kind : uint8_t { word, value, number, string, symbol, end, bad };

  Kind kind = Kind::end;
  std::string_view text;
  uint32_t line = 1;
  uint32_t column = 1;
};

class Lexer {
 public:
  /// `text` outlives the lexer and its tokens.
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();

 private:
  char peek(size_t ahead = 0) const;
  void advance(size_t count);
  void skip_blanks();
  size_t word_length(size_t from) const;
  size_t number_length() const;
  size_t string_length() const;

  std::string_view text_;
  size_t position_ = 0;
  uint32_t line_ = 1;
  uint32_t column_ = 1;
};

}  // namespace leat::ir
