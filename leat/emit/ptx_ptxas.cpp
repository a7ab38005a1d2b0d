// ptxas as a process, in a folder of its own. Source: NVIDIA's "CUDA Compiler Driver NVCC" 13.0,
// ptxas options.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "leat/base/outside_program.h"
#include "leat/emit/ptx_assembler.h"

namespace leat {

namespace {

constexpr size_t kFileBytesMax = size_t{64} << 20;

std::string find_ptxas() {
  std::vector<std::string> folders;
  for (const std::string& folder : cuda_folders()) folders.push_back(folder + "/bin");
  return find_program("ptxas", folders);
}

/// "ptxas 13.0.88": behind the V in the last lines of --version.
std::string version_of(const std::string& ptxas) {
  const TemporaryFolder folder("leat-ptxas");
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
  const TemporaryFolder folder("leat-ptxas");
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
