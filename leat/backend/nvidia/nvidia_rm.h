// Client of the kernel driver's resource manager (RM): objects in a tree, controls on them, memory
// mapped for the host and for the GPU. Every call is one ioctl; the verdict is the call's own errno
// or the status inside the struct, and both are looked at.
#pragma once

#include <string>
#include <vector>

#include "leat/backend/nvidia/nvidia_branch.h"
#include "leat/backend/nvidia/nvidia_os.h"
#include "leat/backend/nvidia/nvidia_rm_abi.h"
#include "leat/base/result.h"

namespace leat {

/// A file descriptor of the seam, closed with its owner.
class NvidiaFd {
 public:
  NvidiaFd() = default;
  NvidiaFd(const NvidiaOs& os, int fd) : os_(&os), fd_(fd) {}
  NvidiaFd(NvidiaFd&& other) noexcept { *this = std::move(other); }
  NvidiaFd& operator=(NvidiaFd&& other) noexcept;
  ~NvidiaFd();
  int get() const { return fd_; }

 private:
  const NvidiaOs* os_ = nullptr;
  int fd_ = -1;
};

/// The name of an NV_STATUS, "INVALID_CLASS", or its number.
std::string name_of_status(uint32_t status);

class NvidiaRm {
 public:
  explicit NvidiaRm(const NvidiaOs& os) : os_(os) {}
  ~NvidiaRm() = default;
  NvidiaRm(const NvidiaRm&) = delete;
  NvidiaRm& operator=(const NvidiaRm&) = delete;

  /// Opens the control node and asks for the driver's version.
  /// Errors: unsupported (no driver, unknown branch), io.
  Result<void> open_control();
  const std::string& version() const { return version_; }
  const NvidiaBranch& branch() const { return branch_; }
  Result<std::vector<rm::CardInfo>> cards();

  /// Opens the node of a card and makes client, device and subdevice. Closing does all teardown.
  Result<void> open_card(const rm::CardInfo& card);
  uint32_t client() const { return client_; }
  uint32_t device() const { return device_; }
  uint32_t subdevice() const { return subdevice_; }

  /// A new object; its handle. `params` may be null.
  Result<uint32_t> alloc(uint32_t parent, uint32_t object_class, const void* params,
                         size_t params_bytes, const char* what);
  template <typename Params>
  Result<uint32_t> alloc(uint32_t parent, uint32_t object_class, const Params& params,
                         const char* what) {
    return alloc(parent, object_class, &params, sizeof params, what);
  }
  /// Errors go to the caller, who is usually tearing down and ignores them.
  Result<void> free(uint32_t parent, uint32_t object);
  Result<void> control(uint32_t object, uint32_t cmd, void* params, size_t params_bytes,
                       const char* what);
  template <typename Params>
  Result<void> control(uint32_t object, uint32_t cmd, Params& params, const char* what) {
    return control(object, cmd, &params, sizeof params, what);
  }

  /// Pages of the caller as a memory object.
  Result<uint32_t> alloc_os_descriptor(void* pages, size_t size_bytes);
  /// Maps a memory object into the GPU's address space through the virtual object `virtual_memory`;
  /// RM chooses the address.
  Result<uint64_t> map_to_gpu(uint32_t virtual_memory, uint32_t memory, size_t size_bytes);
  /// Maps a memory object for the host. `on_card`: video memory and registers, else RM's own system
  /// memory.
  Result<void*> map_to_host(uint32_t memory, size_t size_bytes, bool on_card);

  const NvidiaOs& os() const { return os_; }

 private:
  Result<void> call(int fd, uint32_t number, void* params, size_t params_bytes, const char* what);
  Result<NvidiaFd> open_node(const std::string& path);
  Result<NvidiaFd> open_card_node();
  template <typename Params>
  Result<uint64_t> map_dma(Params params);

  const NvidiaOs& os_;
  NvidiaFd control_fd_;
  NvidiaFd card_fd_;
  std::string card_path_;
  std::string version_;
  NvidiaBranch branch_;
  uint32_t client_ = 0;
  uint32_t device_ = 0;
  uint32_t subdevice_ = 0;
  uint32_t next_handle_ = 0x1001;  // RM's own numbers start at 0xCAF00000; these never collide
};

}  // namespace leat
