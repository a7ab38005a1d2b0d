// The kernel driver as this route speaks to it: the two device files of one card, and its calls
// with our words for what they refuse. Calls that a signal interrupts are made again.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "leat/backend/amd/amd_card.h"
#include "leat/backend/amd/amd_kfd_abi.h"

namespace leat {

class AmdKfd {
 public:
  explicit AmdKfd(const AmdOs& os) : os_(os) {}
  ~AmdKfd();
  AmdKfd(const AmdKfd&) = delete;
  AmdKfd& operator=(const AmdKfd&) = delete;

  /// Opens /dev/kfd. Errors: unsupported (no such file, no right, a version that is too old).
  Result<void> open();
  /// Opens the card's render node. Errors: unsupported.
  Result<void> open_render(const AmdCard& card);
  /// Makes the render node's address space one for compute, until the process ends. Errors: io.
  Result<void> acquire_vm(const AmdCard& card);
  /// "KFD 1.17".
  std::string version() const;

  /// One call. Errors: out_of_memory for ENOMEM, else io: "KFD refuses <what> (<reason>)."
  template <typename Argument>
  Result<void> call(uint32_t request, Argument& argument, const char* what) {
    return checked(request, &argument, what);
  }
  /// The same as an errno, 0 for success.
  int call_errno(uint32_t request, void* argument);
  /// Maps memory of the card's render node, or doorbells (of /dev/kfd). Errors: io.
  Result<std::byte*> map_memory(void* address, uint64_t size_bytes, uint64_t offset);
  Result<std::byte*> map_doorbells(uint64_t offset);

  const AmdOs& os() const { return os_; }
  uint32_t gpu_id() const { return gpu_id_; }

 private:
  Result<void> checked(uint32_t request, void* argument, const char* what);
  Result<std::byte*> map(void* address, uint64_t size_bytes, int fd, uint64_t offset);

  const AmdOs& os_;
  int kfd_ = -1;
  int render_ = -1;
  uint32_t gpu_id_ = 0;
  kfd::Version version_ = {};
};

/// Page faults and resets, as the kernel tells of them. Asking costs a call, so it is done at most
/// once in a while. Any thread may ask.
class AmdFaultEvents {
 public:
  explicit AmdFaultEvents(AmdKfd& kfd) : kfd_(kfd) {}
  ~AmdFaultEvents();
  AmdFaultEvents(const AmdFaultEvents&) = delete;
  AmdFaultEvents& operator=(const AmdFaultEvents&) = delete;

  /// `page_handle` is of memory of kEventPageBytes, mapped for the GPU. Whether the driver keeps
  /// it, as it does with that of the process's first event. Errors: io.
  Result<bool> open(uint64_t page_handle);
  /// Errors: device_lost, once there was a fault.
  Result<void> look();
  bool has_fault() const { return has_fault_.load(std::memory_order_acquire); }
  /// What was told is over.
  void forget();

 private:
  static constexpr uint64_t kPauseNs = 1'000'000;

  /// `page_handle` becomes 0 where the driver has a page already.
  Result<uint32_t> create(uint32_t type, uint64_t& page_handle);

  AmdKfd& kfd_;
  uint32_t memory_event_ = 0;
  uint32_t reset_event_ = 0;
  std::atomic<uint64_t> last_look_ns_ = 0;
  std::atomic<bool> has_fault_ = false;
  std::mutex mutex_;
  std::string text_;  // of the fault
};

}  // namespace leat
