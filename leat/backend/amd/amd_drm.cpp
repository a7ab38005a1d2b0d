// Source: Linux amdgpu/amdgpu_gem.c, amdgpu_ctx.c, amdgpu_cs.c, amdgpu_kms.c (what fails with which
// errno); rights: systemd's 50-udev-default.rules.
#include "leat/backend/amd/amd_drm.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "leat/backend/amd/amd_pm4.h"
#include "leat/device/spin.h"

namespace leat {

namespace {

constexpr uint32_t kPageBytes = 4096;
constexpr uint64_t kCloseTimeoutNs = 50'000'000;

drm::IndirectBuffer buffer_at(uint64_t address, uint32_t dwords) {
  return {.pad = 0,
          .flags = 0,
          .address = address,
          .size_bytes = dwords * uint32_t{sizeof(uint32_t)},
          .engine = drm::kEngineCompute,
          .instance = 0,
          .ring = 0};
}

}  // namespace

AmdDrm::~AmdDrm() {
  if (fd_ >= 0) os_.close(os_.context, fd_);
}

Result<void> AmdDrm::open(uint32_t render_minor) {
  const std::string path = fmt::format("/dev/dri/renderD{}", render_minor);
  fd_ = os_.open(os_.context, path.c_str());
  if (fd_ < 0) return cannot_open(path, errno);
  std::array<char, 16> name = {};
  drm::Version version = {};
  version.name_bytes = name.size() - 1;
  version.name = reinterpret_cast<uint64_t>(name.data());
  TRY(call(drm::kVersion, &version, "its version"));
  if (std::string_view(name.data()) != "amdgpu" || version.major != drm::kMajor) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{} is driver \"{}\" {}.{}, not amdgpu {}.", path, name.data(),
                             version.major, version.minor, drm::kMajor));
  }
  minor_ = version.minor;
  drm::Info info = {reinterpret_cast<uint64_t>(&device_), sizeof device_, drm::kInfoDevice, {}};
  return call(drm::kInfo, &info, "what the device is");
}

std::string AmdDrm::version() const { return fmt::format("DRM {}.{}", drm::kMajor, minor_); }

int AmdDrm::call_errno(uint32_t request, void* argument) {
  constexpr int kInterruptsMax = 1000;
  for (int i = 0; i < kInterruptsMax; ++i) {
    if (os_.ioctl(os_.context, fd_, request, argument) == 0) return 0;
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
  return EINTR;
}

Result<void> AmdDrm::call(uint32_t request, void* argument, const char* what) {
  const int error = call_errno(request, argument);
  if (error == 0) return {};
  return Error(error == ENOMEM ? ErrorKind::out_of_memory : ErrorKind::io,
               fmt::format("amdgpu refuses {} ({}).", what, std::strerror(error)));
}

// --- Memory -------------------------------------------------------------------------------------

// Always valid: no submit has to name it.
Result<uint32_t> AmdDrm::create(uint64_t size_bytes, uint64_t domain) {
  const uint64_t flags = drm::kAlwaysValid | (domain == drm::kVram ? drm::kNoHostAccess : 0);
  drm::GemCreate create = {.in = {size_bytes, kPageBytes, domain, flags}};
  TRY(call(drm::kGemCreate, &create, "memory"));
  return create.handle;
}

Result<uint32_t> AmdDrm::import(std::span<std::byte> pages) {
  drm::GemUserptr import = {reinterpret_cast<uint64_t>(pages.data()), pages.size(),
                            drm::kUserptrFlags, 0};
  TRY(call(drm::kGemUserptr, &import, "memory of the host"));
  imported_.push_back({import.handle, 0});
  return import.handle;
}

// The driver gives one handle for one dma-buf, however often it is asked.
Result<uint32_t> AmdDrm::import_dma_buf(int fd) {
  drm::FdToHandle import = {0, 0, fd};
  TRY(call(drm::kFdToHandle, &import, "a dma-buf"));
  if (std::ranges::count(imported_, import.handle, &drm::BufferEntry::handle) > 0) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The dma-buf of descriptor ({}) is imported already.", fd));
  }
  imported_.push_back({import.handle, 0});
  return import.handle;
}

