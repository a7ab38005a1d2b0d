// What the program says when it cannot go on, and what it makes sure of before it begins, so that
// it can. Nothing of ours throws (CONTRIBUTING.md); the standard library does when memory is used
// up. That ends the process here, in one sentence, whichever thread it was on.
#pragma once

namespace leat::cli {

/// Exit code of every error.
inline constexpr int kErrorExitCode = 1;

/// Call it first in main. An exception that nobody takes ends the process with a sentence on stderr
/// and exit code 1, without unwinding; a signal of a fault says so before it ends the process. A
/// file that grows beyond the limit of the process (RLIMIT_FSIZE) is an error of the write and no
/// signal. Standard descriptors that are closed are opened on nothing: a file opened later must not
/// become the standard output.
void prepare_last_words();

}  // namespace leat::cli
