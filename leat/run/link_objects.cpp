// See link_objects.h. LLVM's linker knows all processors; GNU's is made for one, whose name stands
// in the program's on Debian. Source: ld(1); ld.lld(1).
#include "leat/run/link_objects.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "leat/base/outside_program.h"

namespace leat {

namespace {

constexpr size_t kObjectBytesMax = size_t{1} << 30;

/// Names of linkers, best first.
std::vector<std::string> linkers_for(const Target& target) {
  std::vector<std::string> names = {"ld.lld", "ld.lld-19"};
  const bool is_arm = target.llvm_triple.starts_with("aarch64");
  names.emplace_back(is_arm ? "aarch64-linux-gnu-ld" : "x86_64-linux-gnu-ld");
#if defined(__x86_64__)
  const bool is_own = !is_arm;
#else
  const bool is_own = is_arm;
#endif
  if (is_own) names.emplace_back("ld");
  return names;
}

Result<std::string> find_linker(const Target& target) {
  const std::vector<std::string> names = linkers_for(target);
  for (const std::string& name : names) {
    std::string path = find_program(name);
    if (!path.empty()) return path;
  }
  return Error(ErrorKind::unsupported,
               fmt::format("No linker for Target \"{}\" is found: one of ({}) must be in PATH (apt "
                           "install lld).",
                           target.name, fmt::join(names, ", ")));
}

}  // namespace

Result<std::vector<std::byte>> link_objects(std::span<const KernelBinary> kernels,
                                            const Target& target) {
  TRY_ASSIGN(const std::string linker, find_linker(target));
  const TemporaryFolder folder("leat-link");
  if (folder.path().empty()) {
    return Error(ErrorKind::io, "A folder for the linker cannot be made.");
  }
  const std::string shared = folder.path() + "/kernels.so";
  const std::string log_path = folder.path() + "/log";
  std::vector<std::string> command = {linker,
                                      "-shared",
                                      "--strip-all",
                                      "--hash-style=gnu",
                                      "--build-id=none",
                                      "-z",
                                      "noexecstack",
                                      "-z",
                                      "now",
                                      "-z",
                                      "text",
                                      "-o",
                                      shared};
  for (size_t i = 0; i < kernels.size(); ++i) {
    command.push_back(folder.path() + "/" + std::to_string(i) + ".o");
    const std::vector<std::byte>& code = kernels[i].code;
    TRY(write_file(command.back(), {reinterpret_cast<const char*>(code.data()), code.size()}));
  }
  TRY_ASSIGN(const int status, run_program(std::move(command), log_path));
  if (status != 0) {
    TRY_ASSIGN(const std::string log, read_file(log_path, kObjectBytesMax));
    return Error(ErrorKind::internal, fmt::format("{} ends with ({}): {}", linker, status, log));
  }
  TRY_ASSIGN(const std::string bytes, read_file(shared, kObjectBytesMax));
  const auto* const first = reinterpret_cast<const std::byte*>(bytes.data());
  return std::vector<std::byte>(first, first + bytes.size());
}

}  // namespace leat