Result<void> AmdDrm::map(uint32_t handle, uint64_t address, uint64_t size_bytes,
                         bool is_executable) {
  if (address < device_.address_first || address + size_bytes > device_.address_max) {
    return Error(ErrorKind::io,
                 fmt::format("Address (0x{:x}) is not in the card's range (0x{:x} to 0x{:x}).",
                             address, device_.address_first, device_.address_max));
  }
  drm::GemVa map = {
      handle,  0, drm::kVaMap, drm::kVaRead | drm::kVaWrite | (is_executable ? drm::kVaExecute : 0),
      address, 0, size_bytes};
  return call(drm::kGemVa, &map, "to map memory for the GPU");
}

// A refusal leaves the memory to the process's end; there is nobody to tell.
void AmdDrm::unmap(uint32_t handle, uint64_t address, uint64_t size_bytes) {
  drm::GemVa map = {handle, 0, drm::kVaUnmap, 0, address, 0, size_bytes};
  (void)call_errno(drm::kGemVa, &map);
}

Result<std::byte*> AmdDrm::map_host(uint32_t handle, uint64_t address, uint64_t size_bytes) {
  drm::GemMmap where = {};
  where.handle = handle;
  TRY(call(drm::kGemMmap, &where, "to map memory for the host"));
  void* mapped = os_.mmap(os_.context, reinterpret_cast<void*>(address), size_bytes,
                          PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd_, where.offset);
  if (mapped != nullptr) return static_cast<std::byte*>(mapped);
  return Error(ErrorKind::io, fmt::format("The driver maps no ({}) bytes for the host ({}).",
                                          size_bytes, std::strerror(errno)));
}

void AmdDrm::close(uint32_t handle) {
  std::erase_if(imported_, [&](const drm::BufferEntry& entry) { return entry.handle == handle; });
  drm::GemClose close = {handle, 0};
  (void)call_errno(drm::kGemClose, &close);
}

// --- Contexts -----------------------------------------------------------------------------------

Result<uint32_t> AmdDrm::open_context() {
  drm::Context context = {.in = {drm::kContextAlloc, 0, 0, 0}};
  TRY(call(drm::kContext, &context, "a context"));
  return context.context;
}

void AmdDrm::close_context(uint32_t id) {
  drm::Context context = {.in = {drm::kContextFree, 0, id, 0}};
  (void)call_errno(drm::kContext, &context);
}

Result<uint64_t> AmdDrm::submit(uint32_t context, std::span<const drm::IndirectBuffer> buffers) {
  constexpr size_t kChunksMax = 4;
  CHECK(buffers.size() < kChunksMax);
  std::array<drm::Chunk, kChunksMax> chunks;
  std::array<uint64_t, kChunksMax> addresses;
  uint32_t count = 0;
  const auto add = [&](uint32_t id, const auto& data) {
    chunks[count] = {id, sizeof data / sizeof(uint32_t), reinterpret_cast<uint64_t>(&data)};
    addresses[count] = reinterpret_cast<uint64_t>(&chunks[count]);
    ++count;
  };
  const drm::BufferList list = {0, 0, static_cast<uint32_t>(imported_.size()),
                                sizeof(drm::BufferEntry),
                                reinterpret_cast<uint64_t>(imported_.data())};
  if (!imported_.empty()) add(drm::kChunkList, list);
  for (const drm::IndirectBuffer& buffer : buffers) add(drm::kChunkBuffer, buffer);
  drm::Submit submit = {.in = {context, 0, count, 0, reinterpret_cast<uint64_t>(addresses.data())}};
  const int error = call_errno(drm::kSubmit, &submit);
  if (error == 0) return submit.sequence;
  return Error(error == ECANCELED ? ErrorKind::device_lost : ErrorKind::io,
               fmt::format("amdgpu refuses a submit ({}).", std::strerror(error)));
}

bool AmdDrm::is_done(uint32_t context, uint64_t sequence, uint64_t timeout_ns) {
  drm::WaitSubmit wait = {
      .in = {sequence, steady_now_ns() + timeout_ns, drm::kEngineCompute, 0, 0, context}};
  return call_errno(drm::kWaitSubmit, &wait) == 0 && wait.status == 0;
}

