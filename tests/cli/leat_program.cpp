// See leat_program.h. Output goes through files, so that a full pipe never stops the program.
#include "tests/cli/leat_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "leat/base/files.h"

namespace leat {

namespace {

constexpr size_t kOutputBytesMax = size_t{64} << 20;

/// Removed with everything in it when the test program ends.
struct ScratchFolder {
  std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / ("leat_cli_" + std::to_string(getpid()));
  ScratchFolder() { std::filesystem::create_directories(path); }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

void redirect(const std::string& path, int descriptor) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(file, descriptor);
  close(file);
}

[[noreturn]] void become_leat(std::vector<std::string> arguments, const std::string& out_path,
                              const std::string& program = LEAT_PROGRAM) {
  redirect(out_path, STDOUT_FILENO);
  redirect(scratch_path("err"), STDERR_FILENO);
  setenv("XDG_CACHE_HOME", scratch_path("cache").c_str(), 1);
  signal(SIGINT, SIG_DFL);
  arguments.insert(arguments.begin(), program);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  _exit(127);
}

ProgramResult finish(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(scratch_path("out"), kOutputBytesMax).value();
  result.err = read_file(scratch_path("err"), kOutputBytesMax).value();
  return result;
}

}  // namespace

ProgramResult run_leat(const std::vector<std::string>& arguments) {
  scratch_path("");  // made by the parent, not by each child
  const pid_t child = fork();
  if (child == 0) become_leat(arguments, scratch_path("out"));
  return finish(child);
}

ProgramResult run_leat_alone(const std::vector<std::string>& arguments) {
  const std::string program = scratch_path("leat");
  std::filesystem::copy_file(LEAT_PROGRAM, program,
                             std::filesystem::copy_options::overwrite_existing);
  const pid_t child = fork();
  if (child == 0) become_leat(arguments, scratch_path("out"), program);
  return finish(child);
}

ProgramResult run_leat_without_room(const std::vector<std::string>& arguments) {
  scratch_file("out", "");
  const pid_t child = fork();
  if (child == 0) become_leat(arguments, "/dev/full");
  return finish(child);
}

ProgramResult interrupt_leat(const std::vector<std::string>& arguments, int delay_ms) {
  scratch_path("");
  const pid_t child = fork();
  if (child == 0) become_leat(arguments, scratch_path("out"));
  usleep(static_cast<useconds_t>(delay_ms) * 1000);
  kill(child, SIGINT);
  return finish(child);
}

std::string scratch_path(const std::string& name) {
  static const ScratchFolder folder;
  return (folder.path / name).string();
}

std::string scratch_file(const std::string& name, const std::string& bytes) {
  const std::string path = scratch_path(name);
  EXPECT_TRUE(write_file_atomically(path, bytes));
  return path;
}

}  // namespace leat
