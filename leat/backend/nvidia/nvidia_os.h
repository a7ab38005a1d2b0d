// The seam to the operating system: the few calls that the direct route makes, as a table, so that
// a test can stand in for the kernel driver. Everything below this table talks to the real driver
// or to a mock in the same way.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat {

/// Functions as their POSIX namesakes; `context` is handed to each. Failures are -1 with errno.
struct NvidiaOs {
  void* context = nullptr;
  int (*open)(void* context, const char* path) = nullptr;  // O_RDWR | O_CLOEXEC
  int (*close)(void* context, int fd) = nullptr;
  int (*ioctl)(void* context, int fd, unsigned long request, void* argument) = nullptr;
  /// fd -1: anonymous pages, zeroed, private. Else a mapping of the driver, shared, offset 0.
  void* (*mmap)(void* context, size_t size_bytes, int fd) = nullptr;  // null on failure
  int (*munmap)(void* context, void* address, size_t size_bytes) = nullptr;
  /// Writes a channel's token to the doorbell register.
  void (*ring_doorbell)(void* context, volatile uint32_t* doorbell, uint32_t token) = nullptr;
  bool (*is_root)(void* context) = nullptr;
};

/// Linux.
const NvidiaOs& system_nvidia_os();

}  // namespace leat
