// See session_kernel.h.
#include "leat/run/session_kernel.h"

#include <vector>

namespace leat {

Result<std::unique_ptr<SessionKernel>> SessionKernel::load(Session& session, UserKernel kernel,
                                                           const std::string& device, bool trusts) {
  std::unique_ptr<SessionKernel> made(new SessionKernel(session, std::move(kernel)));
  TRY_ASSIGN(made->device_,
             session.enter(device, compiled_networks(session.options_.cache_folder).check));
  made->is_checked_ = trusts;
  const std::lock_guard lock(made->device_->mutex);
  TRY_ASSIGN(made->loaded_, LoadedKernel::load(*made->device_->device, made->kernel_,
                                               {session.options_.cache_folder}));
  return made;
}

SessionKernel::~SessionKernel() {
  if (device_ == nullptr) return;
  {
    const std::lock_guard lock(device_->mutex);  // buffers are given back to the device
    loaded_.reset();
  }
  session_.leave(*device_, false);
}

Result<void> SessionKernel::check(KernelArguments arguments) {
  TRY(kernel_.check_arguments(arguments));
  std::vector<std::vector<std::byte>> copies;
  std::vector<std::span<std::byte>> spans;
  for (const std::span<std::byte> argument : arguments) {
    copies.emplace_back(argument.begin(), argument.end());
  }
  for (std::vector<std::byte>& copy : copies) spans.emplace_back(copy);
  const Result<KernelCheck> checked = kernel_.check(spans);
  if (!checked) return checked.error();
  is_checked_ = true;
  return {};
}

Result<void> SessionKernel::run(KernelArguments arguments) {
  if (!is_checked_) TRY(check(arguments));
  return alone([&](LoadedKernel& loaded) { return loaded.run(arguments); });
}

}  // namespace leat
