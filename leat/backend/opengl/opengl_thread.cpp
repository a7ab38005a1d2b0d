// The GL thread's loop. It spins shortly before it blocks, both for jobs and for the GPU: a blocked
// thread wakes tens of microseconds late, which is more than most kernels last.
#include "leat/backend/opengl/opengl_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace leat {

namespace {

constexpr uint64_t kSpinNs = 50'000;          // before a thread sleeps
constexpr uint64_t kSyncSliceNs = 1'000'000;  // one blocking look at a sync object

uint64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::nanoseconds(now).count());
}

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Calls `done` until it is true or `limit_ns` have passed; returns its last answer.
template <typename Done>
bool spin(uint64_t limit_ns, const Done& done) {
  const uint64_t begin = now_ns();
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause_briefly();
    }
  } while (now_ns() - begin < limit_ns);
  return done();
}

}  // namespace

void OpenglProgress::advance(uint64_t value) {
  value_.store(
      value);  // sequentially consistent, as is sleepers_: one of both sides sees the other
  if (sleepers_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

bool OpenglProgress::wait(uint64_t value, uint64_t timeout_ns, uint64_t spin_ns) {
  auto over = [&] { return value_.load() >= value || stopped_.load(); };
  if (spin(std::min(spin_ns, timeout_ns), over) || timeout_ns <= spin_ns) return poll() >= value;
  // A year stands for "forever": the sum must not overflow.
  constexpr uint64_t kYearNs = 31'536'000'000'000'000ull;
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::nanoseconds(std::min(timeout_ns, kYearNs) - spin_ns);
  std::unique_lock lock(mutex_);
  sleepers_.fetch_add(1);
  changed_.wait_until(lock, deadline, over);
  sleepers_.fetch_sub(1);
  return poll() >= value;
}

void OpenglProgress::stop_waiting() {
  stopped_.store(true);
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

Result<std::unique_ptr<OpenglThread>> OpenglThread::start(const EglApi& egl, const EglChip& chip) {
  std::unique_ptr<OpenglThread> self(new OpenglThread);
  std::promise<Result<void>> opened;
  std::future<Result<void>> answer = opened.get_future();
  self->thread_ = std::thread([raw = self.get(), egl, chip, promise = std::move(opened)]() mutable {
    raw->run(egl, chip, std::move(promise));
  });
  TRY(answer.get());
  return self;
}

OpenglThread::~OpenglThread() {
  stopping_.store(true);
  jobs_given_.fetch_add(1);  // no job: it only ends the wait for one
  jobs_given_.notify_one();
  thread_.join();
}

Result<uint64_t> OpenglThread::execute(const OpenglCommands& list, uint64_t fence_value,
                                       std::shared_ptr<const OpenglCommands> owner) {
  TRY(health());
  return push({.list = &list, .owner = std::move(owner), .fence_value = fence_value});
}

Result<void> OpenglThread::await_job(uint64_t number) {
  if (jobs_done_.wait(number, kHangTimeoutNs, spin_ns_)) return {};
  TRY(health());
  return Error(
      ErrorKind::device_lost,
      fmt::format("The OpenGL driver of \"{}\" does not take commands.", facts_.info.chip));
}

Result<void> OpenglThread::call(const std::function<void(OpenglSide&)>& work) {
  TRY_ASSIGN(const uint64_t number, push({.work = &work}));
  while (!jobs_done_.wait(number, kHangTimeoutNs, spin_ns_)) {
  }
  return {};
}

Result<bool> OpenglThread::wait_reached(uint64_t value, uint64_t timeout_ns) {
  if (fence_.wait(value, timeout_ns, spin_ns_)) return true;
  TRY(health());
  return false;
}

Result<void> OpenglThread::health() {
  if (!failed_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(error_mutex_);
  return *error_;
}

Result<uint64_t> OpenglThread::push(const Job& job) {
  const uint64_t number = jobs_given_.load(std::memory_order_relaxed) + 1;
  if (number > kJobsMax) TRY(await_job(number - kJobsMax));
  jobs_[number % kJobsMax] = job;
  jobs_given_.store(number);
  jobs_given_.notify_one();
  return number;
}

void OpenglThread::run(const EglApi& egl, const EglChip& chip, std::promise<Result<void>> opened) {
  Result<std::unique_ptr<OpenglContext>> context = OpenglContext::create(egl, chip);
  if (!context) {
    opened.set_value(context.error());
    return;
  }
  const GlApi& gl = (*context)->gl();
  OpenglPlayer player(gl);
  OpenglSide side{gl, player};
  facts_ = (*context)->facts();
  spin_ns_ = facts_.info.software ? 0 : kSpinNs;
  opened.set_value({});
  serve(side);
  for (; pending_first_ < pending_end_; ++pending_first_) {
    gl.delete_sync(pending_[pending_first_ % kPendingMax].sync);
  }
  player.close();
}

void OpenglThread::serve(OpenglSide& side) {
  uint64_t done = 0;
  uint64_t last_progress_ns = now_ns();
  while (true) {
    const uint64_t given = jobs_given_.load();
    if (stopping_.load())
      return;  // looked at after the number, which the destructor raises falsely
    if (given > done) {
      do_job(side, jobs_[(done + 1) % kJobsMax]);
      jobs_done_.advance(++done);
      last_progress_ns = now_ns();
    } else if (pending_first_ < pending_end_) {
      const bool patient = now_ns() - last_progress_ns > spin_ns_;
      check_oldest(side.gl, patient ? kSyncSliceNs : 0);
    } else {
      wait_for_job(done);
    }
  }
}

void OpenglThread::do_job(OpenglSide& side, const Job& job) {
  if (job.work != nullptr) return (*job.work)(side);
  if (failed_.load()) return;
  side.player.play(*job.list);
  if (job.fence_value != 0) release_fence(side, job.fence_value);
}

void OpenglThread::release_fence(OpenglSide& side, uint64_t value) {
  const GlApi& gl = side.gl;
  while (pending_end_ - pending_first_ == kPendingMax && !failed_.load() && !stopping_.load()) {
    check_oldest(gl, kSyncSliceNs);
  }
  if (stopping_.load()) return;
  side.player.publish_to_host();
  const GLsync sync = gl.fence_sync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  const GLenum error = gl.get_error();
  if (error == GL_NO_ERROR && sync != nullptr) {
    pending_[pending_end_++ % kPendingMax] = {sync, value};
    return;
  }
  const ErrorKind kind =
      error == GL_OUT_OF_MEMORY ? ErrorKind::out_of_memory : ErrorKind::device_lost;
  fail(Error(kind, fmt::format("The OpenGL driver of \"{}\" refuses submit ({}): glGetError is {}.",
                               facts_.info.chip, value, gl_error_text(error))));
}

void OpenglThread::check_oldest(const GlApi& gl, uint64_t timeout_ns) {
  const Pending& oldest = pending_[pending_first_ % kPendingMax];
  const GLenum state = gl.client_wait_sync(oldest.sync, 0, timeout_ns);
  if (state == GL_TIMEOUT_EXPIRED) return;
  gl.delete_sync(oldest.sync);
  ++pending_first_;
  if (state == GL_WAIT_FAILED || gl.get_graphics_reset_status() != GL_NO_ERROR) {
    fail(Error(ErrorKind::device_lost,
               fmt::format("The OpenGL context on \"{}\" is lost: glGetError is {}.",
                           facts_.info.chip, gl_error_text(gl.get_error()))));
    return;
  }
  if (!failed_.load()) fence_.advance(oldest.value);
}

void OpenglThread::wait_for_job(uint64_t seen) {
  if (spin(spin_ns_, [&] { return jobs_given_.load() != seen; })) return;
  jobs_given_.wait(seen);
}

void OpenglThread::fail(Error error) {
  const std::lock_guard lock(error_mutex_);
  if (error_.has_value()) return;
  error_ = std::move(error);
  failed_.store(true, std::memory_order_release);
  fence_.stop_waiting();
}

}  // namespace leat
