// Other programs that do a part of the work, such as an assembler or a linker: started without a
// shell, in a folder of their own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat {

/// A new folder under $TMPDIR that only this user can read, removed with what is in it.
class TemporaryFolder {
 public:
  /// `name` begins the folder's.
  explicit TemporaryFolder(std::string_view name);
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  /// Empty where none can be made; errno tells why.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The path of the program in $PATH or one of `folders`; empty where there is none, or with
/// borrowed rights: it would work in a folder of whoever started this one.
std::string find_program(std::string_view name, std::span<const std::string> folders = {});

/// Runs `arguments[0]`, a path, with both its outputs in the file `log_path`; its exit status, -1
/// after a signal. Errors: io, when it does not start.
Result<int> run_program(std::vector<std::string> arguments, const std::string& log_path);

}  // namespace leat
