// Whether this process may run code that it wrote itself, which the cpu device lives by.
#pragma once

#include "leat/base/result.h"

namespace leat {

/// Errors: unsupported, where memory that was written may not become executable: systemd's
/// MemoryDenyWriteExecute, PR_SET_MDWE, SELinux' execmem. Kernels written through a second mapping
/// of the same memory would pass; that is not done, for it is what such a rule is there to stop.
Result<void> check_code_rights();

}  // namespace leat
