// See interrupt.h.
#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <mutex>
#include <thread>

#include "leat/base/files.h"

namespace leat::cli {

namespace {

constexpr int kInterruptedExitCode = 130;  // 128 + SIGINT, as shells report it

/// Held while a file is written.
std::mutex& writing() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void exit_on_interrupt() {
  static std::mutex& mutex = writing();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) continue;
    const std::lock_guard<std::mutex> lock(mutex);
    if (isatty(STDERR_FILENO) != 0) {
      [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, "\n", 1);
    }
    _exit(kInterruptedExitCode);
  }).detach();
}

Result<void> write_whole_file(const std::string& path, std::string_view bytes) {
  const std::lock_guard<std::mutex> lock(writing());
  return write_file_atomically(path, bytes);
}

}  // namespace leat::cli
