// See leat_program.h. Output goes through files, so that a full pipe never stops the program.
#include "tests/cli/leat_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "leat/base/files.h"
#include "leat/base/output_file.h"

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

[[noreturn]] void become_leat(std::vector<std::string> arguments,
                              const std::function<void()>& prepare, const std::string& program) {
  redirect(scratch_path("out"), STDOUT_FILENO);
  redirect(scratch_path("err"), STDERR_FILENO);
  setenv("XDG_CACHE_HOME", scratch_path("cache").c_str(), 1);
  setenv("XDG_STATE_HOME", scratch_path("state").c_str(), 1);
  signal(SIGINT, SIG_DFL);
  if (prepare) prepare();
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

void redirect(const std::string& path, int descriptor) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(file, descriptor);
  close(file);
}

ProgramResult run_leat(const std::vector<std::string>& arguments,
                       const std::function<void()>& prepare, const std::string& program) {
  scratch_path("");  // made by the parent, not by each child
  const pid_t child = fork();
  if (child == 0) become_leat(arguments, prepare, program.empty() ? LEAT_PROGRAM : program);
  return finish(child);
}

ProgramResult run_leat_alone(const std::vector<std::string>& arguments) {
  const std::string program = scratch_path("leat");
  std::filesystem::copy_file(LEAT_PROGRAM, program,
                             std::filesystem::copy_options::overwrite_existing);
  return run_leat(arguments, nullptr, program);
}

ProgramResult run_leat_without_room(const std::vector<std::string>& arguments) {
  return run_leat(arguments, [] { redirect("/dev/full", STDOUT_FILENO); });
}

ProgramResult interrupt_leat(const std::vector<std::string>& arguments, int delay_ms, int signal) {
  scratch_path("");
  const pid_t child = fork();
  if (child == 0) become_leat(arguments, nullptr, LEAT_PROGRAM);
  usleep(static_cast<useconds_t>(delay_ms) * 1000);
  kill(child, signal);
  return finish(child);
}

std::string scratch_path(const std::string& name) {
  static const ScratchFolder folder;
  return (folder.path / name).string();
}

std::string scratch_file(const std::string& name, const std::string& bytes) {
  const std::string path = scratch_path(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  EXPECT_TRUE(write_file(path, bytes));
  return path;
}

}  // namespace leat
