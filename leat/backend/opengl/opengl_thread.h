// The thread that owns the GL context. EGL ties a context to one thread, while a Device may be used
// by one thread after another and its fence by any; so all GL calls are made here, in the order in
// which jobs arrive through a ring, and submit is asynchronous even where the driver is not (Mesa's
// llvmpipe computes inside glDispatchCompute).
//
// The fence's number lies in mapped memory and is raised by the device itself, so polling it from
// any thread is a load and needs nobody's help. A sync object is made only when this thread has to
// block because the number lets it wait: it costs every submit 1 to 2 us otherwise (H200, 580.159).
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "leat/backend/opengl/opengl_commands.h"
#include "leat/backend/opengl/opengl_context.h"
#include "leat/backend/opengl/opengl_number.h"
#include "leat/device/spin.h"

namespace leat {

/// A number that only grows, advanced by one thread and awaited by any.
class OpenglProgress {
 public:
  uint64_t poll() const { return value_.load(std::memory_order_acquire); }
  void advance(uint64_t value);
  /// Spins for `spin_ns`, then sleeps until the number is reached or stop_waiting() was called or
  /// the time is over. True if the number is reached.
  bool wait(uint64_t value, uint64_t timeout_ns, uint64_t spin_ns);
  /// Lets all present and later waits return at once.
  void stop_waiting();

 private:
  std::atomic<uint64_t> value_ = 0;
  std::atomic<uint32_t> sleepers_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// What a blocking job may use on the GL thread.
struct OpenglSide {
  const GlApi& gl;
  OpenglPlayer& player;
  const EglApi& egl;

  /// glFinish, looked up here alone, so that no other code can reach it. For benchmarks.
  void finish() const;
};

class OpenglThread {
 public:
  /// Starts the thread and opens a context there. Errors: unsupported.
  static Result<std::unique_ptr<OpenglThread>> start(const EglApi& egl, const EglChip& chip);
  /// Ends the job in hand, drops those still in the ring and closes the context.
  ~OpenglThread();
  OpenglThread(const OpenglThread&) = delete;
  OpenglThread& operator=(const OpenglThread&) = delete;

  const OpenglFacts& facts() const { return facts_; }
  /// Makes the fence's number; before the first submit. Errors: unsupported, with the driver's
  /// word.
  Result<void> open_number();

  /// Gives `list` to the thread; it must stay as it is until the returned job number is done. Once
  /// all its commands are done on the device the fence is set to `fence_value`, if that is not 0.
  /// Errors: device_lost, when the ring stays full until a hang is certain.
  /// An `owner` is kept until the job's place in the ring is used again.
  Result<uint64_t> execute(const OpenglCommands& list, uint64_t fence_value,
                           std::shared_ptr<const OpenglCommands> owner = nullptr);
  /// Waits until the thread has issued the commands of job `number`. Errors: device_lost.
  Result<void> await_job(uint64_t number);
  /// Runs `work` on the GL thread after all earlier jobs and waits for its end, without a deadline,
  /// since it uses the caller's variables. Errors: as execute; `work` has not run then.
  Result<void> call(const std::function<void(OpenglSide&)>& work);

  /// Nanoseconds taken by the last mark_time of `slot` that was played. One question to the GL
  /// thread answers for all slots whose times have come. Errors: invalid_argument, without such a
  /// mark; device_lost.
  Result<uint64_t> time_ns(uint32_t slot);

  uint64_t reached() const { return number_.poll(); }
  /// As Fence::wait. Errors: what the device failed with.
  Result<bool> wait_reached(uint64_t value, uint64_t timeout_ns);
  /// The error that ended this device's work, if there was one.
  Result<void> health();

 private:
  struct Job {
    const OpenglCommands* list = nullptr;
    std::shared_ptr<const OpenglCommands> owner = nullptr;
    uint64_t fence_value = 0;
    const std::function<void(OpenglSide&)>* work = nullptr;
  };
  static constexpr uint64_t kJobsMax = 256;    // in the ring
  static constexpr uint64_t kPendingMax = 64;  // submits that the GPU has not finished

  OpenglThread() = default;
  Result<uint64_t> push(const Job& job);
  void run(const EglApi& egl, const EglChip& chip, std::promise<Result<void>> opened);
  void serve(OpenglSide& side);
  void do_job(OpenglSide& side, const Job& job);
  void release_fence(OpenglSide& side, uint64_t value);
  bool is_refused(const GlApi& gl, uint64_t value);
  void publish();
  void await_number(const GlApi& gl, uint64_t sleep_ns, uint64_t next_job);
  void drop_sync(const GlApi& gl);
  void fail(Error error);

  OpenglFacts facts_;
  uint64_t hang_ns_ = kHangTimeoutNs;
  uint64_t spin_ns_ = 0;  // 0 for a software renderer, which needs the cores itself
  std::array<Job, kJobsMax> jobs_ = {};
  OpenglProgress jobs_given_;
  OpenglProgress jobs_done_;
  OpenglNumber number_;
  OpenglTimes times_;
  OpenglProgress fence_;  // follows number_, for threads that sleep
  AdaptiveSpin wait_spin_;
  std::atomic<bool> stopping_ = false;

  std::atomic<bool> failed_ = false;
  std::mutex error_mutex_;
  std::optional<Error> error_;

  // Of the GL thread alone.
  uint64_t issued_ = 0;      // fence value of the last submit given to the driver
  GLsync sync_ = nullptr;    // behind issued_ when it was made
  uint64_t sync_value_ = 0;  // of issued_ then

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace leat
