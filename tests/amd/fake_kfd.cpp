// The file level of the fake driver: nodes, descriptors, mappings, sysfs, and the doorbells.
#include "tests/amd/fake_kfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "tests/amd/fake_kfd_state.h"

namespace leat::amd_card {

namespace {

constexpr char kKfdPath[] = "/dev/kfd";
constexpr char kTopology[] = "/sys/devices/virtual/kfd/kfd/topology/nodes/";
constexpr uint64_t kDoorbellType = uint64_t{3} << 62;

}  // namespace

FakeKfd::FakeKfd(const FakeCardOptions& options) : options_(options) {
  doorbells_ = static_cast<uint64_t*>(
      ::mmap(nullptr, kDoorbellSlice, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  CHECK(doorbells_ != MAP_FAILED);
}

FakeKfd::~FakeKfd() {
  stop();
  queues_.clear();
  for (const auto& [handle, buffer] : buffers_) {
    if (buffer->memory_fd < 0) continue;
    ::munmap(buffer->host, buffer->size);
    ::close(buffer->memory_fd);
  }
  for (const auto& [address, size] : reservations_) ::munmap(address, size);
  ::munmap(doorbells_, kDoorbellSlice);
}

int FakeKfd::fail(int error) {
  errno = error;
  return -1;
}

int FakeKfd::open(const char* path) {
  const std::lock_guard lock(mutex_);
  const std::string name = path;
  const bool is_render = name == fmt::format("/dev/dri/renderD{}", kRenderMinor);
  if (!is_render && (name != kKfdPath || !options_.has_kfd)) return fail(ENOENT);
  if (!options_.may_open) return fail(EACCES);
  fds_[next_fd_] = Fd{is_render ? Node::render : Node::kfd};
  return next_fd_++;
}

int FakeKfd::close(int fd) {
  const std::lock_guard lock(mutex_);
  const auto found = fds_.find(fd);
  if (found == fds_.end()) return fail(EBADF);
  // Closing KFD ends the process's queues, as a process's end does.
  if (found->second.node == Node::kfd) queues_.clear();
  if (fd == vm_fd_) vm_fd_ = -1;
  fds_.erase(found);
  return 0;
}

int FakeKfd::ioctl(int fd, unsigned long request, void* argument) {
  const std::lock_guard lock(mutex_);
  ++calls_;
  const auto found = fds_.find(fd);
  if (found == fds_.end()) return fail(EBADF);
  if (argument == nullptr) return fail(EFAULT);
  if (refuse_in_ != 0 && --refuse_in_ == 0) return fail(ENOMEM);
  return found->second.node == Node::kfd ? kfd_call(uint32_t(request), argument)
                                         : drm_call(found->second, uint32_t(request), argument);
}

void* FakeKfd::mmap(void* address, size_t size, int protection, int flags, int fd,
                    uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto refuse = [&](int error) {
    errno = error;
    return MAP_FAILED;
  };
  if (size == 0) return refuse(EINVAL);
  if (fd < 0) {  // a reservation of addresses, from the range that captures use
    const uint64_t gap = kFakePage;
    void* wanted = reinterpret_cast<void*>(next_reservation_);
    void* made = ::mmap(wanted, size, protection, flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (made == MAP_FAILED) return made;
    next_reservation_ += (size + kFakePage - 1) / kFakePage * kFakePage + gap;
    reservations_[made] = size;
    return made;
  }
  const auto found = fds_.find(fd);
  if (found == fds_.end()) return refuse(EBADF);
  if (found->second.node == Node::kfd) {
    // kfd_doorbell.c: exactly the process's slice, at the offset that the queue's creation gave.
    if (size != kDoorbellSlice || (flags & MAP_SHARED) == 0 || queues_.empty()) {
      return refuse(EINVAL);
    }
    if (offset != (kDoorbellType | uint64_t{kGpuId} << 46)) return refuse(EINVAL);
    return doorbells_;
  }
  for (const auto& [handle, buffer] : buffers_) {
    if (buffer->mmap_offset != offset || buffer->memory_fd < 0) continue;
    const bool is_visible = (buffer->flags & kMemVram) == 0 || (buffer->flags & kMemPublic) != 0;
    if (size > buffer->size || (flags & MAP_SHARED) == 0) return refuse(EINVAL);
    if (!is_visible) return refuse(EPERM);
    return ::mmap(address, size, protection, flags, buffer->memory_fd, 0);
  }
  return refuse(EINVAL);
}

int FakeKfd::munmap(void* address, size_t size) {
  const std::lock_guard lock(mutex_);
  if (address == doorbells_) return size == kDoorbellSlice ? 0 : fail(EINVAL);
  reservations_.erase(address);
  return ::munmap(address, size);
}

bool FakeKfd::read_file(const std::string& path, std::string& text) {
  const std::string node = std::string(kTopology) + "1/";
  if (options_.has_kfd && path == std::string(kTopology) + "0/gpu_id") {
    text = "0\n";
  } else if (options_.has_kfd && path == node + "gpu_id") {
    text = fmt::format("{}\n", kGpuId);
  } else if (options_.has_kfd && path == node + "properties") {
    text = fmt::format(
        "simd_count {}\nsimd_per_cu 2\nnum_xcc 1\narray_count {}\nsimd_arrays_per_engine 2\n"
        "max_waves_per_simd 16\nmax_slots_scratch_cu 32\nlds_size_in_kb 64\nwave_front_size 32\n"
        "gfx_target_version {}\nvendor_id 4098\ndevice_id 29772\ndrm_render_minor {}\n"
        "num_cp_queues 8\nnum_sdma_engines 2\nlocal_mem_size {}\n",
        options_.compute_units * 2, options_.shader_engines * 2, options_.target_version,
        kRenderMinor, options_.vram_bytes);
    const SaveAreaSizes sizes = save_area_of(options_);
    if (options_.exports_save_size) {
      text += fmt::format("cwsr_size {}\nctl_stack_size {}\n", sizes.save, sizes.control_stack);
    }
  } else {
    return read_render_file(path, text);
  }
  return true;
}

/// What the render node's device shows of itself.
bool FakeKfd::read_render_file(const std::string& path, std::string& text) {
  const std::string device = fmt::format("/sys/class/drm/renderD{}/device/", kRenderMinor);
  const std::string part = device + "ip_discovery/die/0/11/0/";
  // gfx1101 and gfx1103 are numbered otherwise by the hardware: kfd_device.c.
  const uint32_t block = options_.target_version == 110001   ? 110003
                         : options_.target_version == 110003 ? 110001
                                                             : options_.target_version;
  if (path == device + "vendor") {
    text = "0x1002\n";
  } else if (path == device + "uevent") {
    text = "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n";
  } else if (path == device + "mem_info_vram_total") {
    text = fmt::format("{}\n", options_.vram_bytes);
  } else if (path == part + "major") {
    text = fmt::format("{}\n", block / 10000);
  } else if (path == part + "minor") {
    text = fmt::format("{}\n", block / 100 % 100);
  } else if (path == part + "revision") {
    text = fmt::format("{}\n", block % 100);
  } else {
    errno = ENOENT;
    return false;
  }
  return true;
}

void FakeKfd::start() {
  is_polling_ = true;
  poller_ = std::thread([this] {
    while (is_polling_) {
      if (!poll()) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
}

void FakeKfd::stop() {
  is_polling_ = false;
  if (poller_.joinable()) poller_.join();
}

bool FakeKfd::poll() {
  const std::lock_guard lock(mutex_);
  if (hung_ || was_reset_) return false;
  bool ran = run_jobs();
  for (const auto& queue : queues_) {
    if (!queue->is_dead && !queue->is_stopped) ran = poll_queue(*queue) || ran;
  }
  return ran;
}

bool FakeKfd::poll_queue(Queue& queue) {
  // A doorbell is a register that only tells of stores, so the same number may be stored again.
  const uint64_t bell = __atomic_exchange_n(&doorbells_[queue.slot], kNoStore, __ATOMIC_ACQ_REL);
  const bool has_rung = bell != kNoStore;
  const bool is_waiting =
      queue.sdma != nullptr ? queue.sdma->is_waiting() : queue.processor->is_waiting();
  if (!has_rung && !is_waiting) return false;
  if (has_rung && lost_doorbells_ > 0) {
    --lost_doorbells_;
    return false;
  }
  uint64_t written;
  const uint8_t* pointer = memory_.at(queue.made.write_pointer_va, 8, kRead);
  if (pointer == nullptr) return fault(&queue, "The write pointer is not mapped.", 0), true;
  std::memcpy(&written, pointer, 8);
  // A driver that goes on while it is looked at has stored the pointer of its next submission.
  if (has_rung && (bell > written || bell < queue.rung)) {
    fault(&queue,
          fmt::format("The doorbell ({}) is beyond the write pointer ({}), or goes back from ({}).",
                      bell, written, queue.rung),
          0);
    return true;
  }
  if (has_rung) queue.rung = bell;
  if (has_rung && queue.processor != nullptr) queue.processor->begin_submission();
  const uint64_t before = queue.read;
  const Result<void> done = run_queue(queue, queue.rung);
  if (!done) fault(&queue, done.error().message(), 0);
  return !done || queue.read != before;
}

/// Runs up to the write pointer and publishes the read pointer: an index in words for PM4, which
/// wraps at the ring's size, and the count of bytes for SDMA.
Result<void> FakeKfd::run_queue(Queue& queue, uint64_t written) {
  const KfdCreateQueue& made = queue.made;
  const bool is_sdma = queue.sdma != nullptr;
  const uint64_t size_dw = made.ring_size / 4;
  Result<void> done = is_sdma
                          ? queue.sdma->run_ring(made.ring_va, made.ring_size, queue.read, written)
                          : queue.processor->run_ring(made.ring_va, size_dw, queue.read, written);
  const uint64_t index = is_sdma ? queue.read : queue.read % size_dw;
  const uint64_t size = is_sdma ? 8 : 4;
  uint8_t* pointer = memory_.at(made.read_pointer_va, size, kWrite);
  if (pointer != nullptr) std::memcpy(pointer, &index, size);
  return done;
}

uint64_t FakeKfd::copies() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& queue : queues_) {
    if (queue->sdma != nullptr) sum += queue->sdma->copies();
  }
  return sum;
}

uint32_t FakeKfd::launches() const {
  const std::lock_guard lock(mutex_);
  uint32_t sum = drm_processor_ != nullptr ? drm_processor_->launches() : 0;
  for (const auto& queue : queues_) {
    if (queue->processor != nullptr) sum += queue->processor->launches();
  }
  return sum;
}

std::vector<std::string> FakeKfd::faults() const {
  const std::lock_guard lock(mutex_);
  return faults_;
}

}  // namespace leat::amd_card
