// Sources. Compute units and shader engines of the cards named: AMD's product pages and RDNA
// reference slides. What calls answer: Linux amdkfd/kfd_chardev.c.
#include "leat/backend/amd/amd_recording_os.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "leat/backend/amd/amd_decode.h"
#include "leat/backend/amd/amd_pm4.h"
#include "leat/device/spin.h"

namespace leat {

namespace {

constexpr uint64_t kFirstAddress = 0x200000000000;
constexpr int kReserveTriesMax = 64;  // other recorders of the process lie where this one begins
constexpr uint64_t kReserveStep = uint64_t{1} << 36;
constexpr int kKfdFd = 1, kRenderFd = 2;
constexpr uint32_t kGpuId = 0x1ea7, kRenderMinor = 128, kKfdMinor = 17, kWaitTimeout = 1;

/// The largest card of a chip.
struct CardSize {
  uint32_t version, compute_units, shader_engines;
};
constexpr CardSize kSizes[] = {
    {110000, 84, 6},  // Radeon RX 7900 XT
    {110001, 60, 3},  // Radeon RX 7800 XT
    {110002, 32, 2},  // Radeon RX 7600
    {110003, 12, 1},  // Radeon 780M
    {110500, 16, 1},  // Radeon 890M
    {110501, 40, 2},  // Radeon 8060S
    {110502, 8, 1},   // Radeon 860M
    {120000, 32, 2},  // Radeon RX 9060 XT
    {120001, 64, 4},  // Radeon RX 9070 XT
};

std::string access_of(uint32_t flags) {
  std::string access = "r";
  if ((flags & kfd::kWritable) != 0) access += 'w';
  if ((flags & kfd::kExecutable) != 0) access += 'x';
  return access;
}

/// What fresh memory holds: nobody may count on zeros in the card's own, though a driver clears it,
/// and floats of this are large negative numbers.
std::byte fill_of(uint32_t flags) {
  return (flags & kfd::kVram) != 0 ? std::byte{0xf5} : std::byte{0};
}

}  // namespace

AmdRecordingOs::AmdRecordingOs(const AmdChip& chip)
    : chip_(chip),
      doorbells_(std::make_unique<uint64_t[]>(kfd::kDoorbellBytes / sizeof(uint64_t))),
      next_address_(kFirstAddress) {
  table_.context = this;
  table_.open = [](void*, const char* path) {
    return std::string_view(path) == "/dev/kfd" ? kKfdFd : kRenderFd;
  };
  table_.close = [](void*, int) { return 0; };
  table_.ioctl = [](void* context, int, unsigned long request, void* argument) {
    const int error = self(context).call(static_cast<uint32_t>(request), argument);
    if (error == 0) return 0;
    errno = error;
    return -1;
  };
  // Memory has its pages since it was allocated, so that of a descriptor only doorbells are left.
  table_.mmap = [](void* context, void* address, size_t size_bytes, int, int, int fd,
                   uint64_t) -> void* {
    if (fd == kKfdFd) return self(context).doorbells_.get();
    return fd == kRenderFd ? address : self(context).reserve(size_bytes);
  };
  table_.munmap = [](void* context, void* address, size_t size_bytes) {
    const bool is_reserved = self(context).reserved_.erase(reinterpret_cast<uint64_t>(address)) > 0;
    return is_reserved ? ::munmap(address, size_bytes) : 0;
  };
  table_.read_file = [](void* context, const std::string& path, std::string& text) {
    return self(context).read_file(path, text);
  };
}

AmdRecordingOs::~AmdRecordingOs() {
  for (const auto& [address, size_bytes] : reserved_) {
    ::munmap(reinterpret_cast<void*>(address), size_bytes);
  }
}

void* AmdRecordingOs::reserve(size_t size_bytes) {
  for (int i = 0; i < kReserveTriesMax; ++i) {
    void* wanted = reinterpret_cast<void*>(next_address_);
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    void* made = ::mmap(wanted, size_bytes, PROT_NONE, kFlags, -1, 0);
    if (made == wanted) {
      reserved_[next_address_] = size_bytes;
      next_address_ += round_up(size_bytes, kfd::kPageBytes) + kfd::kPageBytes;
      return made;
    }
    if (made != MAP_FAILED) ::munmap(made, size_bytes);
    next_address_ += kReserveStep;
  }
  return nullptr;
}

bool AmdRecordingOs::read_file(const std::string& path, std::string& text) const {
  const auto* size = std::ranges::find(kSizes, chip_.version, &CardSize::version);
  CHECK(size != std::end(kSizes));
  if (path.ends_with("/nodes/0/gpu_id")) {
    text = fmt::format("{}\n", kGpuId);
  } else if (path.ends_with("/nodes/0/properties")) {
    text = fmt::format(
        "simd_count {}\nsimd_per_cu 2\nnum_xcc 1\narray_count {}\nsimd_arrays_per_engine 2\n"
        "max_slots_scratch_cu 32\ngfx_target_version {}\ndrm_render_minor {}\n",
        size->compute_units * 2, size->shader_engines * 2, chip_.version, kRenderMinor);
  } else {
    errno = ENOENT;
    return false;
  }
  return true;
}

// --- Calls --------------------------------------------------------------------------------------

int AmdRecordingOs::call(uint32_t request, void* argument) {
  const std::lock_guard lock(mutex_);
  switch (request) {
    case kfd::kGetVersion: *static_cast<kfd::Version*>(argument) = {1, kKfdMinor}; return 0;
    case kfd::kAllocMemory: return allocate(*static_cast<kfd::AllocMemory*>(argument));
    case kfd::kFreeMemory: memory_.erase(*static_cast<uint64_t*>(argument)); return 0;
    case kfd::kMapMemory: return map(*static_cast<kfd::MapMemory*>(argument), true);
    case kfd::kUnmapMemory: return map(*static_cast<kfd::MapMemory*>(argument), false);
    case kfd::kCreateQueue: return create_queue(*static_cast<kfd::CreateQueue*>(argument));
    case kfd::kDestroyQueue: has_queue_ = false; return 0;
    case kfd::kCreateEvent:
      static_cast<kfd::CreateEvent*>(argument)->event_id = next_event_++;
      return 0;
    case kfd::kWaitEvents:
      static_cast<kfd::WaitEvents*>(argument)->result = kWaitTimeout;
      go_on();
      return 0;
    case kfd::kAcquireVm:
    case kfd::kDestroyEvent:
    case kfd::kResetEvent: return 0;
    default: return ENOTTY;
  }
}

int AmdRecordingOs::allocate(kfd::AllocMemory& memory) {
  Memory made = {memory.address, memory.size_bytes, nullptr, memory.flags, false};
  const bool is_callers = (memory.flags & kfd::kUserptr) != 0;
  made.host = reinterpret_cast<std::byte*>(is_callers ? memory.mmap_offset : memory.address);
  if (!is_callers && ::mprotect(made.host, made.size_bytes, PROT_READ | PROT_WRITE) != 0) {
    return errno;
  }
  if (!is_callers) std::memset(made.host, static_cast<int>(fill_of(made.flags)), made.size_bytes);
  memory.handle = next_handle_++;
  memory_[memory.handle] = made;
  return 0;
}

int AmdRecordingOs::map(const kfd::MapMemory& memory, bool is_mapped) {
  const auto found = memory_.find(memory.handle);
  if (found == memory_.end()) return EINVAL;
  found->second.is_mapped = is_mapped;
  return 0;
}

int AmdRecordingOs::create_queue(kfd::CreateQueue& queue) {
  if (has_queue_ || queue.type != kfd::kQueueCompute) return EINVAL;
  doorbells_[0] = 0;
  doorbell_ = doorbells_.get();
  queue.queue_id = 0;
  queue.doorbell_offset = 0;
  queue_ = queue;
  has_queue_ = true;
  done_dwords_ = 0;
  return 0;
}

std::byte* AmdRecordingOs::host_at(uint64_t address) const {
  for (const auto& [handle, memory] : memory_) {
    if (memory.is_mapped && address - memory.address < memory.size_bytes) {
      return memory.host + (address - memory.address);
    }
  }
  return nullptr;
}

// --- Submits ------------------------------------------------------------------------------------

const uint32_t* AmdRecordingOs::ring_words(uint64_t count) const {
  const uint64_t ring_dwords = queue_.ring_bytes / sizeof(uint32_t);
  return reinterpret_cast<const uint32_t*>(queue_.ring) + count % ring_dwords;
}

void AmdRecordingOs::go_on() {
  if (!has_work()) return;
  const uint64_t ring_dwords = queue_.ring_bytes / sizeof(uint32_t);
  const uint64_t written = *doorbell_;
  while (done_dwords_ < written) {
    const uint64_t to_end = ring_dwords - done_dwords_ % ring_dwords;
    const uint64_t dwords = std::min(written - done_dwords_, to_end);
    do_packets(ring_words(done_dwords_), dwords);
    done_dwords_ += dwords;
  }
  auto* read = reinterpret_cast<uint32_t*>(queue_.read_pointer);
  std::atomic_ref<uint32_t>(*read).store(static_cast<uint32_t>(written % ring_dwords));
}

void AmdRecordingOs::do_packets(const uint32_t* words, uint64_t dwords) {
  const auto packets = read_packets({words, dwords});
  CHECK(packets);
  for (const AmdPacket& packet : *packets) {
    if (packet.opcode == pm4::kReleaseMem) {
      const bool is_clock = packet.body[1] == pm4::kReleaseClock;
      auto* number = reinterpret_cast<uint64_t*>(host_at(packet.address(2)));
      CHECK(number != nullptr);
      const uint64_t value = is_clock ? steady_now_ns() / pm4::kClockNsPerTick : packet.address(4);
      std::atomic_ref<uint64_t>(*number).store(value, std::memory_order_release);
    } else if (packet.opcode == pm4::kDmaData) {
      const uint32_t size_bytes = packet.body[5] & ~pm4::kDmaRawWait;
      if (size_bytes == 0) continue;
      std::memcpy(host_at(packet.address(3)), host_at(packet.address(1)), size_bytes);
    } else if (packet.opcode == pm4::kIndirectBuffer) {
      do_packets(reinterpret_cast<const uint32_t*>(packet.address(0)),
                 packet.body[2] & pm4::kBufferDwordsMax);
    }
  }
}

std::string AmdRecordingOs::kind_of(const Memory& memory) const {
  const auto has = [&](uint64_t address) { return address - memory.address < memory.size_bytes; };
  if (has(queue_.ring)) return "ring";
  if (has(queue_.write_pointer)) return "pointers";
  if (has(queue_.eop) || has(queue_.save_area)) return "scratch";
  return (memory.flags & kfd::kExecutable) != 0 ? "code" : "data";
}

Result<RecordedSubmit> AmdRecordingOs::in_flight() const {
  const std::lock_guard lock(mutex_);
  if (!has_work()) return Error(ErrorKind::invalid_argument, "No submit is in flight.");
  RecordedSubmit submit;
  submit.ring = queue_.ring;
  submit.ring_dwords = queue_.ring_bytes / sizeof(uint32_t);
  submit.read_dwords = done_dwords_;
  submit.written_dwords = *doorbell_;
  submit.write_pointer = queue_.write_pointer;
  const uint64_t dwords = submit.written_dwords - done_dwords_;
  if (done_dwords_ % submit.ring_dwords + dwords > submit.ring_dwords) {
    return Error(ErrorKind::internal, "The submit in flight wraps at the ring's end.");
  }
  const std::span<const uint32_t> words(ring_words(done_dwords_), dwords);
  TRY_ASSIGN(submit.text, decode_packets(words));
  TRY_ASSIGN(const std::vector<AmdPacket> packets, read_packets(words));
  for (const AmdPacket& packet : packets) {
    if (packet.opcode == pm4::kReleaseMem && packet.body[1] == pm4::kReleaseValue) {
      submit.fences.push_back({packet.address(2), 64, packet.address(4)});
    } else if (packet.opcode == pm4::kIndirectBuffer) {
      const auto* called = reinterpret_cast<const uint32_t*>(packet.address(0));
      const uint32_t count = packet.body[2] & pm4::kBufferDwordsMax;
      TRY_ASSIGN(const std::string text, decode_packets({called, count}));
      submit.text += fmt::format("\nThe buffer at 0x{:x}:\n{}", packet.address(0), text);
    }
  }
  for (const auto& [handle, memory] : memory_) {
    if (!memory.is_mapped) continue;
    const std::byte* begin = memory.host;
    const std::byte* end = begin + memory.size_bytes;
    const std::byte fill = fill_of(memory.flags);
    while (end > begin && end[-1] == fill) --end;
    const std::string kind = kind_of(memory);
    submit.regions.push_back({fmt::format("{}_{}", kind, handle),
                              kind,
                              access_of(memory.flags),
                              memory.address,
                              memory.size_bytes,
                              fill,
                              {begin, end}});
  }
  return submit;
}

}  // namespace leat
