// See bench.h. `leat bench ...` becomes `leat-bench ...`: the same process, other code.
#include "cli/bench.h"

#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/commands.h"
#include "leat/base/borrowed_rights.h"

namespace leat::cli {

namespace {

constexpr int kNotStarted = 127;  // as shells report it

/// Beside this program's file, wherever it was called from.
std::string bench_path() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "leat-bench").string();
}

/// With rights that whoever started it has not, no program is started that may lie beside a link.
Result<void> check_bench(const std::string& path) {
  if (has_borrowed_rights()) {
    return Error(ErrorKind::unsupported, "With borrowed rights (setuid) no benchmark is started.");
  }
  if (access(path.c_str(), X_OK) == 0) return {};
  return Error(ErrorKind::unsupported,
               fmt::format("Program \"{}\", which has the benchmarks, cannot be run: {}.", path,
                           std::strerror(errno)));
}

/// Returns only when it fails.
void become_bench(const std::string& path, std::vector<std::string> arguments) {
  std::string name = "leat-bench";
  std::vector<char*> pointers = {name.data()};
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(path.c_str(), pointers.data());
}

}  // namespace

Result<int> run_bench(const std::vector<std::string>& arguments) {
  const std::string path = bench_path();
  TRY(check_bench(path));
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) {
    return Error(ErrorKind::io, fmt::format("fork fails ({}).", std::strerror(errno)));
  }
  if (child == 0) {
    become_bench(path, arguments);
    _exit(kNotStarted);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kNotStarted;
}

CommandRun add_bench(CLI::App& command) {
  command.set_help_flag();   // --help is the other program's too
  command.prefix_command();  // all that follows is
  return [&command](const ProcessStart&) -> Result<int> {
    const std::string path = bench_path();
    TRY(check_bench(path));
    become_bench(path, command.remaining());
    return Error(ErrorKind::io,
                 fmt::format("Program \"{}\" cannot be started: {}.", path, std::strerror(errno)));
  };
}

}  // namespace leat::cli
