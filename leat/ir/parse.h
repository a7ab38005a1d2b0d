// Reading the text form of a wave program (docs/kernel-format.md). Texts come from files and
// caches, so they are hostile: every number, name and nesting is checked, nothing is trusted. What
// the parser does not check is what needs the whole program (types, scopes of memory, uniformity):
// call verify() on the result before anything else uses it.
#pragma once

#include <string_view>

#include "leat/base/result.h"
#include "leat/ir/ir.h"
#include "leat/ir/source_notes.h"

namespace leat::ir {

/// Loops and branches stand in each other at most this deep.
inline constexpr int kNestingMax = 64;
/// Parameters and locals together.
inline constexpr size_t kDeclarationsMax = 1024;
/// A longer text is refused.
inline constexpr size_t kTextBytesMax = size_t{256} << 20;

/// `file` is only named in errors.
/// Errors: invalid_argument, with file, line, column, what was found and what is expected.
Result<Program> parse_program(std::string_view text, std::string_view file);
/// The same, and what the text has besides. `notes` is empty before.
Result<Program> parse_program(std::string_view text, std::string_view file, SourceNotes& notes);

}  // namespace leat::ir
