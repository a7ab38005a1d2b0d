// Work that falls into pieces, by as many threads as this process has cores.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "leat/base/cpu_count.h"
#include "leat/base/thread_start.h"

namespace leat {

/// work(i) for each i below `count`, each by one thread, which takes the next when it is done with
/// one. Returns when all are done, or throws what the first of them threw.
template <typename Work>
void on_all_cores(size_t count, const Work& work) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto do_some = [&] {
    try {
      for (size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!thrown) thrown = std::current_exception();
    }
  };
  const size_t threads = std::min<size_t>(usable_cpus(), count);
  std::vector<std::thread> helpers;
  helpers.reserve(threads);  // what is started is joined: no memory is wanted in between
  for (size_t i = 1; i < threads; ++i) {
    Result<std::thread> helper = start_thread(do_some);
    if (!helper) break;  // fewer do the same work
    helpers.push_back(std::move(*helper));
  }
  do_some();
  for (std::thread& helper : helpers) helper.join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace leat
