// A few host threads that take tasks from one queue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace leat {

class HostPool {
 public:
  /// The task is told which of the threads runs it.
  using Task = std::function<void(size_t thread)>;

  /// At least one thread.
  explicit HostPool(size_t threads);
  /// Ends the tasks in hand and drops the others.
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

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
