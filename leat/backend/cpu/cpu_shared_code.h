// Kernels from shared objects, as packed models have them: the system's loader maps them from a
// file, so no memory is ever both written and run. That needs no compiler, and is allowed where a
// process may not run what it writes (systemd's MemoryDenyWriteExecute).
#pragma once

#include <memory>
#include <vector>

#include "leat/backend/cpu/cpu_code.h"
#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"

namespace leat {

/// Whether the code is a shared object, and not one that is still to be linked.
bool is_shared_object(const KernelBinary& binary);

class CpuSharedCode {
 public:
  struct Object;

  /// Of a shared object, whose code is believed. Kernels of one object share what is loaded.
  /// Errors: invalid_argument, when the system's loader does not take it or it lacks the entry; io,
  /// when it cannot be put into a file.
  Result<LoadedCode> load(const KernelBinary& binary);

 private:
  std::vector<std::weak_ptr<const Object>> objects_;
};

}  // namespace leat
