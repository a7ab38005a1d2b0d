// See child_process.h.
#include "leat/base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "leat/base/draft.h"
#include "leat/base/unique_fd.h"

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLookMs = 50;

Error child_error(const std::string& what) {
  return Error(ErrorKind::io, "The process that asked it " + what + ".");
}

[[noreturn]] void answer_and_end(const std::function<std::string()>& work, int pipe) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const std::error_code error = write_all(pipe, work());
  _exit(error ? 1 : 0);  // runs no destructors: they are the parent's
}

/// Until the child closes its end, or has told more than `bytes_max`; nothing after the deadline,
/// or when it is called off.
std::optional<std::string> read_until(int pipe, Clock::time_point deadline,
                                      const std::function<bool()>& is_called_off,
                                      size_t bytes_max) {
  std::string answer;
  while (answer.size() <= bytes_max) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd end = {.fd = pipe, .events = POLLIN, .revents = 0};
    if (left <= 0 || (is_called_off && is_called_off())) return std::nullopt;
    if (poll(&end, 1, static_cast<int>(std::min<int64_t>(left, kLookMs))) <= 0) continue;
    char chunk[65536];
    const ssize_t count = read(pipe, chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return answer;
    answer.append(chunk, static_cast<size_t>(count));
  }
  return answer;
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

}  // namespace

Result<std::string> run_in_child(const std::function<std::string()>& work, uint64_t timeout_ns,
                                 const std::function<bool()>& is_called_off,
                                 size_t answer_bytes_max) {
  int ends[2] = {};
  std::fflush(nullptr);  // else the child's copy of what waits to be printed is printed twice
  if (pipe2(ends, O_CLOEXEC) != 0) return child_error("has no pipe: " + last_error().message());
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t child = fork();
  if (child < 0) return child_error("cannot be made: " + last_error().message());
  if (child == 0) answer_and_end(work, to.get());
  to.close();
  const auto deadline = Clock::now() + std::chrono::nanoseconds(timeout_ns);
  std::optional<std::string> answer =
      read_until(from.get(), deadline, is_called_off, answer_bytes_max);
  const bool is_too_large = answer && answer->size() > answer_bytes_max;
  if (!answer || is_too_large) kill(child, SIGKILL);
  const int status = wait_for(child);
  if (!answer) return child_error("does not answer in time");
  if (is_too_large) {
    return child_error("answers more than (" + std::to_string(answer_bytes_max) + ") bytes");
  }
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return child_error("was ended by signal " + std::to_string(signal) + " (" + strsignal(signal) +
                       ")");
  }
  if (WEXITSTATUS(status) == 0) return std::move(*answer);
  return child_error("ended with exit code (" + std::to_string(WEXITSTATUS(status)) + ")");
}

}  // namespace leat
