// See host_pool.h.
#include "leat/run/host_pool.h"

#include <algorithm>
#include <utility>

#include "leat/base/thread_start.h"

namespace leat {

Result<void> HostPool::start(size_t threads) {
  for (size_t i = 0; i < std::max<size_t>(threads, 1); ++i) {
    TRY_ASSIGN(std::thread thread, start_thread([this, i] { run(i); }));
    threads_.push_back(std::move(thread));
  }
  return {};
}

HostPool::~HostPool() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void HostPool::add(Task task, bool is_urgent) {
  {
    const std::lock_guard lock(mutex_);
    if (is_urgent) {
      tasks_.push_front(std::move(task));
    } else {
      tasks_.push_back(std::move(task));
    }
  }
  changed_.notify_one();
}

void HostPool::run(size_t index) {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stops_ || !tasks_.empty(); });
      if (stops_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task(index);
  }
}

}  // namespace leat
