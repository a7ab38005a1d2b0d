// The seam to the operating system: the few calls that the direct route makes, as a table, so that
// a test can stand in for the kernel driver. Doorbells and write pointers are plain stores to what
// mmap gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "leat/base/result.h"

namespace leat {

/// Functions as their POSIX namesakes; `context` is handed to each. Failures are -1 with errno.
struct AmdOs {
  void* context = nullptr;
  int (*open)(void* context, const char* path) = nullptr;  // O_RDWR | O_CLOEXEC
  int (*close)(void* context, int fd) = nullptr;
  int (*ioctl)(void* context, int fd, unsigned long request, void* argument) = nullptr;
  /// fd -1: addresses without memory. Null on failure.
  void* (*mmap)(void* context, void* address, size_t size_bytes, int protection, int flags, int fd,
                uint64_t offset) = nullptr;
  int (*munmap)(void* context, void* address, size_t size_bytes) = nullptr;
  /// A file of sysfs; false with errno.
  bool (*read_file)(void* context, const std::string& path, std::string& text) = nullptr;
};

/// Linux.
const AmdOs& system_amd_os();

/// unsupported: why a device file cannot be opened, and who could mend it.
Error cannot_open(const std::string& path, int error);

}  // namespace leat
