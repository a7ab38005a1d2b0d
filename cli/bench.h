// The program `leat-bench`, which lies beside this one and has the benchmarks, so that `leat`
// itself neither holds nor links what only they need.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat::cli {

/// Runs `leat-bench` with `arguments`, waits for it, and returns its exit code; it writes to this
/// program's stdout. Errors: unsupported, when it is not there.
Result<int> run_bench(const std::vector<std::string>& arguments);

}  // namespace leat::cli
