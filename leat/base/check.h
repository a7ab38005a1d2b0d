// CHECK: the assertion for bugs in our own code. It is on in every build.
// It is for what a caller inside this tree got wrong; what the world may get wrong is a Result.
#pragma once

namespace leat {

/// Prints the failed condition with its place to stderr and aborts the process.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace leat

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::leat::check_failed(#condition, __FILE__, __LINE__))
