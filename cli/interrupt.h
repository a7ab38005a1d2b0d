// Ctrl-C ends the program with exit code 130 and leaves no file half written, and so do SIGTERM
// (143) and SIGHUP (129).
//
// The signals are blocked in every thread and taken by one that waits for them. It ends the process
// between two files, never inside one; work on a device needs no care, drivers clean up after a
// process.
#pragma once

#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat::cli {

/// Call it first in main: threads made later inherit the blocked signals.
void exit_on_interrupt();

/// From now on the first such signal only says, by interrupt_exit_code(), that somebody wants an
/// end of what is done so far; the next one ends the process as above.
void note_first_interrupt();
/// 0, or what the process then ends with.
int interrupt_exit_code();

/// write_file (output_file.h) that Ctrl-C waits for. Threads write side by side.
Result<void> write_whole_file(const std::string& path, std::string_view bytes);

}  // namespace leat::cli
