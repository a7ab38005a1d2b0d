// See last_words.h. The handler allocates nothing: it may run because there is no memory.
#include "cli/last_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

namespace leat::cli {

namespace {

constexpr size_t kSignalStackBytes = 65536;

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

/// Then the signal does what it would have done.
void end_by_signal(int signal) {
  put("leat: The program ends: ");
  put(signal == SIGSEGV || signal == SIGBUS
          ? "memory that is not there was used, or the stack is used up"
          : "a check failed or an instruction could not be run");
  put(".\n");
  raise(signal);
}

/// On a stack of its own, as the other may be used up.
void take_signals() {
  static std::byte stack[kSignalStackBytes];
  const stack_t alternate = {.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = end_by_signal;
  action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND) | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_DFL) sigaction(signal, &action, nullptr);
  }
}

}  // namespace

void prepare_last_words() {
  std::set_terminate(end_by_exception);
  take_signals();
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is this one. Not to be written to, so that a result that goes nowhere
    // is an error.
    if (open("/dev/null", O_RDONLY) != descriptor) _exit(kErrorExitCode);
  }
}

}  // namespace leat::cli
