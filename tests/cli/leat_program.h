// Runs the built program `leat` as a person would, and keeps what it prints.
#pragma once

#include <csignal>
#include <functional>
#include <string>
#include <vector>

namespace leat {

struct ProgramResult {
  int exit_code = -1;  // 128 + n when signal n ended it
  std::string out;
  std::string err;
};

/// With a cache folder of its own, fresh for each test program. `prepare` is called in the child
/// before it becomes the program: for limits, variables, descriptors. `program` is a copy of it.
ProgramResult run_leat(const std::vector<std::string>& arguments,
                       const std::function<void()>& prepare = nullptr,
                       const std::string& program = "");

/// The same with a copy of the program that has no other beside it.
ProgramResult run_leat_alone(const std::vector<std::string>& arguments);

/// The same with a standard output that is full.
ProgramResult run_leat_without_room(const std::vector<std::string>& arguments);

/// Sends the signal `delay_ms` after the start.
ProgramResult interrupt_leat(const std::vector<std::string>& arguments, int delay_ms,
                             int signal = SIGINT);

/// What `prepare` may do: a descriptor leads to a file, which is made.
void redirect(const std::string& path, int descriptor);

/// A path for a file that this test program may write.
std::string scratch_path(const std::string& name);
/// Writes it and returns its path.
std::string scratch_file(const std::string& name, const std::string& bytes);

}  // namespace leat
