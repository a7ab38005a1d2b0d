// A stand-in for the amdgpu kernel driver with its compute side (KFD) and its render node (DRM):
// the checks of the newest kernel, memory that host and emulated GPU share, queues that are run by
// the packet processor. It lives in this process, keeps no global state and needs no rights.
// Sources: Linux drivers/gpu/drm/amd/amdkfd/{kfd_chardev,kfd_queue,kfd_events}.c and
// drivers/gpu/drm/amd/amdgpu/{amdgpu_amdkfd_gpuvm,amdgpu_cs}.c.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/amd/amd_packets.h"
#include "tests/amd/fake_kfd_abi.h"

namespace leat::amd_card {

struct FakeCardOptions {
  std::string target = "gfx1100";
  uint32_t target_version = 110000;  // as in topology
  uint32_t compute_units = 84;
  uint32_t shader_engines = 6;
  uint32_t vgpr_bytes_per_cu = 0x60000;  // kfd_queue.c, by chip
  uint32_t kfd_minor = 17;
  uint64_t vram_bytes = uint64_t{4} << 30;
  bool has_large_bar = true;
  bool has_kfd = true;
  bool has_amdgpu = true;       // false: the render node is of another driver
  bool has_copy_queues = true;  // false: other processes have them all
  bool may_open = true;         // false: EACCES on both nodes
  bool exports_save_size = false;
  WaveOrder order = WaveOrder::forward;
};

/// Sizes of a queue's save area, kfd_queue.c.
struct SaveAreaSizes {
  uint64_t control_stack = 0;  // ctl_stack_size
  uint64_t save = 0;           // ctx_save_restore_size
  uint64_t debug = 0;
  uint64_t total = 0;  // what must be mapped
};
SaveAreaSizes save_area_of(const FakeCardOptions& options);

class FakeKfd {
 public:
  explicit FakeKfd(const FakeCardOptions& options = {});
  ~FakeKfd();
  FakeKfd(const FakeKfd&) = delete;
  FakeKfd& operator=(const FakeKfd&) = delete;

  // As their POSIX namesakes: -1 (or MAP_FAILED) and errno. mmap without a descriptor reserves
  // addresses from 0x2000_0000_0000 on, each followed by an unmapped gap.
  int open(const char* path);
  int close(int fd);
  int ioctl(int fd, unsigned long request, void* argument);
  void* mmap(void* address, size_t size, int protection, int flags, int fd, uint64_t offset);
  int munmap(void* address, size_t size);
  /// False with ENOENT when there is no such file of sysfs.
  bool read_file(const std::string& path, std::string& text);

  /// Looks at the doorbells and runs what was submitted. True when something ran.
  bool poll();
  /// Polls on a thread of its own until it is stopped.
  void start();
  void stop();

  // Faults by request.
  void hang(bool hung);  // queues stop reading; a destroy then takes until the preemption gives up
  void reset();          // the whole GPU: queues are dead, VRAM is lost
  void page_fault(uint64_t va);
  void lose_queue();  // the driver gives up the queues, or contexts, for an error of its own
  void lose_doorbells(uint32_t count) { lost_doorbells_ = count; }
  void interrupt_next(uint32_t count) { interrupted_ = count; }  // EINTR on MAP and WAIT_EVENTS
  void fail_next_destroy(int error) { destroy_error_ = error; }
  void refuse_nth(uint64_t n) { refuse_in_ = n; }  // the n-th ioctl from now on, with ENOMEM

  /// What went wrong on the GPU, oldest first; the packet processor's and emulator's sentences.
  std::vector<std::string> faults() const;
  GpuMemory& memory() { return memory_; }
  uint32_t launches() const;
  /// Linear copies of the copy engine.
  uint64_t copies() const;
  size_t live_buffers() const { return buffers_.size(); }
  size_t live_queues() const { return queues_.size(); }
  size_t open_descriptors() const { return fds_.size(); }
  uint64_t calls() const { return calls_; }
  static constexpr uint32_t kGpuId = 0x5a17;
  static constexpr uint32_t kRenderMinor = 128;

