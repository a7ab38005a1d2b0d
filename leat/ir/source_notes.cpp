// See source_notes.h.
#include "leat/ir/source_notes.h"

#include <algorithm>

#include "leat/ir/lexer.h"

namespace leat::ir {
namespace {

constexpr std::string_view kBlanks = " \t\r";

/// Where the comment of a line begins; npos without one. Strings end with their line.
size_t comment_in(std::string_view line) {
  bool is_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (is_string && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      is_string = !is_string;
    } else if (line[i] == '#' && !is_string) {
      return i;
    }
  }
  return std::string_view::npos;
}

std::string_view without_end(std::string_view text) {
  const size_t last = text.find_last_not_of(kBlanks);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

void note_comments(std::string_view text, SourceNotes& notes) {
  Lexer lexer(text);
  Token token = lexer.next();
  for (uint32_t line = 1; !text.empty(); ++line) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), whole.size() + 1));
    notes.is_blank.push_back(whole.find_first_not_of(kBlanks) == std::string_view::npos);
    SourcePlace last;
    while (token.kind != Token::Kind::end && token.line == line) {
      last = {token.line, token.column};
      token = lexer.next();
    }
    const size_t at = comment_in(whole);
    if (at == std::string_view::npos) continue;
    const SourcePlace place = {line, static_cast<uint32_t>(at + 1)};
    notes.comments.push_back({place, last, std::string(without_end(whole.substr(at)))});
  }
}

}  // namespace leat::ir
