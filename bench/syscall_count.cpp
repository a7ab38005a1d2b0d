// See syscall_count.h. A mark is a prctl with a number that Linux does not know, so it has no
// effect. Source: ptrace(2), PTRACE_GET_SYSCALL_INFO (Linux 5.3).
#include "bench/syscall_count.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace leat::cli {

namespace {

constexpr int kMark = 0x6c656174;  // "leat"; no option of prctl
constexpr int kSyscallStop = SIGTRAP | 0x80;
constexpr int kRefusedExitCode = 117;

[[noreturn]] void become_child(const std::vector<char*>& arguments) {
  const int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDOUT_FILENO);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kRefusedExitCode);
  raise(SIGSTOP);
  // The leak check of a sanitized build is a tracer itself, and fails beside this one.
  setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
  execv("/proc/self/exe", arguments.data());
  _exit(kRefusedExitCode);
}

struct Tracing {
  int marks = 0;
  SyscallCount count;

  void note(pid_t thread) {
    __ptrace_syscall_info info = {};
    const long size =
        ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), thread, sizeof info, &info);
    if (size <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    const auto number = static_cast<long>(info.entry.nr);
    if (number == SYS_prctl && info.entry.args[0] == static_cast<uint64_t>(kMark)) {
      ++marks;
      return;
    }
    if (marks != 1) return;
    ++count.all;
    count.futex += number == SYS_futex;
    count.yield += number == SYS_sched_yield;
    count.ioctl += number == SYS_ioctl;
    count.sleep += number == SYS_nanosleep || number == SYS_clock_nanosleep;
  }
};

/// Follows the child and its threads to their end; its exit code.
int follow(pid_t child, Tracing& tracing) {
  while (true) {
    int status = 0;
    const pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) return -1;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (thread == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      continue;
    }
    int signal = 0;
    if (WIFSTOPPED(status)) {
      const int stop = WSTOPSIG(status);
      const bool is_event = status >> 16 != 0;
      if (stop == kSyscallStop) {
        tracing.note(thread);
      } else if (!is_event && stop != SIGSTOP && stop != SIGTRAP) {
        signal = stop;
      }
    }
    ptrace(PTRACE_SYSCALL, thread, nullptr, signal);
  }
}

}  // namespace

void mark_syscalls() { prctl(kMark, 0, 0, 0, 0); }

Result<SyscallCount> count_syscalls(const std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  std::string program = "leat-bench";
  pointers.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) {
    return Error(ErrorKind::io, fmt::format("fork fails ({}).", std::strerror(errno)));
  }
  if (child == 0) become_child(pointers);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) {
    return Error(ErrorKind::unsupported, "The system refuses to trace a child (ptrace).");
  }
  const long wanted = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                      PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
  ptrace(PTRACE_SETOPTIONS, child, nullptr, wanted);
  ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  Tracing tracing;
  const int code = follow(child, tracing);
  if (code == 0 && tracing.marks == 2) return tracing.count;
  return Error(ErrorKind::io, fmt::format("The traced child ends with code ({}) after ({}) marks.",
                                          code, tracing.marks));
}

}  // namespace leat::cli
