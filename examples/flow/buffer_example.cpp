// A buffer in place: memory that the program already has is given to the device, which reads and
// writes it where it lies; a device that cannot says so, and its own mapped memory is used instead.
// Usage: buffer_example [DEVICE]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "leat/backend/backends.h"

using namespace leat;

namespace {

constexpr size_t kBytes = 1 << 16;

Result<void> run(const std::string& name) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_device(name, 0));
  const MemoryFacts facts = device->memory_facts();
  std::printf("%s: memory is %s\n", device->info().name.c_str(),
              std::string(name_of(facts.model)).c_str());

  // Say, a camera's frame, or a NumPy array: aligned as the device wants it.
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  const std::unique_ptr<std::byte, Free> frame(
      static_cast<std::byte*>(std::aligned_alloc(4096, kBytes)));
  std::memset(frame.get(), 5, kBytes);

  Result<Buffer> input = device->import_host({frame.get(), kBytes});
  if (!input) {
    std::printf("%s\n", input.error().message().c_str());
    input = device->allocate(kBytes, MemoryKind::shared);
    if (!input) return input.error();
    std::memset(input->host_pointer(), 5, kBytes);
  }
  TRY_ASSIGN(const Buffer result, device->allocate(kBytes, MemoryKind::shared));

  Queue& queue = device->queue();
  TRY(queue.copy({&result, 0, kBytes}, {&*input, 0, kBytes}));
  TRY_ASSIGN(const uint64_t value, queue.submit());
  TRY_ASSIGN(const bool done, queue.fence().wait(value, hang_timeout_ns(*device)));
  const bool is_right = done && result.host_pointer()[kBytes - 1] == std::byte{5};
  std::printf("the device read %s\n",
              input->host_pointer() == frame.get() ? "the frame in place" : "its own memory");
  return is_right ? Result<void>() : Error(ErrorKind::internal, "The result is wrong.");
}

}  // namespace

int main(int argc, char** argv) {
  const Result<void> result = run(argc > 1 ? argv[1] : "cpu");
  if (!result) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  return result ? 0 : 1;
}
