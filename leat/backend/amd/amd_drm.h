// The render node of one card as this route speaks to it where there is no KFD: memory, and a queue
// whose submits are indirect buffers, handed over by a call each. User queues (AMDGPU_USERQ) would
// be a third way, with the ring and doorbell of amd_channel.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "leat/backend/amd/amd_drm_abi.h"
#include "leat/backend/amd/amd_os.h"
#include "leat/base/result.h"

namespace leat {

class AmdDrm {
 public:
  explicit AmdDrm(const AmdOs& os) : os_(os) {}
  ~AmdDrm();
  AmdDrm(const AmdDrm&) = delete;
  AmdDrm& operator=(const AmdDrm&) = delete;

  /// Errors: unsupported (no such file, no right, another driver).
  Result<void> open(uint32_t render_minor);
  bool is_open() const { return fd_ >= 0; }
  /// "DRM 3.57".
  std::string version() const;
  const drm::DeviceAnswer& device() const { return device_; }

  /// Memory by its handle. Errors: out_of_memory, io.
  Result<uint32_t> create(uint64_t size_bytes, uint64_t domain);
  Result<uint32_t> import(std::span<std::byte> pages);
  Result<uint32_t> import_dma_buf(int fd);
  Result<void> map(uint32_t handle, uint64_t address, uint64_t size_bytes, bool is_executable);
  void unmap(uint32_t handle, uint64_t address, uint64_t size_bytes);
  Result<std::byte*> map_host(uint32_t handle, uint64_t address, uint64_t size_bytes);
  void close(uint32_t handle);

  /// Errors: io.
  Result<uint32_t> open_context();
  void close_context(uint32_t context);
  /// Hands `buffers` over, to be run in this order; the number of the submit. Errors: io;
  /// device_lost, when the context is.
  Result<uint64_t> submit(uint32_t context, std::span<const drm::IndirectBuffer> buffers);
  /// Whether the submit is done.
  bool is_done(uint32_t context, uint64_t sequence, uint64_t timeout_ns);
  /// Errors: device_lost, when the context was in a reset, or its memory in a fault.
  Result<void> check(uint32_t context);

 private:
  int call_errno(uint32_t request, void* argument);
  Result<void> call(uint32_t request, void* argument, const char* what);

  const AmdOs& os_;
  int fd_ = -1;
  int32_t minor_ = 0;
  drm::DeviceAnswer device_ = {};
  drm::FaultAnswer last_fault_ = {};        // the driver tells of the last one for ever
  std::vector<drm::BufferEntry> imported_;  // not always valid: named in every submit
};

/// What stands for the channel: packets in a ring of their own, as indirect buffers.
class AmdDrmQueue {
 public:
  explicit AmdDrmQueue(AmdDrm& drm) : drm_(drm) {}
  ~AmdDrmQueue() { (void)close(); }
  AmdDrmQueue(const AmdDrmQueue&) = delete;
  AmdDrmQueue& operator=(const AmdDrmQueue&) = delete;

  /// `ring` is of kRingDwords, and outlives the queue. Errors: io.
  Result<void> open(std::byte* ring, uint64_t address);
  /// Errors: device_lost, when the GPU does not come to its end.
  Result<void> close();
  bool is_open() const { return is_open_.load(std::memory_order_acquire); }

  /// Where `dwords`, a multiple of drm::kBufferAlignment, are to be written before submit().
  std::byte* begin(uint32_t dwords);
  /// Hands over what was written: all of it, or the first `head` dwords, then the list, then the
  /// rest. `waits`: not before fire(), nor what comes behind it: a kernel's ring may not stand
  /// still, so it is the host that holds back.
  struct Call {
    uint32_t dwords = 0;
    uint32_t head = 0;
    uint64_t list = 0;
    uint32_t list_dwords = 0;
    bool waits = false;
  };
  void submit(const Call& call);
  void fire();

  /// Errors: device_lost. Any thread; a call, at most once in a while.
  Result<void> look_after();
  bool has_fault() const { return has_fault_.load(std::memory_order_acquire); }

  static constexpr uint32_t kRingDwords = 1u << 16;

 private:
  struct Held {
    drm::IndirectBuffer buffers[3];
    uint32_t count = 0;
  };
  static constexpr size_t kHeldMax = 512;  // as submits in flight
  static constexpr uint64_t kPauseNs = 1'000'000;

  void hand_over(const Held& held);
  void fail(const std::string& text);

  AmdDrm& drm_;
  std::byte* ring_ = nullptr;
  uint64_t address_ = 0;
  uint64_t written_ = 0;
  uint64_t begun_at_ = 0;
  uint32_t context_ = 0;
  uint64_t sequence_ = 0;
  bool waits_ = false;
  std::vector<Held> held_;
  std::atomic<bool> is_open_ = false;
  std::atomic<bool> has_fault_ = false;
  std::atomic<uint64_t> last_look_ns_ = 0;
  std::mutex mutex_;
  std::string text_;  // of the fault
};

}  // namespace leat
