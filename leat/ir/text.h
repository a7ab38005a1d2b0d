// The text form of a wave program, written. docs/kernel-format.md describes it; parse.h reads it.
#pragma once

#include <string>

#include "leat/ir/ir.h"
#include "leat/ir/source_notes.h"

namespace leat::ir {

/// The newest version of the text form. The first line of a text has the lowest that knows all that
/// the program uses, so that older programs keep their text. Each version reads all before it.
///   1: f32, f16 and i32 in memory; all but what follows
///   2: all other types in memory, i64 and f64, widen_i .. narrow_f; atomic_add, last_group;
///      shuffles, dot products, asynchronous copies, fragments, rounds
inline constexpr int kTextVersion = 2;
/// The version that print_program writes for `program`.
int text_version_of(const Program& program);

/// The whole program. Values are numbered in the order in which they stand in the text, so equal
/// programs give equal texts, and printing what was parsed from a printed text gives that text
/// again.
std::string print_program(const Program& program);
/// The same with the names, comments and blank lines of the text that it was parsed from. The
/// result parses to the same program, and printed so again is the same text.
std::string print_program(const Program& program, const SourceNotes& notes);
/// A sentence on the program in which each value has its name in place of its number.
std::string with_names(std::string_view sentence, const Program& program, const SourceNotes& notes);
/// One instruction, numbered as in print_program, without its regions. Also for programs that the
/// verifier refuses: what is out of range prints as "%?".
std::string print_instruction(const Program& program, InstructionId instruction);
/// "u.i32", "v.f32x4".
std::string print_type(Type type);

}  // namespace leat::ir
