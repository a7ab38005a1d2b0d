// See interrupt.h.
#include "cli/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <initializer_list>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "leat/base/output_file.h"
#include "leat/base/thread_start.h"

namespace leat::cli {

namespace {

constexpr int kSignalExitCode = 128;  // and the signal's number, as shells report it

/// Files are written side by side; what ends the process waits for all of them.
struct Writing {
  std::mutex gate;  // taken before `files`: once Ctrl-C waits, no other file is begun
  std::shared_timed_mutex files;
};

/// An output that takes nothing, as a pipe that nobody reads, does not hold the end up for longer.
constexpr auto kLastWriteMax = std::chrono::seconds(2);

Writing& writing() {
  static Writing now;
  return now;
}

std::atomic<bool> notes_first = false;
std::atomic<int> noted_exit_code = 0;

/// Those of Ctrl-C, kill and a closed terminal, save the ones that whoever started the program had
/// it ignore (nohup).
sigset_t signals_that_end() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    sigaction(signal, nullptr, &now);
    if (now.sa_handler != SIG_IGN) sigaddset(&signals, signal);
  }
  return signals;
}

}  // namespace

void exit_on_interrupt() {
  writing();  // made before the thread that uses it
  const sigset_t signals = signals_that_end();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Result<std::thread> started = start_thread([signals] {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) continue;
    if (notes_first.exchange(false)) {
      noted_exit_code = kSignalExitCode + signal;
      while (sigwait(&signals, &signal) != 0) continue;
    }
    const std::lock_guard gate(writing().gate);
    [[maybe_unused]] const bool ended = writing().files.try_lock_for(kLastWriteMax);
    if (isatty(STDERR_FILENO) != 0) {
      [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, "\n", 1);
    }
    _exit(kSignalExitCode + signal);
  });
  if (started) return started->detach();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // they end the process at once
}

void note_first_interrupt() { notes_first = true; }

int interrupt_exit_code() { return noted_exit_code; }

Result<void> write_whole_file(const std::string& path, std::string_view bytes) {
  std::unique_lock gate(writing().gate);
  const std::shared_lock files(writing().files);
  gate.unlock();
  return write_file(path, bytes);
}

}  // namespace leat::cli
