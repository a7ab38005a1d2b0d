// A word is a letter or "_" and then letters, digits, "_", "." and "-" ("leat-kernel", "v.f32x4");
// a value's name has no "." or "-". A number is whatever a sign, digits, a point and an exponent
// could be: its meaning is checked where it is used.
#include "leat/ir/lexer.h"

namespace leat::ir {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_letter(c) || is_digit(c); }

}  // namespace

char Lexer::peek(size_t ahead) const {
  return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
}

void Lexer::advance(size_t count) {
  for (size_t i = 0; i < count; ++i, ++position_) {
    const bool is_line_end = text_[position_] == '\n';
    line_ += is_line_end ? 1 : 0;
    column_ = is_line_end ? 1 : column_ + 1;
  }
}

void Lexer::skip_blanks() {
  while (position_ < text_.size()) {
    const char c = peek();
    if (c == '#') {
      while (position_ < text_.size() && peek() != '\n') advance(1);
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      advance(1);
    } else {
      return;
    }
  }
}

size_t Lexer::word_length(size_t from) const {
  size_t length = from;
  while (is_name(peek(length)) || (from == 0 && (peek(length) == '.' || peek(length) == '-'))) {
    ++length;
  }
  return length;
}

size_t Lexer::number_length() const {
  size_t length = 1;
  while (true) {
    const char c = peek(length);
    const char before = peek(length - 1);
    const bool is_sign = (c == '-' || c == '+') && (before == 'e' || before == 'E');
    if (!is_name(c) && c != '.' && !is_sign) return length;
    ++length;
  }
}

// 0 when the string is not closed in its line.
size_t Lexer::string_length() const {
  for (size_t length = 1; position_ + length < text_.size(); ++length) {
    const char c = peek(length);
    if (c == '"') return length + 1;
    if (c == '\n') return 0;
    if (c == '\\') ++length;
  }
  return 0;
}

Token Lexer::next() {
  skip_blanks();
  Token token{.line = line_, .column = column_};
  if (position_ == text_.size()) return token;
  const char c = peek();
  const size_t begin = position_;
  size_t length = 1;
  if (is_letter(c)) {
    token.kind = Token::Kind::word;
    length = word_length(0);
  } else if (c == '%' && is_name(peek(1))) {
    token.kind = Token::Kind::value;
    length = word_length(1);
  } else if (is_digit(c) || (c == '-' && is_name(peek(1)))) {
    token.kind = Token::Kind::number;
    length = number_length();
  } else if (c == '"') {
    token.kind = string_length() > 0 ? Token::Kind::string : Token::Kind::bad;
    length = string_length() > 0 ? string_length() : 1;
  } else {
    constexpr std::string_view kSymbols = "{}[]:=,+*";
    token.kind =
        kSymbols.find(c) != std::string_view::npos ? Token::Kind::symbol : Token::Kind::bad;
  }
  token.text = text_.substr(begin, length);
  if (token.kind == Token::Kind::value) token.text.remove_prefix(1);
  if (token.kind == Token::Kind::string) token.text = token.text.substr(1, length - 2);
  advance(length);
  return token;
}

}  // namespace leat::ir
