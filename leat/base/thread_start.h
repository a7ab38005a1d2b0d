// Starts threads: the one place that knows that a thread may not start.
#pragma once

#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "leat/base/result.h"

namespace leat {

/// `body` on a thread of its own. Errors: out_of_memory, when the system has no memory or no number
/// left for one more.
template <typename Body>
Result<std::thread> start_thread(Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::bad_alloc&) {
    return Error(ErrorKind::out_of_memory, "The system has no memory for a further thread.");
  } catch (const std::system_error& error) {
    return Error(ErrorKind::out_of_memory,
                 "The system starts no further thread: " + error.code().message() + ".");
  }
}

}  // namespace leat
