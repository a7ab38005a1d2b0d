// Brings object files into this process, through LLVM's JITLink, and names the host for the
// compiler. LLVM's headers stay in cpu_jit.cpp; builds without LLVM have cpu_jit_absent.cpp
// instead.
#pragma once

#include <memory>
#include <string>

#include "leat/backend/cpu/cpu_code.h"
#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"

namespace leat {

/// Loads code. Outlives all code that it loaded.
class CpuJit {
 public:
  /// Errors: internal; unsupported, without LLVM or where this process may not run code that it
  /// writes.
  static Result<CpuJit> create();
  CpuJit(CpuJit&&) noexcept;
  ~CpuJit();

  /// `binary` is a native object for this host. Errors: invalid_argument (bytes that are no such
  /// object, or lack the entry).
  Result<LoadedCode> load(const KernelBinary& binary);

 private:
  struct State;
  explicit CpuJit(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The host in LLVM's words.
struct HostCpu {
  std::string triple;
  std::string cpu;
  std::string features;       // "+avx2,-avx512f,.."
  std::string llvm_version;   // of the library that loads code; empty without
  std::string tiles_refused;  // why the CPU's AMX, if it has that, is not among the features
};
HostCpu host_cpu();

}  // namespace leat
