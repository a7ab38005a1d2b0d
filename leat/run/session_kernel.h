// A kernel that somebody wrote, on a device of a session.
#pragma once

#include <memory>
#include <string>

#include "leat/run/session.h"
#include "leat/run/user_kernel.h"

namespace leat {

class SessionKernel {
 public:
  /// On the device named, or the best. It dies before the session. `trusts`: no run is checked.
  /// Errors: those of the device; unsupported, when it lacks what the kernel uses.
  static Result<std::unique_ptr<SessionKernel>> load(Session& session, UserKernel kernel,
                                                     const std::string& device, bool trusts);
  SessionKernel(const SessionKernel&) = delete;
  SessionKernel& operator=(const SessionKernel&) = delete;
  ~SessionKernel();

  const UserKernel& kernel() const { return kernel_; }
  const DeviceInfo& device() const { return device_->device->info(); }

  /// In the interpreter, on copies; see UserKernel::check.
  Result<void> check(KernelArguments arguments);
  /// With the device to itself. The first run of a kernel that was not checked is checked, in time
  /// that no device takes. Errors: those of check and of LoadedKernel::run.
  Result<void> run(KernelArguments arguments);

  /// What `act(LoadedKernel&)` answers, with the device to itself.
  template <typename Act>
  auto alone(const Act& act) {
    const std::lock_guard lock(device_->mutex);
    return act(*loaded_);
  }

 private:
  SessionKernel(Session& session, UserKernel kernel)
      : session_(session), kernel_(std::move(kernel)) {}

  Session& session_;
  UserKernel kernel_;
  Session::OpenDevice* device_ = nullptr;
  std::unique_ptr<LoadedKernel> loaded_;
  bool is_checked_ = false;
};

}  // namespace leat
