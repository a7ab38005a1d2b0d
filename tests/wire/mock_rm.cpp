#include "tests/wire/mock_rm.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "tests/wire/mock_bytes.h"

namespace leat::mock {

namespace {

// Escapes.
constexpr uint32_t kCardInfo = 0xC8, kRegisterFd = 0xC9, kVersion = 0xD2, kAllocMemory = 0x27,
                   kFree = 0x29, kControl = 0x2A, kAlloc = 0x2B, kMapMemory = 0x4E,
                   kMapMemoryDma = 0x57;
// Statuses.
constexpr uint32_t kOk = 0, kDuplicate = 0x19, kInvalidAddress = 0x1E, kInvalidArgument = 0x1F,
                   kInvalidClass = 0x22, kInvalidClient = 0x23, kInvalidHandle = 0x33,
                   kInvalidParent = 0x36, kInvalidParamStruct = 0x3A, kInvalidState = 0x40,
                   kNoMemory = 0x51, kNotSupported = 0x56, kTimeout = 0x65;

constexpr uint64_t kPage = 4096;

std::byte* anonymous_pages(uint64_t size_bytes) {
  void* pages = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<std::byte*>(pages);
}

uint32_t major_of(const std::string& version) {
  uint32_t major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major;
}

}  // namespace

ResourceServer::ResourceServer(const ChipOptions& options, GpuMemory& memory)
    : options_(options), memory_(memory), doorbell_page_(anonymous_pages(0x10000)) {}

ResourceServer::~ResourceServer() {
  while (!objects_.empty()) free(objects_.begin()->first);
  ::munmap(doorbell_page_, 0x10000);
}

void ResourceServer::refuse_next(uint32_t number, uint32_t status) {
  refused_number_ = number;
  refused_status_ = status;
}

// --- Descriptors --------------------------------------------------------------------------------

int ResourceServer::open(const char* path) {
  ++calls_;
  const std::string name = path;
  Fd fd;
  fd.is_control = name == "/dev/nvidiactl";
  if (!fd.is_control && name.starts_with("/dev/nvidia")) {
    fd.minor = static_cast<uint32_t>(std::atoi(name.c_str() + 11));
  }
  const bool is_card =
      !fd.is_control && name == fmt::format("/dev/nvidia{}", fd.minor) && fd.minor < options_.cards;
  if (refuses_now() || !options_.has_driver || (!fd.is_control && !is_card)) {
    errno = ENOENT;
    return -1;
  }
  fds_[next_fd_] = fd;
  return next_fd_++;
}

// The client's objects go with its control descriptor, as with a process.
int ResourceServer::close(int fd) {
  ++calls_;
  if (fds_.erase(fd) == 0) {
    errno = EBADF;
    return -1;
  }
  if (fd == client_fd_) {
    while (!objects_.empty()) free(objects_.begin()->first);
    client_ = 0;
  }
  return 0;
}

// One mapping for each descriptor, of the length that was announced.
void* ResourceServer::mmap(size_t size_bytes, int fd) {
  ++calls_;
  if (refuses_now()) {
    errno = ENOMEM;
    return nullptr;
  }
  if (fd < 0) {
    ++live_mappings_;
    return anonymous_pages(size_bytes);
  }
  const auto entry = fds_.find(fd);
  if (entry == fds_.end() || entry->second.mapping == nullptr || entry->second.was_mapped ||
      entry->second.mapping_bytes != size_bytes) {
    errno = EINVAL;
    return nullptr;
  }
  entry->second.was_mapped = true;
  ++live_mappings_;
  return entry->second.mapping;
}

int ResourceServer::munmap(void* address, size_t size_bytes) {
  ++calls_;
  --live_mappings_;
  auto* pages = static_cast<std::byte*>(address);
  const bool is_ours =
      pages == doorbell_page_ || std::ranges::any_of(objects_, [&](const auto& entry) {
        return entry.second.owns_pages && entry.second.pages == pages;
      });
  if (is_ours) return 0;
  return ::munmap(address, size_bytes);
}

// --- Escapes ------------------------------------------------------------------------------------

int ResourceServer::ioctl(int fd, unsigned long request, void* argument) {
  ++calls_;
  const auto entry = fds_.find(fd);
  const auto size_bytes = static_cast<size_t>(request >> 16 & 0x3fff);
  const bool had_client = client_ != 0;
  const bool is_ours = request >> 30 == 3 && (request >> 8 & 0xff) == 'F';
  if (entry == fds_.end() || !is_ours ||
      !call(entry->second, static_cast<uint32_t>(request & 0xff), size_bytes, argument)) {
    errno = EINVAL;
    return -1;
  }
  if (!had_client && client_ != 0) client_fd_ = fd;
  return 0;
}

bool ResourceServer::call(Fd& fd, uint32_t number, size_t size_bytes, void* argument) {
  struct Rule {
    uint32_t number;
    size_t size_bytes;  // 0: looked at by the call itself
    size_t status_offset;
    bool on_card;
  };
  static constexpr Rule kRules[] = {
      {kCardInfo, 72 * 32, 0, false}, {kRegisterFd, 4, 0, true},   {kVersion, 72, 0, false},
      {kAllocMemory, 56, 40, true},   {kFree, 16, 12, false},      {kControl, 32, 28, false},
      {kAlloc, 48, 40, false},        {kMapMemory, 56, 40, false}, {kMapMemoryDma, 0, 0, false},
  };
  const auto rule = std::ranges::find(kRules, number, &Rule::number);
  if (rule == std::end(kRules) || rule->on_card == fd.is_control) return false;
  if (rule->size_bytes != 0 && rule->size_bytes != size_bytes) return false;
  if (rule->on_card && number != kRegisterFd && !fd.is_registered) return false;
  size_t status_offset = rule->status_offset;
  uint32_t status = kOk;
  const bool is_nth = number != kFree && refuses_now();
  if (is_nth || (number == refused_number_ && number != 0)) {
    if (is_nth && status_offset == 0 && number != kMapMemoryDma) return false;
    status = is_nth ? kNoMemory : refused_status_;
    if (!is_nth) refused_number_ = 0;
    if (number == kMapMemoryDma) status_offset = 56;
    put(argument, status_offset, status);
    return true;
  }
  switch (number) {
    case kCardInfo: card_info(argument); return true;
    case kRegisterFd: {
      const auto control = fds_.find(get<int32_t>(argument, 0));
      if (fd.is_registered || control == fds_.end() || !control->second.is_control) return false;
      fd.is_registered = true;
      return true;
    }
    case kVersion:
      if (get<uint32_t>(argument, 0) != '2') return false;
      put<uint32_t>(argument, 4, 1);
      std::memcpy(static_cast<char*>(argument) + 8, options_.version.c_str(),
                  options_.version.size() + 1);
      return true;
    case kAllocMemory: status = alloc_os_descriptor(argument); break;
    case kFree:
      status = find(get<uint32_t>(argument, 8)) == nullptr ? kInvalidHandle
                                                           : free(get<uint32_t>(argument, 8));
      break;
    case kControl: status = control(argument); break;
    case kAlloc: status = alloc(argument); break;
    case kMapMemory: status = map_memory(argument); break;
    case kMapMemoryDma: {
      const bool is_long = major_of(options_.version) >= 580;
      if (size_bytes != (is_long ? 64u : 56u)) return false;
      status_offset = is_long ? 56 : 48;
      status = map_dma(argument, size_bytes);
      break;
    }
  }
  if (status != kOk) refusals_.push_back(fmt::format("0x{:x} 0x{:x}", number, status));
  put(argument, status_offset, status);
  return true;
}

void ResourceServer::card_info(void* argument) const {
  for (uint32_t i = 0; i < options_.cards; ++i) {
    std::byte* card = static_cast<std::byte*>(argument) + size_t{72} * i;
    put<uint8_t>(card, 0, 1);
    put<uint32_t>(card, 16, 0x600 + i);  // gpu_id
    put<uint32_t>(card, 56, i);          // minor_number
  }
}

// --- Objects ------------------------------------------------------------------------------------

const ResourceServer::Object* ResourceServer::find(uint32_t handle) const {
  const auto entry = objects_.find(handle);
  return entry == objects_.end() ? nullptr : &entry->second;
}

ChannelObject* ResourceServer::find_channel(uint32_t handle) {
  for (const auto& channel : channels_) {
    if (channel->handle == handle) return channel.get();
  }
  return nullptr;
}

/// 0 when the handle is taken, or in the range from which the driver takes its own.
uint32_t ResourceServer::take_handle(uint32_t wanted) {
  if (wanted == 0) return next_handle_++;
  const bool is_drivers = wanted >= 0xCAF00000 && wanted < 0xCAF80000;
  return is_drivers || objects_.contains(wanted) ? 0 : wanted;
}

uint32_t ResourceServer::check_parent(uint32_t object_class, uint32_t parent) const {
  uint32_t wanted = 0x80;  // most things hang on the device
  if (object_class == 0x80) wanted = 0x41;
  if (object_class == options_.usermode) wanted = 0x2080;
  if (object_class == 0x9067 || object_class == options_.channel) wanted = 0xA06C;
  if (object_class == options_.compute || object_class == options_.copy) wanted = options_.channel;
  const Object* there = find(parent);
  return there != nullptr && there->object_class == wanted ? kOk : kInvalidParent;
}

/// Bytes of the parameters that the driver reads and writes, whatever the caller says.
size_t ResourceServer::params_bytes(uint32_t object_class) const {
  if (object_class == options_.channel) return 368;
  if (object_class == options_.compute) return 16;
  if (object_class == options_.copy) return 8;
  if (object_class == options_.usermode) return 2;
  switch (object_class) {
    case 0x80: return 56;
    case 0x2080: return 4;
    case 0x90F1: return major_of(options_.version) >= 580 ? 56 : 48;
    case 0x3E:
    case 0x40:
    case 0x50A0: return 128;
    case 0xA06C: return 20;
    case 0x9067: return 12;
    default: return 0;
  }
}

uint32_t ResourceServer::alloc(void* argument) {
  const auto parent = get<uint32_t>(argument, 4), object_class = get<uint32_t>(argument, 12);
  const auto wanted = get<uint32_t>(argument, 8);
  auto* params = reinterpret_cast<std::byte*>(get<uint64_t>(argument, 16));
  if (object_class == 0x41) {
    if (get<uint32_t>(argument, 0) != 0 || client_ != 0) return kInvalidClient;
    client_ = next_handle_++;
    objects_[client_] = {.object_class = 0x41};
    put(argument, 8, client_);
    return kOk;
  }
  if (get<uint32_t>(argument, 0) != client_ || client_ == 0) return kInvalidClient;
  const size_t size_bytes = params_bytes(object_class);
  if (size_bytes == 0) return kInvalidClass;
  if (const uint32_t status = check_parent(object_class, parent); status != kOk) return status;
  const bool optional = object_class == options_.usermode || object_class == options_.compute;
  if (params == nullptr && !optional) return kInvalidArgument;
  const uint32_t handle = take_handle(wanted);
  if (handle == 0) return kDuplicate;
  std::array<std::byte, 512> copy = {};
  if (params != nullptr) std::memcpy(copy.data(), params, size_bytes);
  Object object = {.parent = parent, .object_class = object_class};
  const uint32_t status = make(object_class, object, copy.data(), handle);
  if (status != kOk) return status;
  if (params != nullptr) std::memcpy(params, copy.data(), size_bytes);  // in full, as the driver
  objects_[handle] = object;
  put(argument, 8, handle);
  return kOk;
}

uint32_t ResourceServer::make(uint32_t object_class, Object& object, void* params,
                              uint32_t handle) {
  if (object_class == options_.channel) return make_channel(object, params, handle);
  if (object_class == options_.compute || object_class == options_.copy) {
    return make_engine(object, params);
  }
  switch (object_class) {
    case 0x3E:
    case 0x40:
    case 0x50A0: return make_memory(object, params);
    case 0xA06C: {
      object.va_space = get<uint32_t>(params, 8);
      object.engine_type = get<uint32_t>(params, 12);
      const Object* space = find(object.va_space);
      if (space == nullptr || space->object_class != 0x90F1) return kInvalidArgument;
      return object.engine_type == 0 ? kInvalidArgument : kOk;
    }
    case 0x9067: {
      const Object* space = find(get<uint32_t>(params, 0));
      return space != nullptr && space->object_class == 0x90F1 ? kOk : kInvalidArgument;
    }
    case 0x80: return get<uint32_t>(params, 0) < options_.cards ? kOk : kInvalidArgument;
    default: return kOk;
  }
}

uint32_t ResourceServer::make_memory(Object& object, void* params) {
  const auto flags = get<uint32_t>(params, 8), attr = get<uint32_t>(params, 24);
  object.size_bytes = get<uint64_t>(params, 64);
  object.alignment = get<uint64_t>(params, 72);
  if (get<uint32_t>(params, 0) != client_) return kInvalidArgument;  // owner
  if (object.size_bytes == 0 || object.size_bytes % kPage != 0) return kInvalidArgument;
  const bool is_pci = (attr >> 25 & 3) == 1;
  if (object.object_class == 0x50A0) {
    constexpr uint32_t kVirtual = 0x80000;
    const Object* space = find(get<uint32_t>(params, 108));
    if (space == nullptr || space->object_class != 0x90F1) return kInvalidHandle;
    return (flags & kVirtual) != 0 && object.alignment >= 0x10000 ? kOk : kInvalidArgument;
  }
  object.is_video = object.object_class == 0x40;
  if (object.is_video == is_pci) return kInvalidArgument;
  if (object.is_video) {
    if (object.alignment == 0 || object.size_bytes % object.alignment != 0) return kInvalidArgument;
    if (video_bytes_used_ + object.size_bytes > options_.video_bytes) return kNoMemory;
    video_bytes_used_ += object.size_bytes;
  }
  object.pages = anonymous_pages(object.size_bytes);
  object.owns_pages = true;
  return object.pages == nullptr ? kNoMemory : kOk;
}

uint32_t ResourceServer::make_channel(Object& object, const void* params, uint32_t handle) {
  auto channel = std::make_unique<ChannelObject>();
  channel->handle = handle;
  channel->group = object.parent;
  channel->ring_address = get<uint64_t>(params, 8);
  channel->entries = get<uint32_t>(params, 16);
  const auto flags = get<uint32_t>(params, 20), share = get<uint32_t>(params, 24);
  const Object& group = *find(object.parent);
  channel->engine_type = get<uint32_t>(params, 128);
  if (channel->engine_type == 0) channel->engine_type = group.engine_type;
  if (channel->engine_type != group.engine_type) return kInvalidArgument;
  if (get<uint32_t>(params, 28) != 0) return kInvalidArgument;  // hVASpace comes from the group
  if (share != 0) {
    const Object* there = find(share);
    if (there == nullptr || there->object_class != 0x9067 || there->parent != object.parent) {
      return kInvalidArgument;
    }
  }
  constexpr uint32_t kUnprivileged = 0x400080;
  if ((flags & kUnprivileged) != kUnprivileged) return kInvalidArgument;  // the mock runs as root
  if (channel->entries == 0 || (channel->entries & (channel->entries - 1)) != 0) {
    return kInvalidArgument;
  }
  if (memory_.at(channel->ring_address, uint64_t{8} * channel->entries) == nullptr) {
    return kInvalidAddress;
  }
  const Object* userd = find(get<uint32_t>(params, 32));
  const auto userd_offset = get<uint64_t>(params, 64);
  if (userd == nullptr || userd->pages == nullptr || userd_offset % 512 != 0 ||
      userd_offset + 512 > userd->size_bytes) {
    return kInvalidArgument;
  }
  channel->userd = userd->pages + userd_offset;
  const Object* errors = find(get<uint32_t>(params, 0));
  if (errors == nullptr || errors->pages == nullptr) return kInvalidHandle;
  channel->notifier = errors->pages;
  const uint32_t runlist = channel->engine_type == 1 ? 0 : channel->engine_type;
  channel->token = runlist << 16 | next_channel_id_++;
  channels_.push_back(std::move(channel));
  return kOk;
}

uint32_t ResourceServer::make_engine(const Object& object, const void* params) {
  ChannelObject* channel = find_channel(object.parent);
  const bool is_copy = object.object_class == options_.copy;
  const bool on_graphics = channel->engine_type == 1;
  if (is_copy == on_graphics) return kInvalidClass;
  if (is_copy &&
      (get<uint32_t>(params, 0) != 1 || get<uint32_t>(params, 4) != channel->engine_type)) {
    return kInvalidArgument;
  }
  channel->object_class = object.object_class;
  return kOk;
}

uint32_t ResourceServer::alloc_os_descriptor(void* argument) {
  if (get<uint32_t>(argument, 0) != client_) return kInvalidClient;
  if (get<uint32_t>(argument, 12) != 0x71) return kInvalidClass;
  if (const uint32_t status = check_parent(0x71, get<uint32_t>(argument, 4)); status != kOk) {
    return status;
  }
  const auto pointer = get<uint64_t>(argument, 24), limit = get<uint64_t>(argument, 32);
  if (pointer % kPage != 0 || (limit + 1) % kPage != 0) return kInvalidAddress;
  if (get<uint32_t>(argument, 16) != 0x40001010 || get<int32_t>(argument, 48) != -1) {
    return kInvalidArgument;
  }
  const uint32_t handle = take_handle(get<uint32_t>(argument, 8));
  if (handle == 0) return kDuplicate;
  objects_[handle] = {.parent = get<uint32_t>(argument, 4),
                      .object_class = 0x71,
                      .pages = reinterpret_cast<std::byte*>(pointer),
                      .size_bytes = limit + 1};
  put(argument, 8, handle);
  return kOk;
}

uint32_t ResourceServer::free(uint32_t handle) {
  std::vector<uint32_t> children;
  for (const auto& [child, object] : objects_) {
    if (object.parent == handle && child != handle) children.push_back(child);
  }
  for (const uint32_t child : children) {
    if (objects_.contains(child)) free(child);
  }
  const Object object = objects_[handle];
  std::erase_if(channels_, [&](const auto& channel) {
    if (channel->handle != handle) return false;
    frees_of_hung_ += channel->is_hung ? 1 : 0;
    return true;
  });
  if (object.gpu_address != 0) memory_.unmap(object.gpu_address);
  if (object.owns_pages) ::munmap(object.pages, object.size_bytes);
  if (object.is_video) video_bytes_used_ -= object.size_bytes;
  objects_.erase(handle);
  return kOk;
}

// --- Mappings -----------------------------------------------------------------------------------

uint32_t ResourceServer::map_memory(void* argument) {
  if (get<uint32_t>(argument, 0) != client_) return kInvalidClient;
  const Object* object = find(get<uint32_t>(argument, 8));
  const auto fd = fds_.find(get<int32_t>(argument, 48));
  const auto offset = get<uint64_t>(argument, 16), length = get<uint64_t>(argument, 24);
  if (object == nullptr || fd == fds_.end()) return kInvalidHandle;
  const bool is_registers = object->object_class == options_.usermode;
  const bool wants_card = is_registers || object->is_video;
  if (fd->second.is_control == wants_card || fd->second.mapping != nullptr ||
      (wants_card && !fd->second.is_registered)) {
    return kInvalidArgument;
  }
  const uint64_t size_bytes = is_registers ? 0x10000 : object->size_bytes;
  if (offset + length > size_bytes || length == 0) return kInvalidArgument;
  fd->second.mapping = is_registers ? doorbell_page_ : object->pages + offset;
  fd->second.mapping_bytes = length;
  return kOk;
}

uint32_t ResourceServer::map_dma(void* argument, size_t size_bytes) {
  if (get<uint32_t>(argument, 0) != client_) return kInvalidClient;
  const auto space = objects_.find(get<uint32_t>(argument, 8));
  const Object* object = find(get<uint32_t>(argument, 12));
  const auto offset = get<uint64_t>(argument, 16), length = get<uint64_t>(argument, 24);
  if (space == objects_.end() || space->second.object_class != 0x50A0) return kInvalidHandle;
  if (object == nullptr || object->pages == nullptr) return kInvalidHandle;
  if (space->second.gpu_address != 0) return kInvalidState;
  if (get<uint32_t>(argument, 32) != 0) return kInvalidArgument;  // flags
  if (length > space->second.size_bytes || offset + length > object->size_bytes) {
    return kInvalidArgument;
  }
  space->second.gpu_address = memory_.map(object->pages + offset, length, space->second.alignment);
  put(argument, size_bytes == 64 ? 48 : 40, space->second.gpu_address);
  return kOk;
}

// --- Controls -----------------------------------------------------------------------------------

uint32_t ResourceServer::control(void* argument) {
  const uint32_t major = major_of(options_.version);
  struct Control {
    uint32_t cmd;
    size_t size_bytes;
    uint32_t object_class;
  };
  const Control controls[] = {
      {0x205, 32, 0x41},
      {0x800201, 16, 0x80},
      {0x20800110, major >= 595 ? 68u : 132u, 0x2080},
      {0x2080014A, 268, 0x2080},
      {0x20801201, 32, 0x2080},
      {0x20801303, major >= 580 ? 1028u : 460u, 0x2080},
      {0x20802A0A, 136, 0x2080},
      {0xA06C0101, major >= 575 ? 3u : 2u, 0xA06C},
      {0xC36F0108, 4, options_.channel},
      {0xA06F0112, 1, options_.channel},
      {0x906F0102, 16, options_.channel},
      {0xA06C0105, 8, 0xA06C},
      {0x2080110B, 536, 0x2080},
  };
  const auto cmd = get<uint32_t>(argument, 8);
  const auto entry = std::ranges::find(controls, cmd, &Control::cmd);
  if (get<uint32_t>(argument, 0) != client_) return kInvalidClient;
  if (entry == std::end(controls)) return kNotSupported;
  const Object* object = find(get<uint32_t>(argument, 4));
  if (object == nullptr || object->object_class != entry->object_class) return kInvalidHandle;
  if (get<uint32_t>(argument, 24) != entry->size_bytes) return kInvalidParamStruct;
  void* params = reinterpret_cast<void*>(get<uint64_t>(argument, 16));
  if (cmd == 0x2080110B) {
    if (get<uint32_t>(params, 4) != 1 || get<uint32_t>(params, 24) != client_) {
      return kInvalidArgument;
    }
    return stop_channel(find_channel(get<uint32_t>(params, 280)));
  }
  if (entry->object_class == 0xA06C || entry->object_class == options_.channel) {
    return control_channel(get<uint32_t>(argument, 4), cmd, params);
  }
  return control_chip(cmd, params);
}

uint32_t ResourceServer::control_chip(uint32_t cmd, void* params) {
  const uint32_t classes[] = {options_.channel, options_.usermode, options_.compute, options_.copy,
                              0x90F1};
  switch (cmd) {
    case 0x205: put<uint32_t>(params, 8, get<uint32_t>(params, 0) - 0x600); return kOk;
    case 0x800201:
      if (auto* list = reinterpret_cast<void*>(get<uint64_t>(params, 8))) {
        std::memcpy(list, classes, sizeof classes);
      }
      put<uint32_t>(params, 0, std::size(classes));
      return kOk;
    case 0x20800110:
      std::memcpy(static_cast<char*>(params) + 4, options_.name.c_str(), options_.name.size() + 1);
      return kOk;
    case 0x2080014A:
      put<uint32_t>(params, 8, 16);
      for (uint32_t i = 0; i < 16; ++i)
        put<uint8_t>(params, 12 + i, static_cast<uint8_t>(0xa0 + i));
      return kOk;
    case 0x20801201: {
      const std::map<uint32_t, uint32_t> values = {
          {0x8, 132}, {0xC, options_.sm_version}, {0xD, 64}, {0x14, 8}, {0x17, 9}, {0x20, 2}};
      auto* list = reinterpret_cast<std::byte*>(get<uint64_t>(params, 8));
      for (uint32_t i = 0; i < get<uint32_t>(params, 0); ++i) {
        const auto value = values.find(get<uint32_t>(list, size_t{8} * i));
        if (value == values.end()) return kInvalidArgument;
        put(list, size_t{8} * i + 4, value->second);
      }
      return kOk;
    }
    case 0x20801303:
      for (uint32_t i = 0; i < get<uint32_t>(params, 0); ++i) {
        const auto index = get<uint32_t>(params, 4 + size_t{8} * i);
        const auto kib = static_cast<uint32_t>(options_.video_bytes >> 10);
        put<uint32_t>(params, 8 + size_t{8} * i, index == 0x1B ? 50u << 20 : kib);
      }
      return kOk;
    case 0x20802A0A:
      put<uint64_t>(params, 128, options_.has_copy_engine ? 0b111 : 0b001);
      put<uint8_t>(params, 0, 1);  // the first is on the graphics runlist
      return kOk;
    default: return kNotSupported;
  }
}

/// Off its runlist, with an error told.
uint32_t ResourceServer::stop_channel(ChannelObject* channel) {
  constexpr uint32_t kPreemptiveRemoval = 45;
  if (channel == nullptr) return kInvalidHandle;
  channel->is_scheduled = channel->is_hung = false;
  put(channel->notifier, 8, kPreemptiveRemoval);
  put<uint16_t>(channel->notifier, 14, 0xFFFF);
  return kOk;
}

uint32_t ResourceServer::control_channel(uint32_t object, uint32_t cmd, void* params) {
  if (cmd == 0xA06F0112) return stop_channel(find_channel(object));
  if (cmd == 0x906F0102) {
    ChannelObject* channel = find_channel(object);
    if (get<uint32_t>(params, 0) != channel->engine_type || get<uint32_t>(params, 8) > 2) {
      return kInvalidArgument;
    }
    return stop_channel(channel);
  }
  if (cmd == 0xA06C0105) return kTimeout;  // as seen on an H200 while a kernel runs
  if (cmd == 0xC36F0108) {
    const ChannelObject* channel = find_channel(object);
    put(params, 0, channel->token);
    put(channel->notifier, 16 + 8, channel->token);  // notifier 1
    put<uint16_t>(channel->notifier, 16 + 14, 0xFFFF);
    return kOk;
  }
  for (const auto& channel : channels_) {
    if (channel->group != object) continue;
    if (channel->object_class == 0) return kInvalidState;
    channel->is_scheduled = get<uint8_t>(params, 0) != 0;
  }
  return kOk;
}

}  // namespace leat::mock
