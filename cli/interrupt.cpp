// See interrupt.h.
#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "leat/base/files.h"

namespace leat::cli {

namespace {

constexpr int kInterruptedExitCode = 130;  // 128 + SIGINT, as shells report it

/// Files are written side by side; what ends the process waits for all of them.
struct Writing {
  std::mutex gate;  // taken before `files`: once Ctrl-C waits, no other file is begun
  std::shared_mutex files;
};

Writing& writing() {
  static Writing now;
  return now;
}

}  // namespace

void exit_on_interrupt() {
  writing();  // made before the thread that uses it
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) continue;
    const std::lock_guard gate(writing().gate);
    const std::lock_guard files(writing().files);
    if (isatty(STDERR_FILENO) != 0) {
      [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, "\n", 1);
    }
    _exit(kInterruptedExitCode);
  }).detach();
}

Result<void> write_whole_file(const std::string& path, std::string_view bytes) {
  std::unique_lock gate(writing().gate);
  const std::shared_lock files(writing().files);
  gate.unlock();
  return write_file_atomically(path, bytes);
}

}  // namespace leat::cli
