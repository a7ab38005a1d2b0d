// Work that may not come back, such as asking a driver of somebody else's, done in a child: what
// ends the child, a crash or a hang, is an answer here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "leat/base/result.h"

namespace leat {

/// What `work` returns in a child of this process, which ends with it. The child has this thread
/// only and the state of now; whatever it opens is its own. Errors: io, when no child can be made,
/// or when it ends otherwise, takes longer than `timeout_ns`, answers more than `answer_bytes_max`
/// or is called off, with how. `is_called_off`, which may be null, is asked some times a second, on
/// this thread.
Result<std::string> run_in_child(const std::function<std::string()>& work, uint64_t timeout_ns,
                                 const std::function<bool()>& is_called_off = nullptr,
                                 size_t answer_bytes_max = size_t{1} << 20);

}  // namespace leat
