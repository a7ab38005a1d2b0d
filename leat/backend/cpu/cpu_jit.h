// Brings object files into this process, through LLVM's JITLink, and names the host for the
// compiler. LLVM's headers stay in cpu_jit.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"

namespace leat {

/// What emit_llvm's objects export: runs workgroups [first_group, end_group) of the flattened grid.
using KernelEntry = void (*)(const void* const* buffers, uint32_t first_group, uint32_t end_group);

/// Code in memory, freed with this.
class LoadedCode {
 public:
  struct Place;
  LoadedCode();
  LoadedCode(KernelEntry function, std::unique_ptr<Place> place);
  LoadedCode(LoadedCode&&) noexcept;
  LoadedCode& operator=(LoadedCode&&) noexcept;
  ~LoadedCode();

  KernelEntry entry() const { return entry_; }

 private:
  KernelEntry entry_ = nullptr;
  std::unique_ptr<Place> place_;
};

/// Loads code. Outlives all code that it loaded.
class CpuJit {
 public:
  /// Errors: internal.
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
  std::string llvm_version;   // of the library that loads code
  std::string tiles_refused;  // why the CPU's AMX, if it has that, is not among the features
};
HostCpu host_cpu();

}  // namespace leat
