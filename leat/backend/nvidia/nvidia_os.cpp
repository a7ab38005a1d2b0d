// Linux behind the seam.
#include "leat/backend/nvidia/nvidia_os.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace leat {

namespace {

int os_open(void*, const char* path) { return ::open(path, O_RDWR | O_CLOEXEC); }
int os_close(void*, int fd) { return ::close(fd); }
int os_ioctl(void*, int fd, unsigned long request, void* argument) {
  return ::ioctl(fd, request, argument);
}

void* os_mmap(void*, size_t size_bytes, int fd) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  return address == MAP_FAILED ? nullptr : address;
}

int os_munmap(void*, void* address, size_t size_bytes) { return ::munmap(address, size_bytes); }
void os_ring(void*, volatile uint32_t* doorbell, uint32_t token) { *doorbell = token; }
bool os_is_root(void*) { return ::geteuid() == 0; }

constexpr NvidiaOs kLinux = {nullptr, os_open,   os_close, os_ioctl,
                             os_mmap, os_munmap, os_ring,  os_is_root};

}  // namespace

const NvidiaOs& system_nvidia_os() { return kLinux; }

}  // namespace leat
