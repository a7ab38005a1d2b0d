// The text form of a wave program, written. docs/kernel-format.md describes it; parse.h reads it.
#pragma once

#include <string>

#include "leat/ir/ir.h"

namespace leat::ir {

/// The version that stands in the first line of a text.
inline constexpr int kTextVersion = 1;

/// The whole program. Values are numbered in the order in which they stand in the text, so equal
/// programs give equal texts, and printing what was parsed from a printed text gives that text
/// again.
std::string print_program(const Program& program);
/// One instruction, numbered as in print_program, without its regions. Also for programs that the
/// verifier refuses: what is out of range prints as "%?".
std::string print_instruction(const Program& program, InstructionId instruction);
/// "u.i32", "v.f32x4".
std::string print_type(Type type);

}  // namespace leat::ir
