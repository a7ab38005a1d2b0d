// The suite that every backend passes, run once for each device and route found here, and for the
// null device, which runs no kernel: there results are not looked at.
// Devices are opened once for the whole program; a route that is refused skips with its reason.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "leat/backend/backends.h"

// Fails the test with the error's message.
#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok = (expression);                              \
    ASSERT_TRUE(assert_ok.has_value()) << assert_ok.error().message(); \
  } while (false)

namespace leat {

/// A route to test; `refusal` as in FoundDevice.
struct TestedRoute {
  std::string name;       // what open_device takes
  std::string test_name;  // letters, digits and underscores, unique
  std::string refusal;
};

/// All that find_devices() shows, and "null".
std::vector<TestedRoute> tested_routes();
void PrintTo(const TestedRoute& route, std::ostream* out);

class ConformanceTest : public testing::TestWithParam<TestedRoute> {
 protected:
  /// Opens the device, or skips.
  void SetUp() override;

  Device& device() { return *device_; }
  Queue& queue() { return device_->queue(); }
  /// Whether kernels run, so that what they write can be compared.
  bool runs_kernels() const { return device_->info().route != Route::null; }

  /// Memory with contents, or a test failure and an empty buffer.
  Buffer buffer(size_t size_bytes, MemoryKind kind = MemoryKind::shared);
  template <typename T>
  Buffer buffer_of(const std::vector<T>& values, MemoryKind kind = MemoryKind::shared);
  template <typename T>
  void write(const Buffer& target, const std::vector<T>& values);
  template <typename T>
  std::vector<T> read(const Buffer& source, size_t count, size_t offset_bytes = 0);

  /// Null after a test failure.
  std::unique_ptr<Kernel> load(const Result<KernelBinary>& binary);
  void launch(const Kernel& kernel, const std::vector<const Buffer*>& arguments);
  void submit_and_wait();
  void wait_for(uint64_t value);

 private:
  Device* device_ = nullptr;
};

inline BufferRange whole(const Buffer& buffer) { return {&buffer, 0, buffer.size_bytes()}; }

template <typename T>
Buffer ConformanceTest::buffer_of(const std::vector<T>& values, MemoryKind kind) {
  Buffer made = buffer(values.size() * sizeof(T), kind);
  if (made) write(made, values);
  return made;
}

template <typename T>
void ConformanceTest::write(const Buffer& target, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  ASSERT_OK(write_buffer(device(), {&target, 0, bytes.size()}, bytes));
}

template <typename T>
std::vector<T> ConformanceTest::read(const Buffer& source, size_t count, size_t offset_bytes) {
  std::vector<T> values(count);
  const auto bytes = std::as_writable_bytes(std::span(values));
  const Result<void> done = read_buffer(device(), {&source, offset_bytes, bytes.size()}, bytes);
  EXPECT_TRUE(done.has_value()) << done.error().message();
  return values;
}

}  // namespace leat
