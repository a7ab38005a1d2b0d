// Source: Linux amdkfd/kfd_chardev.c (what fails with which errno), kfd_events.c; rights:
// systemd's 50-udev-default.rules.
#include "leat/backend/amd/amd_kfd.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "leat/device/spin.h"

namespace leat {

namespace {

constexpr char kKfdPath[] = "/dev/kfd";
// Linux 6.1: one save area for all XCCs. Kernels before it are not known to drive gfx11.
constexpr uint32_t kMajor = 1, kMinorLeast = 11;
constexpr int kInterruptsMax = 1000;

}  // namespace

AmdKfd::~AmdKfd() {
  if (render_ >= 0) os_.close(os_.context, render_);
  if (kfd_ >= 0) os_.close(os_.context, kfd_);
}

Result<void> AmdKfd::open() {
  kfd_ = os_.open(os_.context, kKfdPath);
  if (kfd_ < 0) return cannot_open(kKfdPath, errno);
  TRY(call(kfd::kGetVersion, version_, "its version"));
  if (version_.major == kMajor && version_.minor >= kMinorLeast) return {};
  return Error(ErrorKind::unsupported, fmt::format("{} is not version {}.{} or a later minor one.",
                                                   version(), kMajor, kMinorLeast));
}

Result<void> AmdKfd::open_render(const AmdCard& card) {
  const std::string path = fmt::format("/dev/dri/renderD{}", card.render_minor);
  render_ = os_.open(os_.context, path.c_str());
  if (render_ >= 0) return {};
  return cannot_open(path, errno);
}

Result<void> AmdKfd::acquire_vm(const AmdCard& card) {
  gpu_id_ = card.gpu_id;
  kfd::AcquireVm acquire = {static_cast<uint32_t>(render_), gpu_id_};
  return call(kfd::kAcquireVm, acquire, "an address space");
}

std::string AmdKfd::version() const {
  return fmt::format("KFD {}.{}", version_.major, version_.minor);
}

int AmdKfd::call_errno(uint32_t request, void* argument) {
  for (int i = 0; i < kInterruptsMax; ++i) {
    if (os_.ioctl(os_.context, kfd_, request, argument) == 0) return 0;
    if (errno != EINTR) return errno;
  }
  return EINTR;
}

Result<void> AmdKfd::checked(uint32_t request, void* argument, const char* what) {
  const int error = call_errno(request, argument);
  if (error == 0) return {};
  return Error(error == ENOMEM ? ErrorKind::out_of_memory : ErrorKind::io,
               fmt::format("KFD refuses {} ({}).", what, std::strerror(error)));
}

Result<std::byte*> AmdKfd::map(void* address, uint64_t size_bytes, int fd, uint64_t offset) {
  const int flags = MAP_SHARED | (address != nullptr ? MAP_FIXED : 0);
  void* mapped =
      os_.mmap(os_.context, address, size_bytes, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (mapped != nullptr) return static_cast<std::byte*>(mapped);
  return Error(ErrorKind::io, fmt::format("The driver maps no ({}) bytes for the host ({}).",
                                          size_bytes, std::strerror(errno)));
}

Result<std::byte*> AmdKfd::map_memory(void* address, uint64_t size_bytes, uint64_t offset) {
  return map(address, size_bytes, render_, offset);
}

Result<std::byte*> AmdKfd::map_doorbells(uint64_t offset) {
  return map(nullptr, kfd::kDoorbellBytes, kfd_, offset);
}

// --- Faults -------------------------------------------------------------------------------------

AmdFaultEvents::~AmdFaultEvents() {
  for (const uint32_t id : {memory_event_, reset_event_}) {
    kfd::EventId event = {id, 0};
    if (id != 0) (void)kfd_.call_errno(kfd::kDestroyEvent, &event);
  }
}

// EINVAL: the process has its page, from when the device was opened before.
Result<uint32_t> AmdFaultEvents::create(uint32_t type, uint64_t& page_handle) {
  kfd::CreateEvent event = {page_handle, 0, type, 0, 0, 0, 0};
  if (kfd_.call_errno(kfd::kCreateEvent, &event) == 0) return event.event_id;
  event.page_handle = page_handle = 0;
  TRY(kfd_.call(kfd::kCreateEvent, event, "an event"));
  return event.event_id;
}

Result<bool> AmdFaultEvents::open(uint64_t page_handle) {
  TRY_ASSIGN(memory_event_, create(kfd::kEventMemory, page_handle));
  uint64_t no_page = 0;
  TRY_ASSIGN(reset_event_, create(kfd::kEventHwException, no_page));
  return page_handle != 0;
}

Result<void> AmdFaultEvents::look() {
  const uint64_t now_ns = steady_now_ns();
  uint64_t last_ns = last_look_ns_.load(std::memory_order_relaxed);
  const bool is_due = now_ns - last_ns >= kPauseNs;
  if (!has_fault() && is_due && last_look_ns_.compare_exchange_strong(last_ns, now_ns)) {
    for (const uint32_t id : {memory_event_, reset_event_}) {
      kfd::EventData data = {};
      data.event_id = id;
      kfd::WaitEvents wait = {reinterpret_cast<uint64_t>(&data), 1, 1, 0, ~0u};
      if (kfd_.call_errno(kfd::kWaitEvents, &wait) != 0 || wait.result != kfd::kWaitComplete) {
        continue;
      }
      const std::lock_guard lock(mutex_);
      text_ = id == reset_event_
                  ? "The GPU was reset."
                  : fmt::format("The GPU faults at address (0x{:x}): {}.", data.address,
                                data.not_present != 0 ? "not mapped" : "no right");
      has_fault_.store(true, std::memory_order_release);
    }
  }
  if (!has_fault()) return {};
  const std::lock_guard lock(mutex_);
  return Error(ErrorKind::device_lost, text_);
}

void AmdFaultEvents::forget() {
  for (const uint32_t id : {memory_event_, reset_event_}) {
    kfd::EventId event = {id, 0};
    if (id != 0) (void)kfd_.call_errno(kfd::kResetEvent, &event);
  }
  has_fault_.store(false, std::memory_order_release);
}

}  // namespace leat
