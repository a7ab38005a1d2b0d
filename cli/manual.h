// What `leat --describe FORM` prints, all of it from the table of commands: a manual page, and
// completions for shells. CMake writes them into files and installs those.
#pragma once

#include <string>

#include "cli/command_table.h"
#include "leat/base/result.h"

namespace leat::cli {

/// In roff with the macros of man(7). `version` is "0.1.0".
std::string manual_page(const CommandRow& program, const std::string& version);

enum class Shell { bash, zsh, fish };
/// The file that the shell loads is the begin, the rows of `leat` and of `leat bench`, and the end.
std::string completion_begin(Shell shell);
std::string completion_rows(const CommandRow& program, Shell shell);
std::string completion_end(Shell shell);

/// Prints it: `form` is man, json, bash, zsh or fish. Rows of programs that `program` becomes are
/// theirs to print. Errors: invalid_argument, of another form.
Result<int> describe(const CommandRow& program, const std::string& form);

}  // namespace leat::cli
