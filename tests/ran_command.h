// A shell's command as a person would run it, with what it prints.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace leat {

struct Ran {
  int exit_code = -1;
  std::string text;  // of both streams
};

/// With an empty standard input.
inline Ran run_command(const std::string& command) {
  Ran ran;
  FILE* pipe = popen(("exec 2>&1 </dev/null; " + command).c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> piece{};
  while (fgets(piece.data(), int{piece.size()}, pipe) != nullptr) ran.text += piece.data();
  const int status = pclose(pipe);
  if (WIFEXITED(status)) ran.exit_code = WEXITSTATUS(status);
  return ran;
}

}  // namespace leat
