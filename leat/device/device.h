// The one virtual seam: a Device is an opened chip reached by one route. It owns its queue, its
// kernels and its memory. A backend implements the interfaces of this file, one level, nothing
// below.
//
// Threading: a Device and what it made are used by one thread at a time, save Fence::poll and
// Fence::wait, which any thread may call.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/device/fence.h"
#include "leat/device/fence_pool.h"
#include "leat/device/memory_facts.h"

namespace leat {

class Device;

/// A way to reach a device, in the order in which they are preferred.
enum class Route : uint8_t { direct, cuda, vulkan, opengl, native, null };
std::string_view name_of(Route route);

/// Where memory is placed. `shared` is mapped for the host for its whole life and visible to the
/// device without a copy; `device` is the fastest for kernels and may have no host pointer.
enum class MemoryKind : uint8_t { device, shared };

/// A range of memory, owned. Freed memory is kept until the queue's last submit is done.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device* device, uint64_t handle, size_t size_bytes, std::byte* host_pointer)
      : device_(device), handle_(handle), size_bytes_(size_bytes), host_pointer_(host_pointer) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { release(); }

  size_t size_bytes() const { return size_bytes_; }
  /// Null when the host cannot see it.
  std::byte* host_pointer() const { return host_pointer_; }
  /// The backend's own number for it; only the device that made it understands it.
  uint64_t handle() const { return handle_; }
  Device* device() const { return device_; }
  explicit operator bool() const { return device_ != nullptr; }

 private:
  void release();

  Device* device_ = nullptr;
  uint64_t handle_ = 0;
  size_t size_bytes_ = 0;
  std::byte* host_pointer_ = nullptr;
};

/// Borrowed part of a buffer. Offsets are multiples of kBufferAlignment for kernel arguments.
struct BufferRange {
  const Buffer* buffer = nullptr;
  size_t offset_bytes = 0;
  size_t size_bytes = 0;
};
inline constexpr size_t kBufferAlignment = 256;
/// That the range lies in its buffer, which is `owner`'s where that is given. Errors:
/// invalid_argument.
Result<void> check_range(const BufferRange& range, const Device* owner = nullptr);
/// That memory to be imported is there, and aligned as Device::import_host wants it. Errors:
/// invalid_argument.
Result<void> check_import(std::span<const std::byte> memory, size_t alignment_bytes);

/// Workgroups along x, y and z.
using Grid = std::array<uint32_t, 3>;

/// A kernel loaded on a device.
class Kernel {
 public:
  virtual ~Kernel() = default;
  const std::string& name() const { return name_; }
  std::span<const KernelArgument> arguments() const { return arguments_; }
  const Grid& grid() const { return grid_; }
  Grid grid_with(uint32_t groups_x) const { return {groups_x, grid_[1], grid_[2]}; }

 protected:
  explicit Kernel(const KernelBinary& binary)
      : name_(binary.name),
        grid_{binary.grid[0], binary.grid[1], binary.grid[2]},
        arguments_(binary.arguments) {}

 private:
  std::string name_;
  Grid grid_;
  std::vector<KernelArgument> arguments_;
};

/// Work recorded once and replayed by one submit. It lives until its last replay has passed its
/// fence, and so does what it uses.
class RecordedList {
 public:
  virtual ~RecordedList() = default;
};

/// Ordered commands on one device: each sees what all earlier ones wrote, and none sees what a
/// later one writes. Launches that touch no memory in common may run at the same time; a copy
/// starts after all earlier commands are done, so that one at the end of a list tells its end.
class Queue {
 public:
  virtual ~Queue() = default;

  /// What the queue has done so far, for reports.
  struct Counts {
    uint64_t submits = 0;             // replays included
    uint64_t replays = 0;             // submits of a recorded list
    uint64_t descriptor_updates = 0;  // writes of descriptors or binding calls, at any time
  };

