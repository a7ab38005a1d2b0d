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
#include "tests/device_asserts.h"

namespace leat {

/// A route to test; `refusal` as in FoundDevice.
struct TestedRoute {
  std::string name;       // what open_device takes
  std::string test_name;  // letters, digits and underscores, unique
  std::string refusal;
};

/// What the program runs the suite on: all that find_devices() shows, and "null"; or devices that
/// another program stands in for.
std::vector<TestedRoute> tested_routes();
/// Stays open, at least until another is opened.
Result<Device*> open_tested_route(const std::string& name);
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