Result<void> AmdDrm::check(uint32_t id) {
  drm::Context context = {.in = {drm::kContextQuery2, 0, id, 0}};
  if (call_errno(drm::kContext, &context) == 0 && (context.state.flags & drm::kStateReset) != 0) {
    const bool is_guilty = (context.state.flags & drm::kStateGuilty) != 0;
    return Error(ErrorKind::device_lost,
                 fmt::format("The GPU was reset{}.", is_guilty ? ", by this work" : ""));
  }
  if (minor_ < drm::kMinorOfFault) return {};
  drm::FaultAnswer fault = {};
  drm::Info info = {reinterpret_cast<uint64_t>(&fault), sizeof fault, drm::kInfoFault, {}};
  if (call_errno(drm::kInfo, &info) != 0 || fault.status == 0) return {};
  const drm::FaultAnswer last = std::exchange(last_fault_, fault);
  if (last.address == fault.address && last.status == fault.status) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("The GPU faults at address (0x{:x}), status (0x{:x}).", fault.address,
                           fault.status));
}

// --- The queue ----------------------------------------------------------------------------------

Result<void> AmdDrmQueue::open(std::byte* ring, uint64_t address) {
  CHECK(!is_open());
  ring_ = ring;
  address_ = address;
  written_ = sequence_ = 0;
  waits_ = false;
  held_.clear();
  held_.reserve(kHeldMax);
  TRY_ASSIGN(context_, drm_.open_context());
  has_fault_ = false;
  is_open_ = true;
  return {};
}

// Only the kernel can end what runs.
Result<void> AmdDrmQueue::close() {
  if (!is_open_.exchange(false)) return {};
  const bool is_done = sequence_ == 0 || drm_.is_done(context_, sequence_, kCloseTimeoutNs);
  drm_.close_context(context_);
  if (is_done) return {};
  return Error(ErrorKind::device_lost, "The GPU does not stop what it runs.");
}

std::byte* AmdDrmQueue::begin(uint32_t dwords) {
  const uint64_t index = written_ % kRingDwords;
  if (index + dwords > kRingDwords) written_ += kRingDwords - index;
  begun_at_ = written_ % kRingDwords;
  return ring_ + begun_at_ * sizeof(uint32_t);
}

void AmdDrmQueue::submit(const Call& call) {
  Held held;
  const uint64_t at = address_ + begun_at_ * sizeof(uint32_t);
  const uint32_t head = call.list_dwords > 0 ? call.head : call.dwords;
  held.buffers[held.count++] = buffer_at(at, head);
  if (call.list_dwords > 0) {
    held.buffers[held.count++] = buffer_at(call.list, call.list_dwords);
    held.buffers[held.count++] = buffer_at(at + head * sizeof(uint32_t), call.dwords - head);
  }
  written_ += call.dwords;
  waits_ = waits_ || call.waits;
  if (waits_) {
    held_.push_back(held);
  } else {
    hand_over(held);
  }
}

void AmdDrmQueue::fire() {
  waits_ = false;
  for (const Held& held : held_) hand_over(held);
  held_.clear();
}

// What the kernel refuses shows as a fault: the fence's value was given out already.
void AmdDrmQueue::hand_over(const Held& held) {
  const Result<uint64_t> submitted = drm_.submit(context_, {held.buffers, held.count});
  if (submitted) {
    sequence_ = *submitted;
  } else {
    fail(submitted.error().message());
  }
}

void AmdDrmQueue::fail(const std::string& text) {
  const std::lock_guard lock(mutex_);
  text_ = text;
  has_fault_.store(true, std::memory_order_release);
}

Result<void> AmdDrmQueue::look_after() {
  if (!is_open()) return Error(ErrorKind::device_lost, "The queue of the GPU is closed.");
  const uint64_t now_ns = steady_now_ns();
  uint64_t last_ns = last_look_ns_.load(std::memory_order_relaxed);
  if (!has_fault() && now_ns - last_ns >= kPauseNs &&
      last_look_ns_.compare_exchange_strong(last_ns, now_ns)) {
    const Result<void> checked = drm_.check(context_);
    if (!checked) fail(checked.error().message());
  }
  if (!has_fault()) return {};
  const std::lock_guard lock(mutex_);
  return Error(ErrorKind::device_lost, text_);
}

}  // namespace leat
