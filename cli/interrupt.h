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

/// write_file (output_file.h) that Ctrl-C waits for. Threads write side by side.
Result<void> write_whole_file(const std::string& path, std::string_view bytes);

}  // namespace leat::cli
