#include "tests/wire/mock_nvidia.h"

namespace leat::mock {

Nvidia::Nvidia(const ChipOptions& options) : server_(options, memory_), engines_(server_, memory_) {
  os_.context = this;
  os_.open = [](void* context, const char* path) { return self(context).server_.open(path); };
  os_.close = [](void* context, int fd) { return self(context).server_.close(fd); };
  os_.ioctl = [](void* context, int fd, unsigned long request, void* argument) {
    return self(context).server_.ioctl(fd, request, argument);
  };
  os_.mmap = [](void* context, size_t size_bytes, int fd) {
    return self(context).server_.mmap(size_bytes, fd);
  };
  os_.munmap = [](void* context, void* address, size_t size_bytes) {
    return self(context).server_.munmap(address, size_bytes);
  };
  os_.ring_doorbell = [](void* context, volatile uint32_t* doorbell, uint32_t token) {
    self(context).ring(doorbell, token);
  };
  os_.is_root = [](void*) { return true; };
}

// A store anywhere else, or of a token that is none, is lost without a word.
void Nvidia::ring(const volatile uint32_t* doorbell, uint32_t token) {
  constexpr size_t kDoorbellOffset = 0x90;
  ++doorbells_;
  const auto* wanted =
      reinterpret_cast<const volatile uint32_t*>(server_.doorbell_page() + kDoorbellOffset);
  if (doorbell != wanted) return;
  engines_.ring(token);
  if (!held_) engines_.run();
}

}  // namespace leat::mock