  /// Runs the kernel's grid of workgroups. `arguments` stand in the kernel's order.
  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
    return launch(kernel, arguments, kernel.grid()[0]);
  }
  /// The same with so many workgroups along x: at least one, and fewer than the kernel has only
  /// where it has one along y and z.
  virtual Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                              uint32_t groups_x) = 0;
  /// Copies size_bytes of source to target (same device; no overlap; sizes equal).
  virtual Result<void> copy(BufferRange target, BufferRange source) = 0;
  /// Takes the device's time into `slot` (< kTimeSlots) once all earlier commands are done.
  virtual Result<void> mark_time(uint32_t slot) = 0;
  /// Hands everything since the last submit to the device; returns the fence value of its end.
  virtual Result<uint64_t> submit() = 0;

  /// Between begin_record and end_record commands go to a list and none is executed.
  virtual Result<void> begin_record() = 0;
  virtual Result<std::unique_ptr<RecordedList>> end_record() = 0;
  /// Submits a recorded list; returns the fence value of its end. A list is not replayed again
  /// before its last replay has passed its fence.
  virtual Result<uint64_t> replay(RecordedList& list) = 0;

  /// As replay, but the device, having read the submit, waits for fire() before it starts: the
  /// shortest way from the host's decision to a kernel that runs. Nothing else starts meanwhile.
  /// Errors: unsupported, where a queue cannot wait so.
  virtual Result<uint64_t> arm(RecordedList& list);
  /// Starts all that is armed.
  virtual void fire() {}
  /// Gives up all work that is not done, after a fault or a deadline: waiting for its fence values
  /// is device_lost from then on; the queue, the memory and what was loaded or recorded can be used
  /// again. Errors: unsupported; device_lost, when the device cannot be brought back.
  virtual Result<void> abandon();

  virtual Fence& fence() = 0;
  /// Nanoseconds on the device's clock taken by mark_time. Valid once that submit's fence passed.
  virtual Result<uint64_t> time_ns(uint32_t slot) = 0;

  /// How programs wait that do not look at a number; see naive_wait.
  enum class NaiveWait : uint8_t {
    fence,  // in the driver, for the last submit: vkWaitSemaphores, glFenceSync + glClientWaitSync
    idle,   // for everything: vkQueueWaitIdle, glFinish
  };
  /// Waits for the last submit in the way that others do. For benchmarks to compare with: nothing
  /// else in this tree calls it. Errors: unsupported, device_lost.
  virtual Result<void> naive_wait(NaiveWait) {
    return Error(ErrorKind::unsupported, "This route has no other way to wait.");
  }
  /// All zero where a backend does not count.
  virtual Counts counts() const { return {}; }

  static constexpr uint32_t kTimeSlots = 1024;
};

/// Facts for people and for choosing a device.
struct DeviceInfo {
  std::string name;  // "gpu0:vulkan", "cpu"
  std::string chip;  // "NVIDIA H200", "llvmpipe (LLVM 15.0.6, 256 bits)"
  std::string vendor;
  std::string driver;  // name and version of the driver
  Route route = Route::native;
  bool software = false;
  bool unified_memory = false;
  uint64_t memory_bytes = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceInfo& info() const = 0;
  virtual const Target& target() const = 0;
  virtual Queue& queue() = 0;

  /// size_bytes > 0. Contents are undefined. Errors: out_of_memory, invalid_argument.
  virtual Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) = 0;
  /// The binary must have this device's code format. Errors: invalid_argument, io (driver refuses).
  virtual Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) = 0;

  /// Called by ~Buffer; frees now or once the queue's last submit is done. Never waits.
  virtual void free_buffer(uint64_t handle) = 0;

  /// What the device says of its memory.
  virtual MemoryFacts memory_facts() const;
  /// Device memory that the host writes through a window; reading it from the host is slow.
  /// Errors: unsupported, when there is none; out_of_memory.
  virtual Result<Buffer> allocate_window(size_t size_bytes);
  /// Makes memory that the caller has a buffer, in place: nothing is copied. Address and size are
  /// multiples of memory_facts().import_alignment_bytes. The memory outlives the buffer and the
  /// work that uses it. Errors: unsupported, invalid_argument, io.
  virtual Result<Buffer> import_host(std::span<std::byte> memory);
  /// The same for a dma-buf's file descriptor, which stays the caller's. Errors: as import_host.
  virtual Result<Buffer> import_dma_buf(int fd, size_t size_bytes);
  /// Device memory that export_dma_buf takes. Errors: unsupported, out_of_memory.
  virtual Result<Buffer> allocate_exportable(size_t size_bytes);
  /// A new file descriptor of the buffer's memory, which the caller closes. Errors: unsupported,
  /// io.
  virtual Result<int> export_dma_buf(const Buffer& buffer);

  /// Fences for work that has not been submitted yet; sized when the device is opened.
  FencePool& fences() { return fences_; }
  /// For who opens the device: none of its fences is in use.
  void size_fences(size_t count);

 private:
  FencePool fences_;
};

/// Copies between host bytes and a buffer, through host_pointer() when there is one, else through a
/// shared buffer and the queue; waits for its end. For set-up and results, not for the hot path.
/// Every byte staged (copied twice) is added to `*staged_bytes` when that is not null.
Result<void> write_buffer(Device& device, BufferRange target, std::span<const std::byte> bytes,
                          uint64_t* staged_bytes = nullptr);
Result<void> read_buffer(Device& device, BufferRange source, std::span<std::byte> bytes,
                         uint64_t* staged_bytes = nullptr);
/// The same between two buffers of the device, by the queue.
Result<void> copy_buffer(Device& device, BufferRange target, BufferRange source);

/// How long a wait for a command lasts before a device counts as hung.
inline constexpr uint64_t kHangTimeoutNs = 120'000'000'000ull;
/// The same for work of any length: a CPU, or a renderer that runs on one, may need an hour for
/// what a GPU does in seconds.
uint64_t hang_timeout_ns(const Device& device);
uint64_t hang_timeout_ns(const DeviceInfo& info, const Target& target);

}  // namespace leat
