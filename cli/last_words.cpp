// See last_words.h. The handler allocates nothing: it may run because there is no memory.
#include "cli/last_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

namespace leat::cli {

namespace {

void put(const char* text) {
  [[maybe_unused]] const ssize_t count = write(STDERR_FILENO, text, std::strlen(text));
}

[[noreturn]] void end_with(const char* what) {
  put("leat: The program ends: ");
  put(what);
  put(".\n");
  _exit(kErrorExitCode);
}

[[noreturn]] void end_by_exception() {
  const std::exception_ptr pending = std::current_exception();
  if (!pending) end_with("std::terminate was called");
  try {
    std::rethrow_exception(pending);
  } catch (const std::bad_alloc&) {
    end_with("memory is used up");
  } catch (const std::exception& error) {
    end_with(error.what());
  } catch (...) {
    end_with("an exception of unknown type was thrown");
  }
}

}  // namespace

void prepare_last_words() {
  std::set_terminate(end_by_exception);
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is this one. Not to be written to, so that a result that goes nowhere
    // is an error.
    if (open("/dev/null", O_RDONLY) != descriptor) _exit(kErrorExitCode);
  }
}

}  // namespace leat::cli