 private:
  struct Buffer;
  struct Queue;
  struct Event;
  struct DrmJob;
  enum class Node { kfd, render };
  struct Fd {
    Node node;
    bool has_vm = false;
  };

  int fail(int error);
  bool read_render_file(const std::string& path, std::string& text);
  int kfd_call(uint32_t request, void* argument);
  int acquire_vm(const KfdAcquireVm& in);
  int alloc_memory(KfdAllocMemory& in);
  int import_dma_buf(KfdImportDmaBuf& in);
  Buffer* import_file(int fd);  // a file of pages, which stands in for a dma-buf
  int free_memory(uint64_t handle);
  int map_memory(KfdMapMemory& in, bool maps);
  int create_event(KfdCreateEvent& in);
  int wait_events(KfdWaitEvents& in);
  int runtime_enable(const KfdRuntimeEnable& in);
  int create_queue(KfdCreateQueue& in);
  int check_queue_memory(const KfdCreateQueue& in);
  int check_save_area(const KfdCreateQueue& in);
  int destroy_queue(uint32_t id);
  int update_queue(void* argument);
  int drm_call(Fd& fd, uint32_t request, void* argument);
  int drm_version(DrmVersion& in);
  int drm_info(const DrmInfo& in);
  int gem_create(DrmGemCreate& in);
  int gem_userptr(DrmUserptr& in);
  int fd_to_handle(DrmFdToHandle& in);
  int gem_va(const DrmGemVa& in);
  int submit(DrmSubmit& in);
  int check_list(const DrmChunk& chunk, DrmJob& job);
  bool run_jobs();
  Result<void> run_job(const DrmJob& job);
  int wait_submit(DrmWaitSubmit& in);
  int context(DrmContext& in);

  Buffer* find_buffer(uint64_t handle);
  Buffer* mapping_at(uint64_t va);  // mapped to the GPU, begins there
  Buffer* mapping_around(uint64_t va);
  Buffer* new_buffer(uint64_t size);
  Buffer* new_buffer_of(int fd, uint64_t size);  // takes the descriptor
  bool map_to_gpu(Buffer& buffer, uint64_t va, uint8_t access);
  bool poll_queue(Queue& queue);
  Result<void> run_queue(Queue& queue, uint64_t written);
  void interrupt(uint32_t event_id);
  void fault(Queue* queue, const std::string& text, uint64_t va);
  void signal_event(uint32_t type, const KfdEventData& data);
  ProcessorOptions processor_options(bool is_drm) const;

  FakeCardOptions options_;
  GpuMemory memory_;
  std::map<int, Fd> fds_;
  std::map<uint64_t, std::unique_ptr<Buffer>> buffers_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<std::unique_ptr<Event>> events_;
  struct DrmState {
    uint64_t submitted = 0, done = 0;
    bool is_guilty = false;
  };
  std::map<uint32_t, DrmState> drm_contexts_;
  std::vector<std::unique_ptr<DrmJob>> drm_jobs_;
  DrmFault drm_fault_ = {};
  std::unique_ptr<PacketProcessor> drm_processor_;
  std::map<void*, size_t> reservations_;
  uint64_t* doorbells_ = nullptr;
  uint64_t* event_page_ = nullptr;
  int vm_fd_ = -1;
  bool runtime_enabled_ = false, hung_ = false, was_reset_ = false;
  uint64_t next_reservation_ = 0x200000000000;
  uint64_t vram_used_ = 0, calls_ = 0, refuse_in_ = 0, next_sequence_ = 0;
  uint32_t next_buffer_ = 1, next_queue_ = 0, next_context_ = 1;
  uint32_t lost_doorbells_ = 0, interrupted_ = 0;
  int destroy_error_ = 0, next_fd_ = 1000;
  std::vector<std::string> faults_;
  mutable std::recursive_mutex mutex_;
  std::thread poller_;
  std::atomic<bool> is_polling_{false};
};

}  // namespace leat::amd_card
