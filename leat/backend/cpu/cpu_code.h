// A kernel's code in this process, whoever brought it there: LLVM's JIT from an object file
// (cpu_jit.h), or the system's loader from a shared object (cpu_shared_code.h).
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace leat {

/// What emit_llvm's objects export: runs workgroups [first_group, end_group) of the flattened grid.
using KernelEntry = void (*)(const void* const* buffers, uint32_t first_group, uint32_t end_group);

/// Freed with the last of those that share it.
class LoadedCode {
 public:
  LoadedCode() = default;
  LoadedCode(KernelEntry function, std::shared_ptr<const void> place)
      : entry_(function), place_(std::move(place)) {}

  KernelEntry entry() const { return entry_; }

 private:
  KernelEntry entry_ = nullptr;
  std::shared_ptr<const void> place_;
};

}  // namespace leat
