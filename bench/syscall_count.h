// Counts the system calls that a child process makes between two marks, all its threads together,
// by tracing it (ptrace). A traced process is slow; how often it calls does not depend on that,
// save where it waits by looking at a clock.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat::cli {

/// In the child: begins and ends what is counted.
void mark_syscalls();

struct SyscallCount {
  uint64_t all = 0;
  uint64_t futex = 0;
  uint64_t yield = 0;  // sched_yield
  uint64_t ioctl = 0;
  uint64_t sleep = 0;  // nanosleep and clock_nanosleep
};

/// Runs this program with `arguments` and counts between its first and second mark.
/// Errors: unsupported, when tracing is refused; io, when the child fails or sets no mark.
Result<SyscallCount> count_syscalls(const std::vector<std::string>& arguments);

}  // namespace leat::cli
