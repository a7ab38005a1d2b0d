// Source: open-gpu-kernel-modules nv.c and escape.c (which descriptor takes what), nv-mmap.c (one
// mapping for each descriptor), param_copy.c (the size of allocation parameters is the driver's).
#include "leat/backend/nvidia/nvidia_rm.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "leat/route/packet_text.h"

namespace leat {

namespace {

constexpr int kInterruptedTriesMax = 1000;  // of one ioctl, by signals

// RM reads and writes the size it knows, whatever the caller says; this is above every version.
constexpr size_t kAllocParamsBytesMax = 1024;
constexpr uint32_t kQueryVersion = '2';

// nvstatuscodes.h
constexpr NumberName kStatusNames[] = {
    {0x0F, "GPU_IS_LOST"},
    {0x19, "INSERT_DUPLICATE_NAME"},
    {0x1A, "INSUFFICIENT_RESOURCES"},
    {0x1B, "INSUFFICIENT_PERMISSIONS"},
    {0x1E, "INVALID_ADDRESS"},
    {0x1F, "INVALID_ARGUMENT"},
    {0x22, "INVALID_CLASS"},
    {0x23, "INVALID_CLIENT"},
    {0x31, "INVALID_OBJECT"},
    {0x33, "INVALID_OBJECT_HANDLE"},
    {0x36, "INVALID_OBJECT_PARENT"},
    {0x3A, "INVALID_PARAM_STRUCT"},
    {0x3B, "INVALID_PARAMETER"},
    {0x3D, "INVALID_POINTER"},
    {0x40, "INVALID_STATE"},
    {0x51, "NO_MEMORY"},
    {0x56, "NOT_SUPPORTED"},
    {0x57, "OBJECT_NOT_FOUND"},
    {0x62, "RESET_REQUIRED"},
    {0x65, "TIMEOUT"},
};

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

ErrorKind kind_of_status(uint32_t status) {
  switch (status) {
    case 0x1A:
    case 0x51: return ErrorKind::out_of_memory;
    case 0x0F:
    case 0x62: return ErrorKind::device_lost;
    case 0x1B:
    case 0x22:
    case 0x3A:
    case 0x56: return ErrorKind::unsupported;
    default: return ErrorKind::io;
  }
}

Result<void> check_status(uint32_t status, const char* what) {
  if (status == 0) return {};
  return Error(kind_of_status(status), fmt::format("NVIDIA's kernel driver refuses {} with {}.",
                                                   what, name_of_status(status)));
}

}  // namespace

NvidiaFd& NvidiaFd::operator=(NvidiaFd&& other) noexcept {
  std::swap(os_, other.os_);
  std::swap(fd_, other.fd_);
  return *this;
}

NvidiaFd::~NvidiaFd() {
  if (fd_ >= 0) os_->close(os_->context, fd_);
}

std::string name_of_status(uint32_t status) {
  const char* const name = find_name(kStatusNames, status);
  if (name != nullptr) return fmt::format("{} (0x{:x})", name, status);
  return fmt::format("status (0x{:x})", status);
}

Result<void> NvidiaRm::call(int fd, uint32_t number, void* params, size_t params_bytes,
                            const char* what) {
  const unsigned long request = rm::request_of(number, params_bytes);
  int result = -1;
  for (int tries = 0; tries < kInterruptedTriesMax; ++tries) {
    result = os_.ioctl(os_.context, fd, request, params);
    if (result == 0 || (errno != EINTR && errno != EAGAIN)) break;
  }
  if (result == 0) return {};
  return Error(ErrorKind::io, fmt::format("ioctl (0x{:x}) for {} fails: {}.", request, what,
                                          std::strerror(errno)));
}

Result<NvidiaFd> NvidiaRm::open_node(const std::string& path) {
  const int fd = os_.open(os_.context, path.c_str());
  if (fd >= 0) return NvidiaFd(os_, fd);
  return Error(ErrorKind::unsupported,
               fmt::format("\"{}\" does not open: {}.", path, std::strerror(errno)));
}

Result<void> NvidiaRm::open_control() {
  TRY_ASSIGN(control_fd_, open_node("/dev/nvidiactl"));
  rm::VersionString version = {};
  version.cmd = kQueryVersion;
  TRY(call(control_fd_.get(), rm::kCheckVersionStr, &version, sizeof version, "the version"));
  version.text[sizeof version.text - 1] = 0;
  version_ = version.text;
  TRY_ASSIGN(branch_, nvidia_branch_of(version_));
  return {};
}

Result<std::vector<rm::CardInfo>> NvidiaRm::cards() {
  std::array<rm::CardInfo, rm::kCardsMax> all = {};
  TRY(call(control_fd_.get(), rm::kCardInfo, all.data(), sizeof all, "the list of cards"));
  std::vector<rm::CardInfo> cards;
  for (const rm::CardInfo& card : all) {
    if (card.valid != 0) cards.push_back(card);
  }
  return cards;
}

Result<NvidiaFd> NvidiaRm::open_card_node() {
  TRY_ASSIGN(NvidiaFd fd, open_node(card_path_));
  int32_t control = control_fd_.get();
  TRY(call(fd.get(), rm::kRegisterFd, &control, sizeof control, "registering a descriptor"));
  return fd;
}

Result<void> NvidiaRm::open_card(const rm::CardInfo& card) {
  card_path_ = fmt::format("/dev/nvidia{}", card.minor_number);
  TRY_ASSIGN(card_fd_, open_card_node());
  TRY_ASSIGN(client_, alloc(0, rm::kRootClient, nullptr, 0, "a client"));
  rm::IdInfo id = {};
  id.gpu_id = card.gpu_id;
  TRY(control(client_, rm::kGetIdInfo, id, "the card's instance"));
  rm::DeviceParams device = {};
  device.device_id = id.device_instance;
  device.client_share = client_;
  TRY_ASSIGN(device_, alloc(client_, rm::kDevice, device, "a device"));
  TRY_ASSIGN(subdevice_, alloc(device_, rm::kSubdevice, rm::SubdeviceParams{}, "a subdevice"));
  return {};
}

Result<uint32_t> NvidiaRm::alloc(uint32_t parent, uint32_t object_class, const void* params,
                                 size_t params_bytes, const char* what) {
  alignas(8) std::array<std::byte, kAllocParamsBytesMax> buffer = {};
  CHECK(params_bytes <= buffer.size());
  if (params != nullptr) std::memcpy(buffer.data(), params, params_bytes);
  rm::AllocParams request = {};
  request.client = client_;
  request.parent = parent;
  request.object = client_ == 0 ? 0 : next_handle_++;
  request.object_class = object_class;
  request.params = params == nullptr ? 0 : address_of(buffer.data());
  request.params_size = static_cast<uint32_t>(params_bytes);
  TRY(call(control_fd_.get(), rm::kAlloc, &request, sizeof request, what));
  TRY(check_status(request.status, what));
  return request.object;
}

Result<void> NvidiaRm::free(uint32_t parent, uint32_t object) {
  rm::FreeParams request = {client_, parent, object, 0};
  TRY(call(control_fd_.get(), rm::kFree, &request, sizeof request, "freeing an object"));
  return check_status(request.status, "freeing an object");
}

Result<void> NvidiaRm::control(uint32_t object, uint32_t cmd, void* params, size_t params_bytes,
                               const char* what) {
  rm::ControlParams request = {};
  request.client = client_;
  request.object = object;
  request.cmd = cmd;
  request.params = address_of(params);
  request.params_size = static_cast<uint32_t>(params_bytes);
  TRY(call(control_fd_.get(), rm::kControl, &request, sizeof request, what));
  return check_status(request.status, what);
}

Result<uint32_t> NvidiaRm::alloc_os_descriptor(void* pages, size_t size_bytes) {
  rm::AllocMemoryParams request = {};
  request.client = client_;
  request.parent = device_;
  request.object = next_handle_++;
  request.object_class = rm::kMemoryOsDescriptor;
  request.flags = rm::kOsDescriptorFlags;
  request.memory = address_of(pages);
  request.limit = size_bytes - 1;
  request.fd = -1;
  TRY(call(card_fd_.get(), rm::kAllocMemory, &request, sizeof request, "pinning system memory"));
  TRY(check_status(request.status, "pinning system memory"));
  return request.object;
}

template <typename Params>
Result<uint64_t> NvidiaRm::map_dma(Params params) {
  constexpr char kWhat[] = "mapping memory for the GPU";
  TRY(call(control_fd_.get(), rm::kMapMemoryDma, &params, sizeof params, kWhat));
  TRY(check_status(params.status, kWhat));
  return params.dma_offset;
}

Result<uint64_t> NvidiaRm::map_to_gpu(uint32_t virtual_memory, uint32_t memory, size_t size_bytes) {
  const auto fill = [&](auto params) {
    params.client = client_;
    params.device = device_;
    params.dma = virtual_memory;
    params.memory = memory;
    params.length = size_bytes;
    return params;
  };
  if (branch_.map_dma_bytes == sizeof(rm::MapDmaParams)) return map_dma(fill(rm::MapDmaParams{}));
  return map_dma(fill(rm::MapDmaParamsBefore580{}));
}

Result<void*> NvidiaRm::map_to_host(uint32_t memory, size_t size_bytes, bool on_card) {
  constexpr char kWhat[] = "mapping memory for the host";
  NvidiaFd fd;
  if (on_card) {
    TRY_ASSIGN(fd, open_card_node());
  } else {
    TRY_ASSIGN(fd, open_node("/dev/nvidiactl"));
  }
  rm::MapMemoryParams request = {};
  request.client = client_;
  request.device = device_;
  request.memory = memory;
  request.length = size_bytes;
  request.fd = fd.get();
  TRY(call(control_fd_.get(), rm::kMapMemory, &request, sizeof request, kWhat));
  TRY(check_status(request.status, kWhat));
  void* address = os_.mmap(os_.context, size_bytes, fd.get());
  if (address != nullptr) return address;
  return Error(ErrorKind::out_of_memory, fmt::format("mmap of ({}) bytes of GPU memory fails: {}.",
                                                     size_bytes, std::strerror(errno)));
}

}  // namespace leat
