// A fence: submit work, go on, look at one number, wait with a deadline.
// Usage: fence_example [DEVICE]
#include <cstdio>
#include <string>

#include "leat/backend/backends.h"

using namespace leat;

namespace {

Result<void> run(const std::string& name) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_device(name, 0));
  constexpr size_t kBytes = 1 << 20;
  TRY_ASSIGN(const Buffer from, device->allocate(kBytes, MemoryKind::shared));
  TRY_ASSIGN(const Buffer to, device->allocate(kBytes, MemoryKind::shared));
  from.host_pointer()[42] = std::byte{7};

  // A pooled fence can be handed on before its work is submitted.
  PooledFence* const fence = device->fences().acquire();
  if (fence == nullptr) return Error(ErrorKind::out_of_memory, "All fences are in use.");
  const uint64_t wanted = fence->arm();

  Queue& queue = device->queue();
  TRY(queue.copy({&to, 0, kBytes}, {&from, 0, kBytes}));
  TRY_ASSIGN(const uint64_t value, queue.submit());
  fence->bind({&queue.fence(), value});

  std::printf("%s: submitted; the number is %llu of %llu\n", device->info().name.c_str(),
              static_cast<unsigned long long>(fence->poll()),
              static_cast<unsigned long long>(wanted));

  // A deadline that passes is an answer, not an error.
  TRY_ASSIGN(const bool done, fence->wait(wanted, 1'000'000'000));
  if (!done) return Error(ErrorKind::device_lost, "The copy takes more than a second.");
  device->fences().release(*fence);
  std::printf("done: byte 42 is %d\n", static_cast<int>(to.host_pointer()[42]));
  return to.host_pointer()[42] == std::byte{7} ? Result<void>()
                                               : Error(ErrorKind::internal, "The copy is wrong.");
}

}  // namespace

int main(int argc, char** argv) {
  const Result<void> result = run(argc > 1 ? argv[1] : "cpu");
  if (!result) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  return result ? 0 : 1;
}
