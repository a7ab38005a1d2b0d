// What a text has that its program does not: the names of values, comments, blank lines. The parser
// fills them in, the printer gives them back, for texts that people write.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace leat::ir {

/// Of a token or a comment; both count from 1.
struct SourcePlace {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const SourcePlace&) const = default;
};

/// From the first to the last token of something that is printed as one line; of a loop or branch
/// the last is its "{".
struct SourceSpan {
  SourcePlace first;
  SourcePlace last;
};

struct SourceComment {
  SourcePlace place;
  SourcePlace behind;  // the token before it in its line; line 0: it has the line to itself
  std::string text;    // from "#" on, without blanks at its end
};

struct SourceNotes {
  std::vector<std::string> names;        // by value, without "%"
  std::vector<SourceSpan> instructions;  // by instruction
  std::vector<SourceSpan> blocks;        // by block: its braces
  std::vector<SourceSpan> parameters;
  std::vector<SourceSpan> locals;
  SourceSpan version;
  SourceSpan kernel;
  std::vector<SourceComment> comments;  // in their order
  std::vector<bool> is_blank;           // by line, from 0
};

/// The comments and blank lines of a text.
void note_comments(std::string_view text, SourceNotes& notes);

}  // namespace leat::ir
