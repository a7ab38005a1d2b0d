// A stand-in for NVIDIA's kernel driver: descriptors, the tree of objects, controls and mappings,
// as strict as the real one where that is known. It fills the seam of the direct route, lives in
// this process and keeps no global state.
// Source of all numbers: open-gpu-kernel-modules 580.126.09, read apart from nvidia_rm_abi.h.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "leat/backend/nvidia/nvidia_os.h"
#include "tests/wire/mock_gpu_memory.h"

namespace leat::mock {

struct ChipOptions {
  std::string version = "580.159.04";
  std::string name = "Mock GH100";
  uint32_t channel = 0xC86F, usermode = 0xC661, compute = 0xCBC0, copy = 0xC8B5;
  uint32_t sm_version = 0x900;
  bool has_copy_engine = true;
  uint64_t video_bytes = uint64_t{4} << 30;
  uint32_t cards = 1;
  bool has_driver = true;
};

/// A channel as the engines see it.
struct ChannelObject {
  uint32_t handle = 0;
  uint32_t group = 0;
  uint32_t engine_type = 0;
  uint64_t ring_address = 0;
  uint32_t entries = 0;
  std::byte* userd = nullptr;
  std::byte* notifier = nullptr;
  uint32_t token = 0;
  uint32_t object_class = 0;  // of the engine object; 0: none
  bool is_scheduled = false;
  bool is_hung = false;  // its kernel never ends
};

class ResourceServer {
 public:
  ResourceServer(const ChipOptions& options, GpuMemory& memory);
  ~ResourceServer();

  int open(const char* path);
  int close(int fd);
  int ioctl(int fd, unsigned long request, void* argument);
  void* mmap(size_t size_bytes, int fd);
  int munmap(void* address, size_t size_bytes);

  const std::vector<std::unique_ptr<ChannelObject>>& channels() const { return channels_; }
  const std::byte* doorbell_page() const { return doorbell_page_; }
  const ChipOptions& options() const { return options_; }
  /// Statuses other than 0 that were answered, as "number status".
  const std::vector<std::string>& refusals() const { return refusals_; }
  size_t open_descriptors() const { return fds_.size(); }
  size_t live_objects() const { return objects_.size(); }
  uint64_t calls() const { return calls_; }
  /// Frees of a channel whose kernel had not been stopped: the driver waits for its end.
  uint64_t frees_of_hung() const { return frees_of_hung_; }
  /// Answers the next call of escape `number` with `status`.
  void refuse_next(uint32_t number, uint32_t status);
  /// Refuses the n-th open, request or mapping from now on, 1 being the next; frees are not
  /// counted.
  void refuse_nth(uint64_t n) { refuse_in_ = n; }
  /// Whether that has happened.
  bool has_refused() const { return refuse_in_ == 0; }
  size_t live_mappings() const { return live_mappings_; }

 private:
  struct Fd {
    bool is_control = false;
    uint32_t minor = 0;
    bool is_registered = false;
    std::byte* mapping = nullptr;  // what mmap returns
    uint64_t mapping_bytes = 0;
    bool was_mapped = false;
  };
  struct Object {
    uint32_t parent = 0;
    uint32_t object_class = 0;
    std::byte* pages = nullptr;
    uint64_t size_bytes = 0;
    uint64_t alignment = 0;
    uint64_t gpu_address = 0;  // of a virtual object, once mapped
    bool owns_pages = false;
    bool is_video = false;
    uint32_t engine_type = 0;  // of a group
    uint32_t va_space = 0;
  };

  bool refuses_now() { return refuse_in_ != 0 && --refuse_in_ == 0; }
  bool call(Fd& fd, uint32_t number, size_t size_bytes, void* argument);
  void card_info(void* argument) const;
  uint32_t alloc(void* argument);
  uint32_t make(uint32_t object_class, Object& object, void* params, uint32_t handle);
  uint32_t make_memory(Object& object, void* params);
  uint32_t make_channel(Object& object, const void* params, uint32_t handle);
  uint32_t make_engine(const Object& object, const void* params);
  uint32_t check_parent(uint32_t object_class, uint32_t parent) const;
  size_t params_bytes(uint32_t object_class) const;
  uint32_t alloc_os_descriptor(void* argument);
  uint32_t free(uint32_t handle);
  uint32_t map_memory(void* argument);
  uint32_t map_dma(void* argument, size_t size_bytes);
  uint32_t control(void* argument);
  uint32_t control_chip(uint32_t cmd, void* params);
  static uint32_t stop_channel(ChannelObject* channel);
  uint32_t control_channel(uint32_t object, uint32_t cmd, void* params);
  const Object* find(uint32_t handle) const;
  ChannelObject* find_channel(uint32_t handle);
  uint32_t take_handle(uint32_t wanted);

  ChipOptions options_;
  GpuMemory& memory_;
  std::map<int, Fd> fds_;
  int next_fd_ = 1000;
  std::map<uint32_t, Object> objects_;
  uint32_t client_ = 0;
  int client_fd_ = -1;  // the control descriptor it was made on
  uint32_t next_handle_ = 0xCAF00000;
  std::vector<std::unique_ptr<ChannelObject>> channels_;
  uint32_t next_channel_id_ = 4;
  std::byte* doorbell_page_ = nullptr;
  uint64_t video_bytes_used_ = 0;
  std::vector<std::string> refusals_;
  uint64_t calls_ = 0;
  uint64_t frees_of_hung_ = 0;
  uint32_t refused_number_ = 0, refused_status_ = 0;
  uint64_t refuse_in_ = 0;
  size_t live_mappings_ = 0;
};

}  // namespace leat::mock
