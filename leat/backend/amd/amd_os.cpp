// Linux behind the seam. The driver binds a process's address space for compute to the first
// descriptor of a render node that asked for it, until the process ends (Linux
// amdkfd/kfd_process.c, kfd_process_device_init_vm), so descriptors of devices are opened once and
// kept.
#include "leat/backend/amd/amd_os.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

namespace leat {

namespace {

int os_open(void*, const char* path) {
  static std::mutex mutex;
  static std::map<std::string, int> kept;
  const std::lock_guard lock(mutex);
  const auto found = kept.find(path);
  if (found != kept.end()) return found->second;
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) kept[path] = fd;
  return fd;
}

int os_close(void*, int) { return 0; }
int os_ioctl(void*, int fd, unsigned long request, void* argument) {
  return ::ioctl(fd, request, argument);
}

void* os_mmap(void*, void* address, size_t size_bytes, int protection, int flags, int fd,
              uint64_t offset) {
  void* mapped = ::mmap(address, size_bytes, protection, flags, fd, static_cast<off_t>(offset));
  return mapped == MAP_FAILED ? nullptr : mapped;
}

int os_munmap(void*, void* address, size_t size_bytes) { return ::munmap(address, size_bytes); }

// Files of sysfs are of one page at most.
bool os_read_file(void*, const std::string& path, std::string& text) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 8192> bytes;
  const ssize_t count = ::read(fd, bytes.data(), bytes.size());
  ::close(fd);
  if (count < 0) return false;
  text.assign(bytes.data(), static_cast<size_t>(count));
  return true;
}

constexpr AmdOs kLinux = {nullptr, os_open, os_close, os_ioctl, os_mmap, os_munmap, os_read_file};

}  // namespace

const AmdOs& system_amd_os() { return kLinux; }

Error cannot_open(const std::string& path, int error) {
  std::string reason = std::strerror(error);
  if (error == EACCES) reason += "; its group, render, may open it: usermod -aG render USER";
  if (error == ENOENT) reason += "; the kernel's module amdgpu makes it, and a container must";
  if (error == ENOENT) reason += " be given it";
  if (error == EAGAIN) reason += "; the GPU is being reset";
  return Error(ErrorKind::unsupported, fmt::format("{} cannot be opened ({}).", path, reason));
}

}  // namespace leat
