// Which build of a program or library some code is of: what is kept on disk between runs names the
// code that made it, and no number that somebody would have to raise.
#pragma once

#include <string>

namespace leat {

/// The build-id of the program or library that `code` lies in, a hash of all of it that the linker
/// wrote; empty when it has none. Source: elf(5), NT_GNU_BUILD_ID; ld(1), --build-id.
std::string build_id_of(const void* code);

}  // namespace leat
