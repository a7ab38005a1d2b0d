// ptxas as a process: started without a shell, in a folder of its own that only this user can read
// and that is removed afterwards. Source: NVIDIA's "CUDA Compiler Driver NVCC" 13.0, ptxas options.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "leat/base/borrowed_rights.h"
#include "leat/base/env.h"
#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "leat/emit/ptx_assembler.h"

extern char** environ;

namespace leat {

namespace {

constexpr size_t kFileBytesMax = size_t{64} << 20;

/// A new folder under $TMPDIR, removed with what is in it.
class PrivateFolder {
 public:
  PrivateFolder() {
    const std::string base = env("TMPDIR");
    std::string pattern = (base.empty() ? "/tmp" : base) + "/leat-ptxas-XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  PrivateFolder(const PrivateFolder&) = delete;
  ~PrivateFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs `arguments[0]` with both its outputs in the file `log_path`; returns its exit status.
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
    return Error(ErrorKind::io, fmt::format("Program \"{}\" does not start: {}.", arguments[0],
                                            std::strerror(code)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return Error(ErrorKind::io, fmt::format("Program \"{}\" cannot be waited for: {}.",
                                              arguments[0], std::strerror(errno)));
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// With borrowed rights no program is started: it would work in a folder of whoever started this
// one.
std::string find_ptxas() {
  if (has_borrowed_rights()) return "";
  std::vector<std::string> folders;
  std::string path = env("PATH");
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    if (end > begin) folders.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  for (const std::string& folder : cuda_folders()) folders.push_back(folder + "/bin");
  for (const std::string& folder : folders) {
    if (access((folder + "/ptxas").c_str(), X_OK) == 0) return folder + "/ptxas";
  }
  return "";
}

/// "ptxas 13.0.88": behind the V in the last lines of --version.
std::string version_of(const std::string& ptxas) {
  const PrivateFolder folder;
  const std::string log = folder.path() + "/version";
  if (folder.path().empty() || !run_program({ptxas, "--version"}, log)) return "ptxas";
  const Result<std::string> text = read_file(log, kFileBytesMax);
  if (!text) return "ptxas";
  const size_t at = text->find(", V");
  if (at == std::string::npos) return "ptxas";
  const size_t end = text->find_first_not_of("0123456789.", at + 3);
  return "ptxas " + text->substr(at + 3, end - at - 3);
}

}  // namespace

Result<AssembledPtx> assemble_by_ptxas(const std::string& ptx, const std::string& chip) {
  static const std::string ptxas = find_ptxas();
  if (ptxas.empty()) return Error(ErrorKind::unsupported, "no program of that name is found.");
  static const std::string version = version_of(ptxas);
  const PrivateFolder folder;
  if (folder.path().empty()) {
    return Error(ErrorKind::io,
                 fmt::format("A folder for ptxas cannot be made: {}.", std::strerror(errno)));
  }
  const std::string source = folder.path() + "/kernel.ptx";
  const std::string cubin = folder.path() + "/kernel.cubin";
  const std::string log_path = folder.path() + "/log";
  TRY(write_file(source, ptx));
  TRY_ASSIGN(const int status,
             run_program({ptxas, "-arch=" + chip, "-v", "-o", cubin, source}, log_path));
  TRY_ASSIGN(std::string log, read_file(log_path, kFileBytesMax));
  if (status != 0) {
    return Error(ErrorKind::internal, fmt::format("{} ends with ({}): {}", version, status, log));
  }
  TRY_ASSIGN(const std::string bytes, read_file(cubin, kFileBytesMax));
  AssembledPtx assembled;
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  assembled.cubin.assign(first, first + bytes.size());
  assembled.assembler = version;
  assembled.log = std::move(log);
  return assembled;
}

}  // namespace leat
