// See outside_program.h.
#include "leat/base/outside_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "leat/base/borrowed_rights.h"
#include "leat/base/env.h"

extern char** environ;

namespace leat {

TemporaryFolder::TemporaryFolder(std::string_view name) {
  const std::string base = env("TMPDIR");
  std::string pattern = (base.empty() ? "/tmp" : base) + "/" + std::string(name) + "-XXXXXX";
  if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::string find_program(std::string_view name, std::span<const std::string> folders) {
  if (has_borrowed_rights()) return "";
  std::vector<std::string> places;
  const std::string path = env("PATH");
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    if (end > begin) places.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  places.insert(places.end(), folders.begin(), folders.end());
  for (const std::string& place : places) {
    const std::string program = place + "/" + std::string(name);
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  return "";
}

Result<int> run_program(std::vector<std::string> arguments, const std::string& log_path) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int code = posix_spawn(&child, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) {
    return Error(ErrorKind::io,
                 "Program \"" + arguments[0] + "\" does not start: " + std::strerror(code) + ".");
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return Error(ErrorKind::io, "Program \"" + arguments[0] +
                                      "\" cannot be waited for: " + std::strerror(errno) + ".");
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace leat
