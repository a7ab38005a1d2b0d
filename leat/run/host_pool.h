// A few host threads that take tasks from one queue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "leat/base/result.h"

namespace leat {

class HostPool {
 public:
  /// The task is told which of the threads runs it.
  using Task = std::function<void(size_t thread)>;

  HostPool() = default;
  /// Ends the tasks in hand and drops the others.
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  /// Once, before the first task: at least one thread. Errors: out_of_memory, as of start_thread.
  Result<void> start(size_t threads);

  /// `is_urgent` goes before all others.
  void add(Task task, bool is_urgent = false);
  size_t size() const { return threads_.size(); }

 private:
  void run(size_t index);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stops_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace leat
