// The GL thread's loop. It spins shortly before it blocks, both for jobs and for the GPU: a blocked
// thread wakes tens of microseconds late, which is more than most kernels last.
#include "leat/backend/opengl/opengl_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "leat/base/thread_start.h"
#include "leat/route/time_slots.h"

namespace leat {

namespace {

// A sleep between two looks at a sync object: an eighth of the time without progress, within these
// limits. A new job ends it.
constexpr uint64_t kSyncSliceNsLeast = 20'000;
constexpr uint64_t kSyncSliceNsMax = 1'000'000;
constexpr uint64_t kNoJob = UINT64_MAX;                           // none ends the sleep
constexpr std::string_view kNvidiaVendor = "NVIDIA Corporation";  // of GL_VENDOR

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
  const uint64_t start_ns = steady_now_ns();
  if (spin_until(start_ns, std::min(spin_ns, timeout_ns), over) || timeout_ns <= spin_ns) {
    return poll() >= value;
  }
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::nanoseconds(std::min(timeout_ns, kForeverNs) - spin_ns);
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
  TRY_ASSIGN(self->thread_,
             start_thread([raw = self.get(), egl, chip, promise = std::move(opened)]() mutable {
               raw->run(egl, chip, std::move(promise));
             }));
  TRY(answer.get());
  return self;
}

OpenglThread::~OpenglThread() {
  stopping_.store(true);
  jobs_given_.advance(jobs_given_.poll() + 1);  // no job: it only ends the wait for one
  if (thread_.joinable()) thread_.join();
}

void OpenglSide::finish() const {
  const auto gl_finish = reinterpret_cast<PFNGLFINISHPROC>(egl.get_proc_address("glFinish"));
  if (gl_finish != nullptr) gl_finish();
}

Result<void> OpenglThread::open_number() {
  std::string refusal;
  const bool is_cleared = facts_.info.vendor == kNvidiaVendor;
  TRY(call([&](OpenglSide& side) { refusal = number_.open(side.gl, is_cleared); }));
  if (refusal.empty()) return {};
  return Error(ErrorKind::unsupported,
               fmt::format("The OpenGL driver of \"{}\" refuses the fence's number ({}).",
                           facts_.info.chip, refusal));
}

Result<uint64_t> OpenglThread::execute(const OpenglCommands& list, uint64_t fence_value,
                                       std::shared_ptr<const OpenglCommands> owner) {
  TRY(health());
  return push({.list = &list, .owner = std::move(owner), .fence_value = fence_value});
}

Result<void> OpenglThread::await_job(uint64_t number) {
  if (jobs_done_.wait(number, hang_ns_, spin_ns_)) return {};
  TRY(health());
  return Error(
      ErrorKind::device_lost,
      fmt::format("The OpenGL driver of \"{}\" does not take commands.", facts_.info.chip));
}

Result<void> OpenglThread::call(const std::function<void(OpenglSide&)>& work) {
  TRY_ASSIGN(const uint64_t number, push({.work = &work}));
  while (!jobs_done_.wait(number, hang_ns_, spin_ns_)) {
  }
  return {};
}

// The job uses nothing of the caller's, so that the wait for it may end before it does.
Result<uint64_t> OpenglThread::time_ns(uint32_t slot) {
  static const std::function<void(OpenglSide&)> kRead = [](OpenglSide& side) {
    side.player.read_times();
  };
  const std::atomic<uint64_t>& place = times_.ns[slot];
  const uint64_t start_ns = steady_now_ns();
  while (steady_now_ns() - start_ns < hang_ns_) {
    if (const uint64_t time = place.load(std::memory_order_acquire); time > OpenglTimes::kPending) {
      return time;
    }
    TRY(health());
    TRY_ASSIGN(const uint64_t number, push({.work = &kRead}));
    TRY(await_job(number));
    if (place.load(std::memory_order_acquire) == OpenglTimes::kNone) {
      return marked_time(slot, 0);
    }
  }
  return Error(ErrorKind::device_lost,
               fmt::format("The OpenGL driver of \"{}\" has no time of slot ({}) after ({}) ns.",
                           facts_.info.chip, slot, hang_ns_));
}

Result<bool> OpenglThread::wait_reached(uint64_t value, uint64_t timeout_ns) {
  if (reached() >= value) return true;
  const uint64_t start_ns = steady_now_ns();
  const uint64_t spin_ns = std::min(wait_spin_.budget_ns(), timeout_ns);
  bool done = spin_until(start_ns, spin_ns, [&] { return reached() >= value; });
  const uint64_t spent_ns = steady_now_ns() - start_ns;
  if (!done && spent_ns < timeout_ns) {
    done = fence_.wait(value, timeout_ns - spent_ns, 0) || reached() >= value;
  }
  if (!done) TRY(health());
  wait_spin_.learn(steady_now_ns() - start_ns, done);
  return done;
}

Result<void> OpenglThread::health() {
  if (!failed_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(error_mutex_);
  return *error_;
}

Result<uint64_t> OpenglThread::push(const Job& job) {
  const uint64_t number = jobs_given_.poll() + 1;
  if (number > kJobsMax) TRY(await_job(number - kJobsMax));
  jobs_[number % kJobsMax] = job;
  jobs_given_.advance(number);
  return number;
}

void OpenglThread::run(const EglApi& egl, const EglChip& chip, std::promise<Result<void>> opened) {
  Result<std::unique_ptr<OpenglContext>> context = OpenglContext::create(egl, chip);
  if (!context) {
    opened.set_value(context.error());
    return;
  }
  const GlApi& gl = (*context)->gl();
  OpenglPlayer player(gl, times_);
  OpenglSide side{gl, player, egl};
  facts_ = (*context)->facts();
  spin_ns_ = facts_.info.software ? 0 : kSpinNsMax;
  wait_spin_.set_limit_ns(spin_ns_);
  hang_ns_ = hang_timeout_ns(facts_.info, facts_.target);
  opened.set_value({});
  serve(side);
  drop_sync(gl);
  player.close();
  number_.close(gl);
}

void OpenglThread::serve(OpenglSide& side) {
  uint64_t done = 0;
  uint64_t last_progress_ns = steady_now_ns();
  while (true) {
    const uint64_t given = jobs_given_.poll();
    if (stopping_.load())
      return;  // looked at after the number, which the destructor raises falsely
    if (given > done) {
      do_job(side, jobs_[(done + 1) % kJobsMax]);
      jobs_done_.advance(++done);
      last_progress_ns = steady_now_ns();
    } else if (number_.poll() < issued_ && !failed_.load()) {
      const uint64_t idle_ns = steady_now_ns() - last_progress_ns;
      const uint64_t slice_ns = std::clamp(idle_ns / 8, kSyncSliceNsLeast, kSyncSliceNsMax);
      await_number(side.gl, idle_ns > spin_ns_ ? slice_ns : 0, done + 1);
    } else {
      publish();
      jobs_given_.wait(done + 1, kForeverNs, spin_ns_);
    }
    publish();
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
  while (issued_ - number_.poll() >= kPendingMax && !failed_.load() && !stopping_.load()) {
    await_number(gl, kSyncSliceNsLeast, kNoJob);
    publish();
  }
  if (stopping_.load()) return;
  // The number is raised only for work that the driver took.
  if (is_refused(gl, value)) return;
  side.player.raise(number_, value);
  gl.flush();
  issued_ = value;
  static_cast<void>(is_refused(gl, value));
}

/// Asks for GL's error, and fails the device when there is one.
bool OpenglThread::is_refused(const GlApi& gl, uint64_t value) {
  const GLenum error = gl.get_error();
  if (error == GL_NO_ERROR) return false;
  const ErrorKind kind =
      error == GL_OUT_OF_MEMORY ? ErrorKind::out_of_memory : ErrorKind::device_lost;
  fail(Error(kind, fmt::format("The OpenGL driver of \"{}\" refuses submit ({}): glGetError is {}.",
                               facts_.info.chip, value, gl_error_text(error))));
  return true;
}

/// Wakes those who sleep until the number is reached.
void OpenglThread::publish() {
  const uint64_t number = number_.poll();
  if (number > fence_.poll() && !failed_.load()) fence_.advance(number);
}

/// Sleeps, until `next_job` is given at most, then asks the driver whether all that is issued is
/// done or the context is lost. To wait in NVIDIA's driver is to spin: a whole core for as long as
/// the work lasts.
void OpenglThread::await_number(const GlApi& gl, uint64_t sleep_ns, uint64_t next_job) {
  if (sleep_ns == 0) return pause_core();
  if (jobs_given_.wait(next_job, sleep_ns, 0)) return;
  if (sync_ == nullptr || sync_value_ < issued_) {
    drop_sync(gl);
    sync_ = gl.fence_sync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
    sync_value_ = issued_;
    gl.flush();
  }
  const GLenum state = gl.client_wait_sync(sync_, 0, 0);
  if (state == GL_TIMEOUT_EXPIRED) return;
  drop_sync(gl);
  if (state == GL_WAIT_FAILED || gl.get_graphics_reset_status() != GL_NO_ERROR) {
    return fail(Error(ErrorKind::device_lost,
                      fmt::format("The OpenGL context on \"{}\" is lost: glGetError is {}.",
                                  facts_.info.chip, gl_error_text(gl.get_error()))));
  }
  if (number_.poll() >= sync_value_) return;
  fail(Error(ErrorKind::device_lost,
             fmt::format("The device \"{}\" has done submit ({}), but its number is ({}).",
                         facts_.info.chip, sync_value_, number_.poll())));
}

void OpenglThread::drop_sync(const GlApi& gl) {
  if (sync_ != nullptr) gl.delete_sync(sync_);
  sync_ = nullptr;
}

void OpenglThread::fail(Error error) {
  const std::lock_guard lock(error_mutex_);
  if (error_.has_value()) return;
  error_ = std::move(error);
  failed_.store(true, std::memory_order_release);
  fence_.stop_waiting();
}

}  // namespace leat
