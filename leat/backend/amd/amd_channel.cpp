// Source: Linux amdkfd/kfd_queue.c (what is checked of each buffer), kfd_doorbell.c;
// ROCm/hrx-system libamdf/src/gpu/umd/kfd (sizes, the pointer page, what ETIME of a destroy means);
// ROCm kfdtest PM4Queue.cpp (the read pointer is an index that wraps, the write pointer a count
// that does not).
#include "leat/backend/amd/amd_channel.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "leat/backend/amd/amd_pm4.h"
#include "leat/backend/amd/amd_sdma_words.h"
#include "leat/device/spin.h"
#include "leat/route/packet_text.h"

namespace leat {

namespace {

// In the pointer page, each on a cache line of its own.
constexpr uint64_t kReadPointer = 0, kWritePointer = 64, kErrorWord = 128;
constexpr uint32_t kRingFlags = kfd::kGtt | kfd::kWritable | kfd::kExecutable | kfd::kCoherent;
constexpr uint64_t kDoorbellMask = kfd::kDoorbellBytes - 1;
constexpr uint64_t kRingAgainNs = 10'000'000;

/// Linux include/uapi/linux/kfd_ioctl.h, enum kfd_dbg_trap_exception_code; a bit is the code
/// less 1.
constexpr NumberName kExceptions[] = {
    {1, "a wave that aborts"},
    {2, "a trap of a wave"},
    {3, "an arithmetic exception of a wave"},
    {4, "an instruction that does not exist"},
    {5, "an access to memory that is not mapped"},
    {6, "an access outside of its aperture"},
    {16, "a packet that the command processor refuses"},
    {30, "a preemption that failed"},
    {33, "a memory violation of the device"},
    {34, "an error in the card's memory"},
};

}  // namespace

AmdChannel::~AmdChannel() {
  (void)close();
  const AmdOs& os = kfd_.os();
  if (doorbells_ != nullptr) os.munmap(os.context, doorbells_, kfd::kDoorbellBytes);
}

Result<void> AmdChannel::allocate() {
  if (pointers_) return {};
  constexpr uint64_t kRingBytes = kRingDwords * sizeof(uint32_t);
  TRY_ASSIGN(ring_, memory_.allocate_pages(kRingBytes, kRingFlags));
  if (is_compute()) {
    TRY_ASSIGN(eop_, memory_.allocate_pages(kfd::kEopBytes,
                                            kfd::kVram | kfd::kWritable | kfd::kExecutable));
    TRY_ASSIGN(event_page_, memory_.allocate_pages(kfd::kEventPageBytes,
                                                   kfd::kGtt | kfd::kWritable | kfd::kCoherent));
    TRY_ASSIGN(const bool is_kept, events_.open(memory_.handle_of(event_page_)));
    if (is_kept) memory_.leave(event_page_);
  }
  TRY_ASSIGN(pointers_, memory_.allocate_pages(kfd::kPageBytes, kRingFlags | kfd::kUncached));
  return {};
}

Result<void> AmdChannel::reserve_save_area(const AmdSaveArea& area) {
  if (save_area_.size_bytes != area.total_bytes()) {
    memory_.free(std::exchange(save_area_, {}));
    TRY_ASSIGN(save_area_, memory_.allocate_pages(area.total_bytes(), kRingFlags));
  }
  kfd::SaveAreaHeader header = {};
  header.debug_offset = area.save_bytes;
  header.debug_bytes = area.debug_bytes;
  header.error_word = pointers_.address + kErrorWord;
  std::memcpy(save_area_.host, &header, sizeof header);
  return {};
}

Result<void> AmdChannel::create(const AmdSaveArea* area, int& error) {
  kfd::CreateQueue queue = {};
  if (area != nullptr) {
    TRY(reserve_save_area(*area));
    queue.eop = eop_.address;
    queue.eop_bytes = eop_.size_bytes;
    queue.save_area = save_area_.address;
    queue.save_bytes = area->save_bytes;
    queue.control_stack_bytes = area->control_stack_bytes;
  }
  queue.ring = ring_.address;
  queue.ring_bytes = static_cast<uint32_t>(ring_.size_bytes);
  queue.read_pointer = pointers_.address + kReadPointer;
  queue.write_pointer = pointers_.address + kWritePointer;
  queue.gpu_id = kfd_.gpu_id();
  queue.type = type_;
  queue.percentage = kfd::kPercentageMax;
  queue.priority = kfd::kPriorityNormal;
  error = kfd_.call_errno(kfd::kCreateQueue, &queue);
  if (error != 0) {
    return Error(
        error == ENOMEM ? ErrorKind::out_of_memory : ErrorKind::io,
        fmt::format("KFD refuses a queue of type ({}) with a save area of ({}) bytes ({}).", type_,
                    queue.save_bytes, std::strerror(error)));
  }
  queue_id_ = queue.queue_id;
  is_open_.store(true, std::memory_order_release);
  if (doorbells_ == nullptr) {
    TRY_ASSIGN(doorbells_, kfd_.map_doorbells(queue.doorbell_offset & ~kDoorbellMask));
  }
  doorbell_ =
      reinterpret_cast<volatile uint64_t*>(doorbells_ + (queue.doorbell_offset & kDoorbellMask));
  return {};
}

Result<void> AmdChannel::open(const AmdCard& card) {
  CHECK(!is_open());
  TRY(allocate());
  std::memset(pointers_.host, 0, pointers_.size_bytes);
  std::memset(ring_.host, 0, ring_.size_bytes);
  read_pointer_ = reinterpret_cast<volatile uint32_t*>(pointers_.host + kReadPointer);
  write_pointer_ = reinterpret_cast<volatile uint64_t*>(pointers_.host + kWritePointer);
  error_word_ = reinterpret_cast<volatile uint64_t*>(pointers_.host + kErrorWord);
  if (is_compute()) events_.forget();
  words_ = Ring(reinterpret_cast<volatile uint32_t*>(ring_.host), kRingDwords);
  // Kernels before a correction want another size of some chips, and tell by EINVAL.
  Result<void> created;
  int error = 0;
  if (!is_compute()) created = create(nullptr, error);
  for (const AmdSaveArea& area : card.save_areas) {
    if (!is_compute()) break;
    created = create(&area, error);
    if (created || error != EINVAL) break;
  }
  if (!created && is_open()) (void)close();
  if (!created && !is_compute()) {
    memory_.free(std::exchange(ring_, {}));
    memory_.free(std::exchange(pointers_, {}));
  }
  return created;
}

Result<void> AmdChannel::close() {
  if (!is_open_.exchange(false)) return {};
  kfd::QueueId queue = {queue_id_, 0};
  const int error = kfd_.call_errno(kfd::kDestroyQueue, &queue);
  if (error == 0) return {};
  // ETIME and EIO: the id is gone, but nothing says that the hardware has let go of the memory.
  for (const DirectRange& range : {ring_, pointers_, eop_, save_area_}) {
    if (range) memory_.leave(range);
  }
  return Error(ErrorKind::device_lost,
               fmt::format("The GPU does not stop what it runs ({}).", std::strerror(error)));
}

std::byte* AmdChannel::begin(uint32_t dwords) {
  CHECK(dwords <= kSubmitDwordsMax);
  if (words_.to_end() < dwords) words_.pad(is_compute() ? pm4::kNopWord : sdma::kNopWord);
  return ring_.host + size_t{words_.index()} * sizeof(uint32_t);
}

void AmdChannel::submit(uint32_t dwords) {
  words_.advance(dwords);
  publish(words_.written() * unit());
}

// Words, then the write pointer, then the doorbell: when the scheduler maps the queue again, the
// command processor reads the pointer from memory, so it never runs ahead of the words. The flag is
// taken by a locked exchange, which on x86, where this route is built for, is a full barrier.
void AmdChannel::publish(uint64_t written) {
  while (is_ringing_.test_and_set(std::memory_order_seq_cst)) pause_core();
  *write_pointer_ = written;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *doorbell_ = written;
  is_ringing_.clear(std::memory_order_release);
}

Result<void> AmdChannel::check_error_word() const {
  const uint64_t mask = *error_word_;
  if (mask == 0) return {};
  const auto code = static_cast<uint32_t>(__builtin_ctzll(mask)) + 1;
  const char* name = find_name(kExceptions, code);
  return Error(ErrorKind::device_lost,
               fmt::format("KFD reports {} (exception {}).",
                           name != nullptr ? name : "an error of the queue", code));
}

Result<void> AmdChannel::look_after() {
  if (!is_open()) return Error(ErrorKind::device_lost, "The queue of the GPU is closed.");
  TRY(events_.look());
  ring_again();
  return {};
}

void AmdChannel::ring_again() {
  if (!is_open()) return;
  const uint32_t read = *read_pointer_;
  const uint64_t now_ns = steady_now_ns();
  if (stalled_at_.exchange(read) != read) {
    stalled_since_ns_ = now_ns;
    return;
  }
  if (now_ns - stalled_since_ns_ < kRingAgainNs) return;
  stalled_since_ns_ = now_ns;
  if (is_ringing_.test_and_set(std::memory_order_acquire)) return;
  const uint64_t written = *write_pointer_;
  const uint64_t mask = is_compute() ? kRingDwords - 1 : UINT32_MAX;
  if (is_open() && (written & mask) != read) *doorbell_ = written;
  is_ringing_.clear(std::memory_order_release);
}

}  // namespace leat
